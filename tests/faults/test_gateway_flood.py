"""A flood of tokens that name keys nobody has: it costs the provider nothing, and no good call anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.faults.guarded import Guarded
from tests.faults.traffic import Traffic, of_unknown_key
from tests.gateway.issuer import Issuer, running
from tests.services.gateway import Gateway
from tests.services.provider import session

FLOOD = 1_000  # a second, at all gateways together
GOOD = 20  # a second, at each
TOKENS = 40  # each is new to a gateway once
MINUTE = 60.0


class Witness(Issuer):
    """Hands out the provider's keys and notes when it was asked for them."""

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.document = document
        self.times: list[float] = []

    def jwks(self) -> bytes:
        self.times.append(time.monotonic())
        return super().jwks()

    def most_in(self, seconds: float) -> int:
        """How often it was asked in the busiest stretch of so many seconds."""
        return max(sum(first <= each < first + seconds for each in self.times) for first in self.times)


@pytest.fixture
def witnesses(guarded: Guarded) -> Iterator[list[Witness]]:
    """One for each gateway, so that nobody's questions hide among another's."""
    document = session().get(guarded.provider.url("/jwks"), timeout=20).content
    with running(Witness(document)) as one, running(Witness(document)) as other:
        yield [one, other]  # type: ignore[list-item]


@pytest.fixture
def gateways(guarded: Guarded, witnesses: list[Witness], tmp_path: Path) -> Callable[[str], list[Gateway]]:
    """Start two, with this pause between two questions for keys."""

    def start(cooldown: str) -> list[Gateway]:
        return [
            guarded.gateway(tmp_path / f"gateway-{number}", cooldown=cooldown, keys=f"{witness.issuer}/jwks")
            for number, witness in enumerate(witnesses)
        ]

    return start


def flooded(guarded: Guarded, gateways: list[Gateway], seconds: float) -> tuple[Traffic, Traffic]:
    """Let good calls and strangers come together; give both."""
    tokens = guarded.tokens(TOKENS)
    invented = of_unknown_key(tokens[0])
    good = Traffic(gateways, lambda number: tokens[number % TOKENS], rate=GOOD, seconds=seconds)
    callers = [*gateways, *gateways]  # two at each gateway: one alone may be too slow to make a flood
    strangers = Traffic(callers, invented, rate=FLOOD / len(callers), seconds=seconds)
    with good, strangers:
        pass
    assert set(good.statuses()) == {requests.codes.ok}
    assert set(strangers.statuses()) == {requests.codes.unauthorized}
    assert len(strangers.answers) > FLOOD * seconds / 2
    return good, strangers


@pytest.mark.attack("GW19")
def test_a_flood_of_unknown_keys_harms_nobody(
    guarded: Guarded, gateways: Callable[[str], list[Gateway]], witnesses: list[Witness]
) -> None:
    good, strangers = flooded(guarded, gateways("2s"), 5)
    for witness in witnesses:
        # They do make the gateway look, or nothing would have been tried; but no more often than it likes.
        assert len(witness.times) >= 2
        assert witness.most_in(3) <= 2  # in four seconds; a question may come late
    assert good.seconds(50) < 0.5
    assert strangers.seconds(50) < 0.5


@pytest.mark.long
@pytest.mark.attack("GW19")
def test_minutes_of_a_thousand_unknown_keys_a_second_cost_two_fetches_a_minute(
    guarded: Guarded,
    gateways: Callable[[str], list[Gateway]],
    witnesses: list[Witness],
    record_property: Callable[[str, object], None],
) -> None:
    good, strangers = flooded(guarded, gateways("30s"), 3 * MINUTE)
    most = max(witness.most_in(MINUTE - 1) for witness in witnesses)
    record_property("unknown keys, all refused", len(strangers.answers))
    record_property("unknown keys a second", f"{strangers.rate():.0f}")
    record_property("refused within", strangers.typical())
    record_property("good calls beside them, none refused", len(good.answers))
    record_property("answered within", good.typical())
    record_property("most fetches of keys in a minute, by one gateway", most)
    assert most <= 2
    assert strangers.seconds(99) < 1
