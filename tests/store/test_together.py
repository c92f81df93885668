from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, exc, text

from idp.protocol.errors import InvalidGrant
from idp.store import meta, rows, together
from idp.store.database import Database, StoreUnavailable
from idp.store.meta import Meta


@pytest.fixture
def store(sqlite_url):
    database = Database.open(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def commits(store):
    """How often the disk was waited for."""
    counted = []
    event.listen(store.engine, "commit", lambda _: counted.append(1))
    return counted


def together_with(store, *bodies):
    """Let one writer hold the turn until the others wait for it; give what became of each, in the order given."""
    holding, go_on = threading.Event(), threading.Event()

    def first():
        with store.write() as tx:
            holding.set()
            go_on.wait(5)
            bodies[0](tx)

    def after(body):
        with store.write() as tx:
            body(tx)

    with ThreadPoolExecutor(len(bodies)) as pool:
        pending = [pool.submit(first)]
        holding.wait(5)
        for number, body in enumerate(bodies[1:], 1):
            pending.append(pool.submit(after, body))
            waits_for(store, number)
        go_on.set()
        return [each.exception(10) for each in pending]


def waits_for(store, number):
    deadline = time.monotonic() + 5
    while len(store._together._line._waiting) < number:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def put(key):
    return lambda tx: meta.put(tx, key, "v")


def fail(key, error):
    def body(tx):
        meta.put(tx, key, "v")
        raise error

    return body


def kept(store):
    with store.read() as tx:
        return {name for name in ("a", "b", "c") if meta.get(tx, name) is not None}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(together, "LONGEST", 10.0)


def test_writers_that_wait_share_one_commit(store, commits):
    assert together_with(store, put("a"), put("b"), put("c")) == [None, None, None]
    assert kept(store) == {"a", "b", "c"}
    assert len(commits) == 1


def test_a_writer_alone_commits_by_itself(store, commits):
    with store.write() as tx:
        meta.put(tx, "a", "v")
    with store.write() as tx:
        meta.put(tx, "b", "v")
    assert len(commits) == 2


@pytest.mark.parametrize("place", [0, 1, 2])
def test_who_fails_takes_back_only_what_is_its_own(store, place):
    bodies = [put("a"), put("b"), put("c")]
    bodies[place] = fail("abc"[place], ZeroDivisionError())
    outcomes = together_with(store, *bodies)
    assert [type(each) for each in outcomes].count(ZeroDivisionError) == 1
    assert isinstance(outcomes[place], ZeroDivisionError)
    assert kept(store) == {"a", "b", "c"} - {"abc"[place]}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_clash_in_the_unit_of_work_is_its_own_too(store, place):
    def clash(tx):
        tx.add(Meta(key="d", value="1"))
        tx.flush()
        rows.insert(tx, Meta(key="d", value="2"))

    def clash_in_flush(tx):
        tx.add(Meta(key="d", value="1"))
        tx.flush()
        tx.expunge_all()
        tx.add(Meta(key="d", value="2"))
        tx.flush()

    for body in (clash, clash_in_flush):
        bodies = [put("a"), put("b"), put("c")]
        bodies[place] = body
        outcomes = together_with(store, *bodies)
        assert isinstance(outcomes[place], exc.IntegrityError)
        assert [each for each in outcomes if each is not outcomes[place]] == [None, None]
    with store.read() as tx:
        assert meta.get(tx, "d") is None


@pytest.mark.parametrize("place", [0, 1])
def test_a_refusal_commits_with_the_others(store, place):
    bodies = [put("a"), put("b")]
    bodies[place] = fail("ab"[place], InvalidGrant("code was used before"))
    assert isinstance(together_with(store, *bodies)[place], InvalidGrant)
    assert kept(store) == {"a", "b"}


@pytest.mark.attack("IN6")
def test_a_commit_that_fails_fails_for_everybody_in_it(store):
    def no_room(_connection):
        raise exc.OperationalError("COMMIT", None, OSError("disk I/O error"))

    event.listen(store.engine, "commit", no_room)
    outcomes = together_with(store, put("a"), put("b"), fail("c", InvalidGrant("refused")))
    event.remove(store.engine, "commit", no_room)
    assert [type(each) for each in outcomes] == [StoreUnavailable] * 3
    assert kept(store) == set()
    with store.write() as tx:
        meta.put(tx, "c", "v")
    assert kept(store) == {"c"}


@pytest.mark.attack("IN6")
def test_a_transaction_that_sqlite_ended_by_itself_is_lost_for_everybody_in_it(store):
    """As on a full disk."""

    def ended(tx):
        tx.connection().connection.dbapi_connection.execute("ROLLBACK")
        raise ZeroDivisionError

    outcomes = together_with(store, put("a"), ended, put("c"))
    assert isinstance(outcomes[0], StoreUnavailable)
    assert outcomes[1] is not None
    assert outcomes[2] is None
    assert kept(store) == {"c"}


def test_nobody_is_answered_before_the_commit(store):
    """The first has left its part, and waits while the second is at work."""
    at_work, go_on, answered = threading.Event(), threading.Event(), threading.Event()

    def second(tx):
        at_work.set()
        go_on.wait(5)
        meta.put(tx, "b", "v")

    def run():
        together_with(store, put("a"), second)
        answered.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert at_work.wait(5)
    assert kept(store) == set()
    assert not answered.is_set()
    go_on.set()
    thread.join(5)
    assert kept(store) == {"a", "b"}


def test_a_transaction_takes_no_more_after_its_time(store, commits, monkeypatch):
    monkeypatch.setattr(together, "LONGEST", 0.0)
    assert together_with(store, put("a"), put("b"), put("c")) == [None, None, None]
    assert len(commits) == 3


def test_a_transaction_takes_only_so_many(store, commits, monkeypatch):
    monkeypatch.setattr(together, "MOST", 2)
    assert together_with(store, put("a"), put("b"), put("c")) == [None, None, None]
    assert len(commits) == 2


def test_who_gives_up_waiting_leaves_nothing_open(store, monkeypatch):
    monkeypatch.setattr("idp.store.database.WRITE_WAIT", 0.05)
    with store.write() as tx, ThreadPoolExecutor(1) as pool:
        meta.put(tx, "a", "v")
        with pytest.raises(StoreUnavailable):
            pool.submit(_write, store).result(5)
    assert kept(store) == {"a"}
    _write(store)
    assert kept(store) == {"a", "b"}


def test_a_turn_that_comes_at_the_last_moment_is_taken():
    line = together._Line()
    assert line.enter(1)
    mutex, line._mutex = line._mutex, _HandsOverFirst(line)
    assert line.enter(0.01)
    line._mutex = mutex
    line.leave()
    assert line.enter(0)


def test_a_database_held_by_another_process_is_told_and_the_turn_goes_on(store, sqlite_url, monkeypatch):
    monkeypatch.setattr("idp.store.backends.SQLITE_PRAGMAS", ("PRAGMA busy_timeout = 20",))
    impatient, other = Database.open(sqlite_url), Database.open(sqlite_url)
    with other.write() as tx:
        tx.execute(text("SELECT 1"))
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                _write(impatient)
    _write(impatient)
    impatient.close()
    other.close()


class _HandsOverFirst:
    """Gives the turn away just before the one who gave up looks whether it has it."""

    def __init__(self, line):
        self._line, self._mutex, self._times = line, threading.Lock(), 0

    def __enter__(self):
        self._times += 1
        if self._times == 2:
            self._line._waiting.popleft().release()
        self._mutex.acquire()

    def __exit__(self, *_):
        self._mutex.release()


def _write(store):
    with store.write() as tx:
        meta.put(tx, "b", "v")
