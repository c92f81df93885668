"""Proofs that gateways remember together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
import redis

from idp.gateway.binding.seen import Seen
from idp.gateway.binding.shared import RedisClient, SharedSeen
from idp.gateway.binding.stage import Replay
from idp.gateway.limits.model import Store
from idp.jose.dpop import Proof
from tests.fixtures.race import at_once
from tests.gateway.binding.ground import Ground, error
from tests.gateway.fakes import Log

SHARED = (
    '[dpop]\nscheme = "https"\n[limits]\nstore = "redis"\nreplicas = 2\ntimeout = "{timeout}"\nredis_url = "{url}"\n'
)
Gateways = Callable[..., Ground]


def soon(holds: Callable[[], bool]) -> None:
    """Wait for what comes in a moment."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@pytest.fixture
def store(redis_server: Any) -> Iterator[redis.Redis]:
    """An empty Redis that has been there for long."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        client.set("gatehouse:dpop-since", 0)
        yield client


@pytest.fixture
def gateways(redis_server: Any) -> Iterator[Gateways]:
    """Start gateways that share a Redis."""
    started: list[Ground] = []

    def start(url: str = redis_server.url, timeout: str = "2s") -> Ground:
        ground = Ground(SHARED.format(url=url, timeout=timeout))
        ground.gate.replay.start()
        started.append(ground)
        return ground

    yield start
    for ground in started:
        ground.gate.replay.stop()


@pytest.mark.attack("TK31")
def test_what_one_gateway_has_seen_the_other_refuses(store: redis.Redis, gateways: Gateways) -> None:
    one, other = gateways(), gateways()
    other.now.now = one.now.now
    token = one.token(key=one.key)
    proof = one.proof(token)
    assert one.ask("proved", token, proof).allowed
    again = other.ask("proved", token, proof)
    assert (again.status, error(again), again.reason) == (401, "invalid_dpop_proof", "proof was used before")
    assert 0 < store.ttl(next(store.scan_iter("gatehouse:dpop:*"))) <= 125


@pytest.mark.attack("TK31")
@pytest.mark.usefixtures("store")
def test_of_fifty_at_once_at_two_gateways_one_passes(gateways: Gateways) -> None:
    both = (gateways(), gateways())
    both[1].now.now = both[0].now.now
    token = both[0].token(key=both[0].key)
    proof, turn = both[0].proof(token), iter(range(50))
    answers = at_once(50, lambda: both[next(turn) % 2].ask("proved", token, proof).status)
    assert sorted(answers) == [200] + [401] * 49


@pytest.mark.attack("TK31")
def test_without_its_store_a_route_that_demands_proofs_is_closed_and_others_remember_for_themselves(
    gateways: Gateways,
) -> None:
    ground = gateways("redis://127.0.0.1:9/0")
    token = ground.token(key=ground.key)
    closed = ground.ask("proved", token, ground.proof(token))
    assert (closed.status, closed.reason) == (503, "proof store")
    for route in ("free", "plain"):
        proof = ground.proof(token, route)
        assert ground.ask(route, token, proof).allowed
        assert error(ground.ask(route, token, proof)) == "invalid_dpop_proof"
    assert ground.ask("free", ground.token(), scheme="Bearer").allowed
    assert len(ground.log.named("dpop.store_away")) == 1


@pytest.mark.attack("TK31")
def test_an_emptied_store_believes_no_proof_that_may_have_been_used_before(
    store: redis.Redis, gateways: Gateways
) -> None:
    """One that is dated ahead may have been used before, too: so nobody can tell until it could not be ahead."""
    one, other = gateways(), gateways()
    began = float(int(time.time()))
    one.now.now = other.now.now = began
    token = one.token(key=one.key, exp=int(began) + 600)
    late, ahead = one.proof(token, iat=int(began) - 5), one.proof(token, iat=int(began) + 55)
    assert one.ask("proved", token, late).allowed
    assert one.ask("proved", token, ahead).allowed
    store.flushdb()
    assert error(other.ask("proved", token, late)) == "invalid_dpop_proof"
    other.now.now = began + 55
    again = other.ask("proved", token, ahead)
    assert (again.status, again.reason) == (503, "proof store")
    other.now.now = began + 90
    assert other.ask("proved", token, one.proof(token, iat=int(began) + 90)).allowed


def test_a_store_that_comes_back_is_used_again(store: redis.Redis, gateways: Gateways) -> None:
    ground = gateways()
    token = ground.token(key=ground.key)
    assert ground.ask("proved", token, ground.proof(token)).allowed
    shared = ground.gate.replay.stage._shared
    assert shared is not None
    store.client_kill_filter(_type="normal", skipme=True)
    soon(lambda: ground.ask("proved", token, ground.proof(token)).allowed)
    assert not shared.away


class Slow:
    """A Redis that takes its time."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[int] = []

    def claim(self, keys: Sequence[tuple[str, int]], _since: int) -> tuple[int, list[bool]]:
        self.asked.append(len(keys))
        self.go.wait(5)
        return 0, [True] * len(keys)

    def close(self) -> None:
        raise OSError("even that fails")


def proof(number: int = 0) -> Proof:
    return Proof(jkt="key", jti=str(number), nonce=None, ends=time.time() + 60)


@pytest.mark.parametrize(("route", "status"), [("proved", 503), ("free", 200)])
def test_nobody_waits_for_long(route: str, status: int) -> None:
    slow, ground = Slow(), Ground()
    shared = SharedSeen(Store(seconds=0.02), log=Log(), connect=lambda _: slow)
    ground.gate.replay.stage = Replay(Seen(), shared, lambda: None)
    shared.start()
    token = ground.token(key=ground.key)
    assert ground.ask(route, token, ground.proof(token, route)).status == status
    slow.go.set()
    shared.stop()


def test_whatever_comes_meanwhile_goes_along_in_one_call() -> None:
    slow = Slow()
    shared = SharedSeen(Store(seconds=1.0), log=Log(), connect=lambda _: slow)
    shared.start()
    soon(lambda: slow.asked == [0])
    futures = [shared.claim(proof(number)) for number in range(300)]
    slow.go.set()
    assert all(future.result(5) for future in futures)
    shared.stop()
    assert slow.asked == [0, 128, 128, 44]


def test_who_waits_at_the_end_hears_that_nobody_knows() -> None:
    slow = Slow()
    shared = SharedSeen(Store(seconds=0.2), log=Log(), connect=lambda _: slow)
    waiting: Future[bool | None] = shared.claim(proof())
    shared.stop()
    shared.start()
    slow.go.set()
    assert waiting.result(5) is None


def test_a_store_that_is_away_is_asked_now_and_then() -> None:
    log, tries = Log(), []

    def connect(store: Store) -> Any:
        tries.append(store)
        if len(tries) < 3:
            raise redis.ConnectionError
        slow = Slow()
        slow.go.set()
        return slow

    shared = SharedSeen(Store(seconds=0.1), log=log, connect=connect)
    shared.start()
    soon(lambda: bool(log.named("dpop.store_back")))
    assert (len(log.named("dpop.store_away")), shared.away) == (1, False)
    shared.stop()


def test_redis_is_asked_by_its_own_client(store: redis.Redis, redis_server: Any) -> None:
    client = RedisClient(Store(kind="redis", url=redis_server.url, seconds=1.0))
    assert client.claim([("a", 5), ("b", 5)], 7) == (0, [True, True])
    assert client.claim([("a", 5), ("c", 5)], 7) == (0, [False, True])
    client.close()
    assert store.exists("gatehouse:dpop:a")
