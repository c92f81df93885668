"""What runs in other threads may find that the world has moved on."""

from __future__ import annotations

import dataclasses

import pytest

from idp.gateway.exchange.believe import Inbound
from idp.gateway.exchange.exchanger import Exchanger, Job
from idp.gateway.exchange.model import Exchange
from idp.gateway.exchange.outcome import Failed, Issued
from idp.gateway.revocation.marks import marks_of
from tests.gateway.exchanging import NOW, ORDERS, STOCK
from tests.gateway.fakes import Clock, Log
from tests.gateway.issuer import a_key

ISSUED = Issued(token=b"token", ends=NOW + 60, marks=marks_of({"jti": "one"}))
JOB = Job(
    key=b"key",
    route="stock",
    wanted=Exchange(audience=STOCK),
    inbound=Inbound(token=b"secret", subject="alice", scopes=frozenset(), ends=NOW + 600),
)


class Endpoint:
    def __init__(self) -> None:
        self.asked = 0
        self.outcome: Issued | Failed = ISSUED

    def exchange(self, _inbound, _wanted):
        self.asked += 1
        return self.outcome


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
def took():
    return []


@pytest.fixture
def exchanger(endpoint, took):
    clocks = {"wall": Clock(NOW), "monotonic": Clock()}
    made = Exchanger("main", endpoint, key=a_key(), log=Log(), took=lambda *facts: took.append(facts), **clocks)
    yield made
    made.stop()


@pytest.mark.parametrize("outcome", [ISSUED, Failed(kind="refused", reason="x")])
def test_what_was_answered_meanwhile_is_not_asked_again(exchanger, endpoint, outcome):
    endpoint.outcome = outcome
    assert exchanger._work(JOB, False, False) is outcome
    assert exchanger._work(JOB, False, False) is outcome
    assert endpoint.asked == 1


def test_what_was_begun_before_nobody_answered_is_not_asked_then(exchanger, endpoint):
    exchanger._away = Failed(kind="away", reason="x", silent=True)
    assert exchanger._work(JOB, False, False) is exchanger._away
    assert endpoint.asked == 0


def test_what_was_begun_before_the_provider_wanted_none_is_not_asked_then(exchanger, endpoint):
    endpoint.outcome = Failed(kind="too_many", reason="x", retry_after=9)
    assert exchanger._work(JOB, False, False) is endpoint.outcome
    endpoint.outcome = Failed(kind="too_many", reason="x", retry_after=3)
    assert exchanger._work(JOB, False, False).retry_after == 9
    assert endpoint.asked == 1


def test_of_several_that_are_told_to_wait_the_longest_counts_and_one_is_logged(exchanger):
    for seconds in (9, 3):
        exchanger._remember(JOB, Failed(kind="too_many", reason="x", retry_after=seconds))
    assert exchanger.ask(JOB).retry_after == 9
    assert len(exchanger._log.named("exchange.held_back")) == 1


def test_what_one_target_has_used_up_is_not_kept_from_another(exchanger, endpoint):
    """A provider may count each target by itself (`--per-minute`), and whoever fills one must not close the others."""
    endpoint.outcome = Failed(kind="too_many", reason="x", retry_after=9)
    exchanger.ask(JOB).result(5)
    elsewhere = dataclasses.replace(JOB, key=b"other", wanted=Exchange(audience=ORDERS))
    endpoint.outcome = ISSUED
    assert exchanger.ask(elsewhere).result(5) is ISSUED
    assert exchanger.ask(JOB).retry_after == 9
    assert exchanger.held_back() == {STOCK: 9}
    exchanger._monotonic.advance(9)
    assert exchanger.held_back() == {}
    assert exchanger.ask(JOB).result(5) is ISSUED


def test_silence_is_told_until_somebody_answers(exchanger, endpoint):
    endpoint.outcome = Failed(kind="away", reason="x", silent=True)
    exchanger.ask(JOB).result(5)
    assert exchanger.silent()
    endpoint.outcome = ISSUED
    exchanger._monotonic.advance(1)
    exchanger.ask(dataclasses.replace(JOB, key=b"other")).result(5)
    assert not exchanger.silent()


def test_each_question_is_told_with_its_outcome(exchanger, endpoint, took):
    exchanger.start()
    exchanger.ask(JOB).result(5)
    endpoint.outcome = Failed(kind="away", reason="x")
    exchanger._work(JOB, True, False)
    endpoint.outcome = Failed(kind="too_many", reason="x")
    exchanger._work(JOB, True, False)
    assert [outcome for _, _, outcome in took] == ["issued", "away", "too_many"]
    assert {route for _, route, _ in took} == {"stock"}


def test_nobody_hears_of_revocations_without_a_feed(exchanger):
    exchanger.ask(JOB).result(5)
    exchanger.sweep()
    assert len(exchanger.cache) == 1


def test_nothing_secret_is_printed():
    assert "secret" not in repr(JOB)
    assert "alice" not in repr(JOB)
