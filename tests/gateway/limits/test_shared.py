"""Buckets in a real Redis, and what one thread does about a Redis that is away."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import Future

import pytest
import redis

from idp.gateway.limits.bucket import Ask, Local, Taken
from idp.gateway.limits.model import Limit, Meter, Store
from idp.gateway.limits.shared import SharedBuckets
from tests.gateway.fakes import Clock, Log
from tests.services.authority import Authority
from tests.services.redis import RedisServer

HOUR = Limit(name="x", by="client", count=1, period="h", burst=3).meter()


def ask(meter: Meter = HOUR, *, key: str = "alice") -> Ask:
    return Ask(meter=meter, key=("scope", key))


def take(shared: SharedBuckets, *asked: Ask) -> Taken | None:
    return shared.take(asked).result(5)


def bucket(client: redis.Redis) -> str:
    """Give the name of the one bucket; that of a probe is empty and gone in a moment."""
    full = [key for key in client.keys("*") if str(client.get(key) or "0").strip("b'").partition(" ")[0] != "0"]
    (name,) = full
    return name


def until(shared: SharedBuckets, *, away: bool) -> None:
    deadline = time.monotonic() + 30
    while shared.away is not away and time.monotonic() < deadline:
        time.sleep(0.005)
    assert shared.away is away


def test_a_burst_passes_and_then_nothing(connected):
    shared = connected()
    assert [take(shared, ask()).passed for _ in range(5)] == [True, True, True, False, False]
    assert take(shared, ask(key="bob")) == Taken(passed=True, levels=[HOUR.cost])


def test_two_gateways_share_one_bucket(connected):
    one, other = connected(), connected()
    passed = [take(gateway, ask()).passed for gateway in (one, other, one, other)]
    assert passed == [True, True, True, False]


def test_a_bucket_leaks_by_the_clock_of_the_redis(connected):
    shared = connected()
    fast = Limit(name="x", by="client", count=20, period="s", burst=1).meter()
    began = time.monotonic()
    passed = 0
    while passed < 10 and time.monotonic() - began < 30:
        passed += take(shared, ask(fast)).passed
    assert 10 <= passed <= 1 + 20 * (time.monotonic() - began)


def test_both_kinds_of_buckets_count_alike(connected):
    """Redis has doubles and Lua, we have whole numbers and Python: for the same questions, the same answers."""
    shared, local = connected(), Local(lambda: 0)
    chance = random.Random(7)
    meters = [
        Limit(name="x", by="client", count=count, period="h", burst=burst).meter()
        for count, burst in ((1, 1), (1, 3), (3, 7), (1, 1_000_000))
    ]
    for _ in range(200):
        names = chance.sample(range(len(meters)), chance.randint(1, 3))
        asked = [ask(meters[name], key=f"{name}") for name in names]
        here, there = local.take(asked), take(shared, *asked)
        assert there.passed == here.passed
        for each, ours, theirs in zip(asked, here.levels, there.levels, strict=True):
            assert 0 <= ours - theirs < each.meter.leak * 60_000_000  # what leaked in the meantime


def test_the_largest_bucket_is_counted_exactly(connected, store):
    largest = Limit(name="x", by="client", count=1, period="h", burst=1_000_000).meter()
    shared = connected()
    take(shared, ask(largest))
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        name = bucket(client)
        level, at = client.get(name).split()
        assert level == str(largest.cost)
        client.set(name, f"{largest.capacity - largest.cost} {at}")
    assert take(shared, ask(largest)).passed
    assert not take(shared, ask(largest)).passed


def test_buckets_expire_when_they_are_empty_and_name_nobody(connected, store):
    take(connected(), ask(key="alice"))
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        name = bucket(client)
        assert "alice" not in name
        assert 0 < client.pttl(name) <= 3_600_002


def test_a_clock_that_goes_back_lets_nothing_run_out(connected, store):
    shared = connected()
    take(shared, ask())
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        name = bucket(client)
        level, at = client.get(name).split()
        client.set(name, f"{level} {int(at) + 10**12}")
    assert take(shared, ask()) == Taken(passed=True, levels=[2 * HOUR.cost])


def test_many_requests_at_once_are_one_call(connected, store):
    shared = connected(start=False)
    futures = [shared.take([ask(), ask(key=f"{number}")]) for number in range(200)]
    with redis.Redis.from_url(store.url) as client:
        client.config_resetstat()
        shared.start()
        assert sum(future.result(5).passed for future in futures) == 3
        stats = client.info("commandstats")
    assert (
        stats["cmdstat_evalsha"]["calls"] <= 4
    )  # of 128 at most, a first one, and once more because the script was not known


def test_a_script_that_was_forgotten_is_told_again(connected, store):
    shared = connected()
    take(shared, ask())
    with redis.Redis.from_url(store.url) as client:
        client.script_flush()
    assert take(shared, ask()).passed
    assert not shared.away


def test_redis_away_is_noticed_told_once_and_overcome(connected, store):
    log = Log()
    shared = connected(log=log)
    assert take(shared, ask()).passed
    store.kill()
    assert take(shared, ask()) is None
    assert shared.away
    assert take(shared, ask()) is None
    store.start()
    until(shared, away=False)
    assert take(shared, ask()).passed
    assert [name for name, _ in log.events] == ["limits.alone", "limits.shared"]
    assert log.events[0][1] == {"reason": "ConnectionError"}


def test_an_idle_connection_that_was_cut_is_replaced_without_a_word(connected, store):
    log = Log()
    shared = connected(log=log)
    take(shared, ask())
    with redis.Redis.from_url(store.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert take(shared, ask()).passed
    assert log.events == []


def test_a_hung_redis_is_given_up_after_the_time_it_has(connected, store):
    shared = connected(seconds=0.05)
    take(shared, ask())
    store.hang()
    try:
        began = time.monotonic()
        assert take(shared, ask()) is None
        assert 0.04 < time.monotonic() - began < 3
        assert shared.away
    finally:
        store.go_on()
    until(shared, away=False)


@pytest.mark.parametrize(
    ("setting", "value", "usual", "reason"),
    [("maxmemory", "1", "0", "OutOfMemoryError"), ("maxclients", "1", "10000", "ConnectionError")],
)
def test_a_redis_that_refuses_is_away(connected, store, setting, value, usual, reason):
    log = Log()
    with redis.Redis.from_url(store.url) as client:
        client.config_set(setting, value)
        shared = connected(log=log)
        assert take(shared, ask()) is None
        assert log.events == [("limits.alone", {"reason": reason})]
        client.config_set(setting, usual)
    until(shared, away=False)


def test_a_probe_that_fails_leaves_it_away(connected, store):
    log = Log()
    shared = connected(log=log)
    store.kill()
    assert take(shared, ask()) is None
    time.sleep(1.2)
    assert shared.away
    assert len(log.events) == 1
    store.start()


def test_the_secret_stands_in_a_file_and_is_read_again_with_every_connection(connected, store, secret_file):
    path = secret_file(f"redis://:wrong@127.0.0.1:{store.port}/0\n")
    with redis.Redis.from_url(store.url) as client:
        client.config_set("requirepass", "right")
    try:
        shared = connected(url="", url_file=path)
        assert take(shared, ask()) is None
        path.write_text(f"redis://:right@127.0.0.1:{store.port}/0\n")
        until(shared, away=False)
        assert take(shared, ask()).passed
    finally:
        with redis.Redis.from_url(store.url, password="right") as client:
            client.config_set("requirepass", "")


@pytest.fixture
def secure(tmp_path):
    """Start a Redis behind TLS. It outlives the gateways of the test: Python leaves a socket open whose peer resets it
    between connect and handshake, and a Redis that ends does that to whoever asks just then."""
    authority = Authority(tmp_path / "ours")
    server = RedisServer(tmp_path / "redis", certificate=authority.issue("127.0.0.1"))
    yield server, authority
    server.stop()


def test_a_redis_behind_tls_must_prove_its_name(secure, connected, tmp_path):
    server, authority = secure
    stranger = Authority(tmp_path / "theirs")
    assert take(connected(url=f"{server.url}?ssl_ca_certs={authority.file}"), ask()).passed
    assert take(connected(url=f"{server.url}?ssl_ca_certs={stranger.file}"), ask()) is None
    other = server.url.replace("127.0.0.1", "localhost")
    assert take(connected(url=f"{other}?ssl_ca_certs={authority.file}"), ask()) is None


def test_a_secret_that_is_not_there_is_a_redis_that_is_away(connected, tmp_path):
    shared = connected(url="", url_file=tmp_path / "missing")
    assert take(shared, ask()) is None
    assert shared.away


def test_who_still_waits_at_the_end_counts_alone(connected):
    shared = connected(start=False)
    future = shared.take([ask()])
    shared.stop()
    shared.start()
    assert future.result(5) is None


class Odd:
    """A client that does as it is told."""

    def __init__(self, log: Log) -> None:
        self.said: list[object] = []
        self.runs = 0
        self.free = threading.Event()
        self.free.set()
        store = Store(kind="redis", url="redis://nowhere", replicas=2, seconds=0.05)
        self.shared = SharedBuckets(store, log=log, connect=lambda _: self, monotonic=Clock())
        self.shared.start()

    def run(self, keys, _args):
        self.runs += 1
        self.free.wait(5)
        return [1] + [0] * len(keys)

    def ran(self, times: int) -> None:
        while self.runs < times:
            time.sleep(0.005)

    def close(self) -> None:
        raise OSError


def test_whoever_was_late_makes_others_count_alone_until_there_is_an_answer():
    log = Log()
    odd = Odd(log)
    odd.ran(1)
    odd.free.clear()
    late: Future[Taken | None] = odd.shared.take([ask()])
    odd.ran(2)
    odd.shared.suspect()
    odd.shared.suspect()
    assert odd.shared.away
    odd.free.set()
    assert late.result(5) == Taken(passed=True, levels=[0])
    until(odd.shared, away=False)
    odd.shared.stop()
    assert log.events == [("limits.alone", {"reason": "late"}), ("limits.shared", {})]


def test_what_is_no_level_is_an_empty_bucket(connected, store):
    shared = connected()
    take(shared, ask())
    with redis.Redis.from_url(store.url) as client:
        client.set(bucket(client), "x")
    assert take(shared, ask()) == Taken(passed=True, levels=[HOUR.cost])


def test_what_nobody_understands_is_a_redis_that_is_away(connected, store):
    shared = connected()
    take(shared, ask())
    with redis.Redis.from_url(store.url) as client:
        name = bucket(client)
        client.delete(name)
        client.lpush(name, "x")
        assert take(shared, ask()) is None
        client.delete(name)
    until(shared, away=False)
