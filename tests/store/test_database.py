from __future__ import annotations

import datetime as dt
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, exc, text

from idp.protocol.errors import InvalidGrant, TemporarilyUnavailable
from idp.store import account, backends, meta, patience
from idp.store.database import Database, StoreUnavailable
from idp.store.types import Unstorable


def test_a_refusal_commits(db):
    with pytest.raises(InvalidGrant):
        _put_then_raise(db, InvalidGrant("refresh token was used before"))
    with db.read() as tx:
        assert meta.get(tx, "k") == "v"


def test_a_fault_rolls_back(db):
    with pytest.raises(ZeroDivisionError):
        _put_then_raise(db, ZeroDivisionError())
    with db.read() as tx:
        assert meta.get(tx, "k") is None


def test_rows_may_be_read_after_their_session(db, now):
    with db.write() as tx:
        alice = account.create(tx, username="Alice", now=now)
    assert (alice.username, alice.created_at) == ("Alice", now)


def test_times_come_back_aware_and_to_the_microsecond(db, now):
    with db.write() as tx:
        made = account.create(tx, username="alice", now=now.astimezone(dt.timezone(dt.timedelta(hours=9))))
    with db.read() as tx:
        found = account.find(tx, made.id)
    assert found.created_at == now
    assert found.created_at.tzinfo is dt.UTC


def test_a_naive_time_is_refused(db, now):
    with pytest.raises(Exception, match="naive time"), db.write() as tx:
        account.create(tx, username="alice", now=now.replace(tzinfo=None))


@pytest.mark.parametrize("name", ["nul\x00byte", "half\ud800pair"])
def test_text_that_one_backend_cannot_hold_is_refused_by_both(db, now, name):
    with pytest.raises(Unstorable), db.write() as tx:
        account.create(tx, username=name, now=now)
    with db.read() as tx:
        assert account.find_by_login(tx, "nul\x00byte") is None


def test_a_read_that_changes_rows_is_a_mistake(db, now):
    with pytest.raises(RuntimeError, match="use write"), db.read() as tx:
        tx.add(meta.Meta(key="a", value="b"))


def test_a_read_sees_what_is_committed_between_its_statements(db):
    with db.read() as reading:
        assert meta.get(reading, "k") is None
        with db.write() as tx:
            meta.put(tx, "k", "v")
        assert meta.get(reading, "k") == "v"


@pytest.mark.attack("IN6")
def test_a_database_that_is_away_is_unavailable_not_a_fault(db):
    with db.write() as tx:
        tx.execute(text("DROP TABLE meta"))
    with pytest.raises(StoreUnavailable) as refusal, db.read() as tx:
        tx.execute(text("SELECT * FROM no_such_place") if db.dialect == "sqlite" else text("SELECT pg_sleep(9)"))
    assert isinstance(refusal.value, TemporarilyUnavailable)
    assert refusal.value.status == 503
    assert refusal.value.__cause__ is not None


def test_a_sqlite_writer_that_waits_too_long_is_told_to_come_back(sqlite_url, monkeypatch):
    database = Database.open(sqlite_url)
    monkeypatch.setattr("idp.store.database.WRITE_WAIT", 0.05)
    with database.write(), pytest.raises(StoreUnavailable), database.write():
        pass
    database.close()


def test_sqlite_is_durable_and_keeps_foreign_keys(sqlite_url):
    database = Database.open(sqlite_url)
    with database.read() as tx:
        found = {name: tx.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")}
    database.close()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize(("url", "listeners"), [("sqlite://", 1), ("postgresql+psycopg://nobody@127.0.0.1:1/none", 2)])
def test_an_engine_is_prepared_once(url, listeners):
    engine = create_engine(url)
    before = (*engine.pool.dispatch.connect, *engine.dialect.dispatch.do_connect)
    for _ in range(2):
        backends.prepare(engine)
        prepared = (*engine.pool.dispatch.connect, *engine.dialect.dispatch.do_connect)
        assert len(prepared) == len(before) + listeners


def test_a_new_sqlite_file_is_readable_by_its_owner_alone(tmp_path):
    file = tmp_path / "deep" / "idp.db"
    Database.open(f"sqlite:///{file}").close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_sqlite_path_is_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(backends.complete("sqlite:///var/idp.db").database) == tmp_path / "var" / "idp.db"


def test_sqlite_writers_of_two_processes_wait_for_each_other(sqlite_url):
    first, second = Database.open(sqlite_url), Database.open(sqlite_url)
    inside, done = threading.Event(), []

    def later():
        inside.wait(5)
        with second.write() as tx:
            done.append(meta.get(tx, "k"))

    thread = threading.Thread(target=later)
    thread.start()
    with first.write() as tx:
        inside.set()
        meta.put(tx, "k", "v")
    thread.join(5)
    first.close()
    second.close()
    assert done == ["v"]


def test_postgresql_that_may_forget_commits_is_refused(postgres_url):
    database = Database.open(postgres_url)
    with database.write() as tx:
        tx.execute(
            text(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', "
                "current_database()); END $$"
            )
        )
    database.close()
    with pytest.raises(backends.UnsafeDatabase, match="synchronous_commit"):
        Database.open(postgres_url)


def test_postgresql_gives_up_on_slow_statements_and_locks(postgres_url):
    database = Database.open(postgres_url)
    with database.read() as tx:
        found = {name: tx.scalar(text(f"SHOW {name}")) for name in ("statement_timeout", "lock_timeout", "timezone")}
    database.close()
    assert found == {"statement_timeout": "3s", "lock_timeout": "3s", "timezone": "UTC"}


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://root@localhost/x", "sqlite://", "sqlite:///:memory:"])
def test_an_unknown_database_is_refused_by_name_of_the_setting(url):
    with pytest.raises(backends.UnsafeDatabase, match="database_url"):
        backends.complete(url)


def _put_then_raise(db, error):
    with db.write() as tx:
        meta.put(tx, "k", "v")
        raise error


@pytest.mark.parametrize("work", ["read", "write"])
def test_a_database_that_hangs_is_unavailable_within_seconds(postgres_url, work):
    database = Database.open(postgres_url)
    with database.engine.connect() as connection:
        backend = connection.scalar(text("SELECT pg_backend_pid()"))
    os.kill(backend, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable), getattr(database, work)() as tx:
            tx.scalar(text("SELECT 1"))
        assert time.monotonic() - began < patience.SECONDS + 10  # and never, if nobody gave it up
        # What it hung on is gone; the next caller gets a connection of its own.
        database.ping()
    finally:
        os.kill(backend, signal.SIGCONT)
        database.close()


def test_long_work_may_take_its_time(postgres_url, monkeypatch):
    database = Database.open(postgres_url)
    monkeypatch.setattr(patience, "SECONDS", 0.2)  # now that it is open: a busy machine needs longer for that
    monkeypatch.setattr(patience.Impatient, "patience", 0.2)
    with database.engine.connect() as connection:
        with patience.unhurried(connection):
            connection.execute(text("SELECT pg_sleep(0.5)"))
        with pytest.raises(exc.OperationalError):
            connection.execute(text("SELECT pg_sleep(0.5)"))
    database.close()
