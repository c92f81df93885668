from __future__ import annotations

import asyncio
import os
import select
import time

import pytest

from idp.gateway import answers
from idp.gateway.decide import Gate
from idp.gateway.fetch import fetcher
from idp.gateway.load import parse
from idp.gateway.request import Decision, Request
from tests.gateway.conftest import Running, config_text
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import Issuer, a_key
from tests.gateway.raw import Client, request
from tests.gateway.websocket.peer import wait_until


class Ground:
    """A gate without a network and with clocks that stand still."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.issuer.issuer = "https://idp.example"
        self.fetch = Fetcher({"https://idp.example/jwks": self.issuer.jwks()})
        self.log = Log()
        self.clock = Clock()
        text = config_text(self.issuer, None, jwks='uri = "https://idp.example/jwks"')
        self.gate = Gate(parse(text), log=self.log, fetch=self.fetch, monotonic=self.clock)
        self.source = self.gate.sources["main"]

    def ask(self, token: str | None, target: bytes = b"/orders/7") -> Decision:
        headers = [] if token is None else [(b"authorization", b"Bearer " + token.encode())]
        return self.gate.decide_now(Request(method="GET", target=target, host=b"api.example", headers=headers))

    def publish(self, *numbers: int) -> None:
        self.issuer.keys = [a_key(number=number) for number in numbers]
        self.fetch.answers["https://idp.example/jwks"] = self.issuer.jwks()


@pytest.fixture
def ground() -> Ground:
    ground = Ground()
    ground.source.refresh()
    return ground


def test_a_good_token_is_let_through_and_written_down(ground):
    decision = ground.ask(ground.issuer.token())
    assert (decision.allowed, decision.status, decision.reason) == (True, 200, "")
    assert ground.log.decisions[0]["why"] == "allowed"


def test_a_decision_that_nobody_made_allows_nothing():
    decision = Decision()
    assert (decision.allowed, decision.status) == (False, 500)
    with pytest.raises(AssertionError):
        decision.answer()


@pytest.mark.attack("GW18")
def test_without_keys_the_answer_is_503_and_not_401():
    ground = Ground()
    decision = ground.ask(ground.issuer.token())
    assert (decision.status, decision.refusal) == (503, answers.NO_KEYS)
    assert decision.answer()[1][-1] == (b"retry-after", b"5")


@pytest.mark.attack("GW18")
def test_keys_serve_while_the_issuer_is_down_and_then_nothing_does(ground):
    token = ground.issuer.token()
    ground.fetch.down = True
    assert ground.ask(token).allowed
    ground.clock.advance(86_399)
    assert ground.ask(token).allowed
    ground.clock.advance(1)
    assert ground.ask(token).status == 503  # though the token itself is remembered
    assert not ground.gate.ready()


@pytest.mark.attack("GW20")
def test_a_withdrawn_key_takes_its_remembered_tokens_along(ground):
    token = ground.issuer.token()
    assert ground.ask(token).allowed
    ground.publish(1)
    ground.source.refresh()
    assert ground.ask(token).status == 401


def test_a_new_key_leaves_remembered_tokens_in_peace(ground):
    token = ground.issuer.token()
    ground.ask(token)
    ground.publish(0, 1)
    ground.source.refresh()
    assert ground.ask(token).cached


def test_a_refused_token_is_tried_again_with_new_keys(ground):
    ground.publish(0, 1)
    token = ground.issuer.token(key=a_key(number=1))
    ground.source.refresh()
    ground.publish(0)
    ground.source.refresh()
    assert ground.ask(token).status == 401
    ground.publish(0, 1)
    ground.source.refresh()
    assert ground.ask(token).allowed


@pytest.mark.attack("GW19")
def test_ten_thousand_unknown_keys_ask_once_and_are_refused_at_once(ground):
    ground.clock.advance(30)
    strange = [ground.issuer.token(key=a_key(number=5), jti=str(number)) for number in range(10)]
    waiting = [ground.ask(strange[number % 10]).waits is not None for number in range(10_000)]
    assert waiting.index(True) == 0
    assert sum(waiting) == 1
    began = time.thread_time()
    for _ in range(100):
        assert ground.ask(strange[0]).status == 401
    assert (time.thread_time() - began) / 100 < 0.005


@pytest.mark.attack("GW24")
@pytest.mark.parametrize("where", ["verify", "find"])
def test_a_fault_of_ours_refuses(ground, monkeypatch, where):
    def broken(*_args):
        raise ZeroDivisionError

    rules = ground.gate.rules
    target = rules if where == "find" else next(iter(rules._rules.values())).verifier
    monkeypatch.setattr(target, where, broken)
    decision = ground.ask(ground.issuer.token())
    assert (decision.allowed, decision.status) == (False, 500)
    assert ground.log.named("decide.fault") == [{"kind": "ZeroDivisionError"}]


@pytest.mark.attack("GW24")
def test_an_issuer_that_takes_too_long_refuses_the_one_who_waits(ground, monkeypatch):
    monkeypatch.setattr("idp.gateway.decide.SECONDS", 0.05)
    ground.clock.advance(30)
    headers = [(b"authorization", b"Bearer " + ground.issuer.token(key=a_key(number=5)).encode())]
    ask = Request(method="GET", target=b"/orders/7", host=b"api.example", headers=headers)
    assert ground.gate.decide(ask).status == 401
    ground.clock.advance(30)

    async def settled() -> Decision:
        return await ground.gate.settle(ask, ground.gate.decide_now(ask))

    assert asyncio.run(settled()).status == 401


def test_settling_what_is_settled_changes_nothing(ground):
    decision = ground.ask(None)
    assert asyncio.run(ground.gate.settle(None, decision)) is decision


def test_a_forked_worker_starts_its_own_threads(ground, monkeypatch):
    started = []
    monkeypatch.setattr(type(ground.source), "start", lambda _: started.append(os.getpid()))
    ground.gate.start()
    ground.gate.start()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    ground.gate.start()
    assert len(started) == 2


@pytest.mark.attack("GW19")
def test_a_key_that_was_just_published_is_fetched_for_the_first_who_brings_it(serve, issuer, upstream):
    proxy = serve(config_text(issuer, upstream))
    looked_long_ago(proxy)
    before = issuer.fetches
    issuer.keys = [a_key(number=1)]
    for method, length in (("GET", {}), ("POST", {"Content_Length": "0"})):
        assert proxy.ask(request(method, token=issuer.token(), **length)).status == 200
    assert issuer.fetches == before + 1
    assert proxy.ask(request(token=issuer.token(key=a_key(number=0)))).status == 401


def looked_long_ago(proxy: Running) -> None:
    """Let the cooldown be over for the next who brings a key that is unknown."""
    proxy.server._gate.sources["main"]._last = float("-inf")


@pytest.mark.attack("GW19")
def test_while_one_waits_for_a_hanging_issuer_others_are_served(serve, issuer, upstream, token, monkeypatch):
    monkeypatch.setattr("idp.gateway.decide.SECONDS", 60.0)
    monkeypatch.setattr("idp.gateway.jwks.fetcher", lambda ca_file: fetcher(ca_file, seconds=60.0))
    proxy = serve(config_text(issuer, upstream))
    looked_long_ago(proxy)
    issuer.hanging = True
    with Client(proxy.address) as waiting:
        before = issuer.fetches
        waiting.send(request(token=issuer.token(key=a_key(number=5))))
        assert wait_until(lambda: issuer.fetches > before)
        assert proxy.ask(request(token=token)).status == 200
        assert proxy.ask(request(token=issuer.token(key=a_key(number=6)))).status == 401
        assert select.select([waiting.socket], [], [], 0)[0] == []  # it waits still: others did not wait for it
        issuer.hang.set()
        assert waiting.answer().status == 401


@pytest.mark.attack("GW18")
def test_readiness_says_whether_tokens_can_be_checked(serve, issuer, upstream):
    proxy = serve(config_text(issuer, upstream))
    assert proxy.ask(request(target="/.gatehouse/readyz")).status == 200
    source = proxy.server._gate.sources["main"]
    issuer.status = 500
    source.refresh()
    answer = proxy.ask(request(target="/.gatehouse/readyz"))
    assert answer.status == 200
    assert answer.json()["issuers"]["main"]["warning"]
    source.snapshot = None
    assert proxy.ask(request(target="/.gatehouse/readyz")).status == 503
    assert proxy.ask(request(target="/.gatehouse/healthz")).status == 200


def test_the_gateways_own_addresses_are_few(proxy, token):
    assert proxy.ask(request(target="/.gatehouse/other", token=token)).status == 404
    assert proxy.ask(request("POST", "/.gatehouse/healthz", Content_Length="0")).status == 405


@pytest.mark.attack("GW18")
def test_it_starts_without_its_issuer_and_says_503(serve, issuer, upstream, monkeypatch):
    monkeypatch.setattr("idp.gateway.serve._FIRST_KEYS_SECONDS", 0.1)
    issuer.status = 500
    proxy = serve(config_text(issuer, upstream))
    assert proxy.ask(request(token=issuer.token())).status == 503
    issuer.status = 200
    deadline = time.monotonic() + 30
    while proxy.ask(request(token=issuer.token())).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
