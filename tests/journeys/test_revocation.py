"""Two gateways before an API, two workers of a provider behind them: what is revoked is refused within a second."""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from idp.accounts.sessions import Sessions
from idp.keys.snapshot import MAX_AGE
from idp.store import role, taking
from tests.journeys.revoking import Line, running
from tests.services import provider as providers
from tests.services.program import gone

WITHIN = 1.0
EVEN_ON_A_BUSY_MACHINE = 5.0  # one look may be late there; the long test measures a thousand


@pytest.fixture
def line(tmp_path: Path, postgres_url: str) -> Iterator[Line]:
    """Everything at work, for one test."""
    with running(tmp_path, postgres_url) as line:
        yield line


@pytest.mark.attack("IN7", "GW20")
def test_whatever_ends_a_token_ends_it_at_every_gateway_within_a_second(line: Line) -> None:
    took = []
    for name, token, end in _ends(line):
        assert line.allowed(token) == [True, True], name
        end()
        took.append(max(line.refused_after(token, time.monotonic())))
        assert took[-1] < EVEN_ON_A_BUSY_MACHINE, name
    assert statistics.median(took) < WITHIN, took


def _ends(line: Line) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """What ends which token, one after the other."""
    provider = line.provider
    sessions = Sessions.from_settings(provider.db, provider.settings)
    revoked = line.own_token()
    yield "RFC 7009", revoked, lambda: line.revoke(revoked)
    _, sid, token = line.signed_in("ada")

    def sign_out() -> None:
        with provider.db.write() as tx:
            sessions.end(tx, sid, provider.clock())

    yield "sign-out", token, sign_out
    yield "account disabled", line.signed_in("grace")[2], lambda: provider.idp("user", "disable", "grace")
    password = ("user", "password", "edsger", "--password-stdin")
    new = "seven purple herons walk\n"
    yield "password changed", line.signed_in("edsger")[2], lambda: provider.idp(*password, stdin=new)
    _, _, token = line.signed_in("barbara")

    def take_the_role() -> None:
        with provider.db.write() as tx:
            (clerk,) = role.listing(tx, line.orders)
            taking.role_from_group(tx, line.staff, clerk.id, provider.clock())

    yield "role of the group", token, take_the_role
    yield "keys withdrawn", line.own_token(), lambda: provider.idp("key", "withdraw", "--all", "--yes")
    time.sleep(MAX_AGE.total_seconds())  # until then a worker that has not looked signs with the old one
    _soon(lambda: line.allowed(line.own_token()) == [True, True])  # what the next key signs
    yield "client disabled", line.own_token(), lambda: provider.idp("client", "disable", "service")


def _soon(true: Callable[[], bool]) -> None:
    since = time.monotonic()
    while not true():
        assert time.monotonic() - since < EVEN_ON_A_BUSY_MACHINE
        time.sleep(0.05)


@pytest.mark.attack("IN7")
def test_neither_side_forgets_when_it_is_killed(line: Line) -> None:
    first, second, third = (line.own_token() for _ in range(3))
    assert line.allowed(first) == [True, True]
    line.revoke(first)
    assert max(line.refused_after(first, time.monotonic())) < EVEN_ON_A_BUSY_MACHINE
    # The gateways die at once, and while nobody listens another token is revoked.
    for gateway in line.gateways:
        gateway.program.kill()
    line.revoke(second)
    for gateway in line.gateways:
        gateway.start()
    assert line.allowed(first) == [False, False]
    assert max(line.refused_after(second, time.monotonic())) < EVEN_ON_A_BUSY_MACHINE
    # The provider dies, both workers; what was heard before counts on, and what it is told after reaches everybody.
    assert line.provider.program is not None
    workers = line.provider.workers()
    line.provider.program.signal(signal.SIGKILL)
    line.provider.program.wait()
    _soon(lambda: all(gone(each) for each in workers))
    assert line.allowed(first) == [False, False]
    assert line.allowed(third) == [True, True]
    line.provider.start()
    line.revoke(third)
    # They ask every two seconds in such times.
    assert max(line.refused_after(third, time.monotonic())) < 2 + EVEN_ON_A_BUSY_MACHINE
    # Without the provider a gateway still knows, from its file.
    line.provider.program.stop()
    for gateway in line.gateways:
        gateway.program.kill()
        gateway.start()
    assert line.allowed(third) == [False, False]


@pytest.mark.long
@pytest.mark.attack("IN7")
def test_a_thousand_revocations_are_refused_within_a_second(line: Line, record_property: Any) -> None:
    callers = threading.local()

    def one(_number: int) -> float:
        if not hasattr(callers, "session"):
            callers.session = providers.session()
        return line.revoked_after(callers.session)

    with ThreadPoolExecutor(4) as pool:
        taken = sorted(pool.map(one, range(1_000)))
    told = {"p50": statistics.median(taken), "p99": taken[989], "worst": taken[-1]}
    said = " ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in told.items())
    record_property("revoke to refuse at two gateways, 1,000 times", said)
    assert told["p99"] < WITHIN, said
