"""Names into addresses, within a time: who asks goes away in time, and a resolver that hangs holds one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from idp.federation import lookup
from idp.federation.connector import NotSignedIn, Outcome
from idp.federation.lookup import MOST, Lookups
from idp.federation.upstream import Line, Reach, UpstreamError
from tests.fixtures.elsewhere import BACK, connected
from tests.services.upstream import Upstream


class Resolver:
    """One that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()

    def __call__(self, host: str, _port: int) -> tuple[str, ...]:
        self.asked.append(host)
        self.go_on.wait(10)
        if host == "nowhere.example":
            raise OSError
        return ("93.184.216.34",)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """It hangs until a test says otherwise."""
    made = Resolver()
    monkeypatch.setattr(lookup, "resolve", made)
    yield made
    made.go_on.set()


@pytest.mark.attack("F15")
def test_who_asks_waits_no_longer_than_agreed(resolver: Resolver) -> None:
    lookups, began = Lookups(), time.monotonic()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            lookups.addresses("op.example", 443, seconds=0.05)

    assert time.monotonic() - began < 9  # the name takes ten seconds
    assert resolver.asked == ["op.example"]  # one thread waits for all who ask


@pytest.mark.attack("F15")
def test_no_more_names_are_asked_for_than_may_be(resolver: Resolver) -> None:
    lookups = Lookups()
    for number in range(MOST):
        with pytest.raises(TimeoutError, match="in time"):
            lookups.addresses(f"op{number}.example", 443, seconds=0.001)

    with pytest.raises(TimeoutError, match="too many"):
        lookups.addresses("one.more.example", 443, seconds=5)
    assert "one.more.example" not in resolver.asked


def test_a_name_is_found_or_is_not(resolver: Resolver) -> None:
    resolver.go_on.set()
    lookups = Lookups()

    assert lookups.addresses("op.example", 443, seconds=5) == ("93.184.216.34",)
    with pytest.raises(OSError, match="no such host"):
        lookups.addresses("nowhere.example", 443, seconds=5)
    assert lookups.addresses("op.example", 443, seconds=5)
    assert resolver.asked.count("op.example") == 2  # nothing is remembered: the address is the one of now


def test_the_system_is_asked() -> None:
    assert "127.0.0.1" in Lookups().addresses("127.0.0.1", 443, seconds=5)


@pytest.mark.attack("F15", "AD8")
@pytest.mark.usefixtures("resolver")
def test_a_provider_whose_name_hangs_is_given_up_in_time(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "HERE", Lookups())
    connector = connected(upstream, timeout=0.2)
    connector.issuer = "https://op.example"
    began = time.monotonic()

    with pytest.raises(NotSignedIn) as refused:
        connector.begin(BACK)

    assert refused.value.outcome is Outcome.UNAVAILABLE
    assert refused.value.code in {"its name was not found in time", "time is up"}
    assert time.monotonic() - began < 9


def test_a_name_that_nobody_knows_is_told(resolver: Resolver) -> None:
    resolver.go_on.set()
    reach = Reach.of("https://op.example", seconds=5, private_network=False, ca_file=None)

    with pytest.raises(UpstreamError, match="no such host"):
        Line(reach).get("https://nowhere.example/")
