"""The limits of a route when they are counted elsewhere: one question for all, and what happens without an answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from idp.gateway.issuers import CannotChange
from idp.gateway.limits.bucket import Ask, Local, Taken
from idp.gateway.limits.stage import Limits
from idp.gateway.load import parse
from idp.gateway.request import Decision
from tests.gateway.limits.ground import Ground, file, told

REDIS = 'limits = { store = "redis", redis_url = "redis://127.0.0.1:1", replicas = 2 }'
CLIENT = '{ by = "client", rate = "1/h", burst = 4 }'
IP = '{ by = "ip", rate = "1/h", burst = 6 }'


class Elsewhere:
    """Buckets that others count, as far as the gateway can see."""

    def __init__(self) -> None:
        self.seconds = 30.0
        self.away = False
        self.silent = False
        self.suspected = 0
        self.questions: list[Sequence[Ask]] = []
        self.buckets = Local(lambda: 0)

    def take(self, asked: Sequence[Ask]) -> Future[Taken | None]:
        self.questions.append(asked)
        future: Future[Taken | None] = Future()
        if not self.silent:
            taken = None if self.away else self.buckets.take(asked)
            threading.Timer(0.001, future.set_result, [taken]).start()
        return future

    def suspect(self) -> None:
        self.suspected += 1
        self.away = True

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


def ground(elsewhere: Elsewhere, *limits: str) -> Ground:
    return Ground(text=file(*limits, top=REDIS), shared=elsewhere)


def test_all_buckets_of_a_request_are_one_question(elsewhere):
    there = ground(elsewhere, IP, CLIENT)
    assert there.statuses(4) == [200, 200, 200, 200]
    refused = there.ask()
    assert (refused.status, told(refused)["ratelimit"]) == (429, '"ip";r=2;t=14400, "client";r=0;t=3600')
    assert [len(asked) for asked in elsewhere.questions] == [2] * 5
    assert there.settle(client_id="other").status == 200


def test_whoever_is_refused_has_made_an_attempt_that_all_gateways_know(elsewhere):
    one, other = ground(elsewhere, IP, CLIENT), ground(elsewhere, IP, CLIENT)
    assert [gate.ask(token=None).status for gate in (one, other) * 4] == [401] * 6 + [429] * 2
    assert [len(asked) for asked in elsewhere.questions] == [1] * 8
    assert one.ask().status == 429


def test_a_flood_of_bad_tokens_costs_a_gateway_no_more_than_the_limit(elsewhere):
    there = ground(elsewhere, IP)
    elsewhere.buckets.take = lambda asked: Taken(passed=True, levels=[0] * len(asked))  # type: ignore[method-assign]
    assert there.statuses(8, token=None) == [401] * 6 + [429] * 2
    assert len(elsewhere.questions) == 6


def test_who_is_refused_for_a_limit_alone_asks_nobody_else(elsewhere):
    there = ground(elsewhere, CLIENT)
    assert there.ask(token=None).status == 401
    assert elsewhere.questions == []


def test_without_an_answer_each_gateway_lets_its_share_pass(elsewhere):
    elsewhere.away = True
    one, other = ground(elsewhere, CLIENT), ground(elsewhere, CLIENT)
    assert [gate.statuses(4) for gate in (one, other)] == [[200, 200, 429, 429]] * 2
    assert elsewhere.questions == []
    answer = told(one.ask())
    assert (answer["ratelimit"], answer["retry-after"]) == ('"client";r=0;t=7200', "7200")


@pytest.mark.parametrize("way", [Ground.ask, Ground.settle], ids=["thread", "loop"])
def test_a_question_that_fails_leaves_the_share(elsewhere, way):
    there = ground(elsewhere, IP, CLIENT)
    asked = elsewhere.take

    def fails(buckets):
        elsewhere.away = True
        future = asked(buckets)
        elsewhere.away = False
        future.result(5)
        return future

    elsewhere.take = fails  # type: ignore[method-assign]
    elsewhere.buckets.take = lambda _: None  # type: ignore[method-assign, return-value]
    assert [way(there).status for _ in range(4)] == [200, 200, 429, 429]


@pytest.mark.parametrize("way", [Ground.ask, Ground.settle], ids=["thread", "loop"])
def test_a_question_that_hangs_holds_a_request_no_longer_than_its_time(elsewhere, way):
    elsewhere.silent, elsewhere.seconds = True, 0.05
    there = ground(elsewhere, IP, CLIENT)
    assert [way(there).status for _ in range(3)] == [200, 200, 429]
    # One waits for as long as it may; nobody else asks, and so nobody else waits.
    assert (elsewhere.suspected, len(elsewhere.questions)) == (1, 1)
    assert 50_000 <= there.log.decisions[0]["us"] < 10_000_000


def test_a_refused_request_that_gets_no_answer_stays_refused(elsewhere):
    elsewhere.silent, elsewhere.seconds = True, 0.05
    there = ground(elsewhere, IP)
    decision = there.ask(token=None)
    assert (decision.status, told(decision)["ratelimit"]) == (401, '"ip";r=2;t=7200')


def test_addresses_are_counted_once_when_redis_is_away(elsewhere):
    elsewhere.away = True
    there = ground(elsewhere, IP, CLIENT)
    assert told(there.ask())["ratelimit"] == '"ip";r=2;t=7200, "client";r=1;t=7200'
    assert there.statuses(3, token=None) == [401, 401, 429]


def test_addresses_are_counted_once_when_redis_comes_back_in_between(elsewhere):
    elsewhere.away = True
    there = ground(elsewhere, IP)
    request = there.request()
    door = next(iter(there.gate.rules._rules.values())).doors[0]
    judged = door.before

    def back(asked, decision):
        judged(asked, decision)
        elsewhere.away = False

    rule = next(iter(there.gate.rules._rules.values()))
    rule.doors = (type("Door", (), {"before": staticmethod(back)})(),)
    assert told(there.gate.decide(request))["ratelimit"] == '"ip";r=5;t=3600'


def test_what_all_let_pass_is_noted_so_that_a_share_starts_as_empty_as_it_is(elsewhere):
    there = ground(elsewhere, CLIENT)
    assert there.statuses(4) == [200] * 4
    elsewhere.away = True
    assert there.statuses(2) == [429, 429]


def test_where_limits_are_counted_takes_a_new_start():
    there = Ground(CLIENT)
    with pytest.raises(CannotChange):
        there.gate.replace(parse(file(CLIENT, top=REDIS)))
    assert there.ask().allowed


def test_a_gate_with_redis_starts_and_stops_its_thread():
    there = Ground(text=file(CLIENT, top=REDIS))
    names = lambda: [thread.name for thread in threading.enumerate()].count("limits-redis")  # noqa: E731
    before = names()
    there.gate.start()
    assert names() == before + 1
    assert there.statuses(3) == [200, 200, 429]  # nobody is there: the share of one of two
    assert there.log.named("limits.alone") == [{"reason": "ConnectionError"}]
    there.gate.stop()
    assert names() == before


def test_what_is_counted_here_is_never_late():
    there = Ground(CLIENT)
    (limits,) = next(iter(there.gate.rules._rules.values())).stages
    decision = there.ask()
    decision.answer_headers = ()
    limits.late(decision)
    assert told(decision)["ratelimit"] == '"client";r=3;t=3600'


def test_a_rule_that_was_found_has_facts():
    there = Ground(CLIENT)
    (limits,) = (stage for stage in next(iter(there.gate.rules._rules.values())).stages)
    assert isinstance(limits, Limits)
    with pytest.raises(AssertionError):
        limits.begin(there.request(), Decision())
