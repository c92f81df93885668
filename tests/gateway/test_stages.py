"""What is done after the judgement: once, in order, with patience that ends, through every shape."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from idp.gateway import answers, asgi, stages, wsgi
from idp.gateway.decide import Gate
from idp.gateway.load import parse
from idp.gateway.request import Decision, Request
from tests.gateway.conftest import Running, config_text
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import AUDIENCE, Issuer, a_key
from tests.gateway.raw import Client, request
from tests.gateway.test_forward_auth import question
from tests.gateway.test_middleware import environ, scope


class Step:
    """A stage that does as it is told."""

    def __init__(self, *, regardless: bool = False, seconds: float = 0.2) -> None:
        self.regardless = regardless
        self.seconds = seconds
        self.begun = 0
        self.outcomes: list[Any] = []
        self.waits: Callable[[], Future[Any] | None] = lambda: None
        self.refusal: answers.Refusal | None = None
        self.fault = False
        self.released = 0

    def begin(self, _request: Request, decision: Decision) -> Future[Any] | None:
        self.begun += 1
        future = self.waits()
        if future is None:
            self.end(decision, "at once")
        return future

    def end(self, decision: Decision, outcome: Any) -> None:
        self.outcomes.append(outcome)
        if self.fault:
            raise ZeroDivisionError
        decision.answer_headers += ((b"x-told", b"client"),)
        decision.upstream_headers += ((b"x-brought", b"upstream"),)
        decision.holds += (self.release,)
        if self.refusal is not None:
            decision.no(self.refusal)

    def release(self) -> None:
        self.released += 1

    def wait_until_released(self, times: int) -> None:
        """The client has its answer a moment before the gateway is done with it."""
        deadline = time.monotonic() + 30
        while self.released != times and time.monotonic() < deadline:
            time.sleep(0.005)
        assert self.released == times


class Fitting:
    """Gives the same stages to every route."""

    def __init__(self, *steps: Step) -> None:
        self.steps = steps
        self.told: list[str] = []

    def adopt(self, _config) -> None:
        self.told.append("adopt")

    def stages(self, _route) -> tuple[Step, ...]:
        return self.steps

    def start(self) -> None:
        self.told.append("start")

    def stop(self) -> None:
        self.told.append("stop")


def later(value: Any, seconds: float = 0.02) -> Callable[[], Future[Any]]:
    """Make futures that another thread completes."""

    def ask() -> Future[Any]:
        future: Future[Any] = Future()
        complete = future.set_exception if isinstance(value, Exception) else future.set_result
        threading.Timer(seconds, complete, [value]).start()
        return future

    return ask


def done(value: Any) -> Callable[[], Future[Any]]:
    def ask() -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(value)
        return future

    return ask


def never() -> Future[Any]:
    return Future()


JWKS = "https://idp.example/jwks"
TOO_MANY = answers.Refusal(status=429, reason="stage", error="too_many", text="too many")


class Ground:
    """A gate whose every route has these stages."""

    def __init__(self, *steps: Step) -> None:
        self.issuer = Issuer()
        self.issuer.issuer = "https://idp.example"
        self.fitting = Fitting(*steps)
        self.log = Log()
        self.clock = Clock()
        self.fetch = Fetcher({JWKS: self.issuer.jwks()})
        self.config = parse(config_text(self.issuer, None, jwks=f'uri = "{JWKS}"'))
        self.gate = Gate(self.config, log=self.log, fetch=self.fetch, works=(self.fitting,), monotonic=self.clock)
        self.gate.sources["main"].refresh()

    def request(self, token: str | None = None) -> Request:
        token = token or self.issuer.token()
        headers = [(b"authorization", b"Bearer " + token.encode())]
        return Request(method="GET", target=b"/orders/7", host=b"api.example", headers=headers)

    def decide(self, token: str | None = None) -> Decision:
        return self.gate.decide(self.request(token))

    def settle(self, token: str | None = None) -> Decision:
        async def settled() -> Decision:
            request = self.request(token)
            return await self.gate.settle(request, self.gate.decide_now(request))

        return asyncio.run(settled())


def both(test):
    """Decide in a thread, and on an event loop."""
    return pytest.mark.parametrize("way", [Ground.decide, Ground.settle], ids=["thread", "loop"])(test)


@both
def test_stages_come_in_order_and_once_and_one_line_is_written(way):
    first, second, third = Step(), Step(), Step()
    first.waits, third.waits = later("first"), later("third")
    ground = Ground(first, second, third)
    decision = way(ground)
    assert decision.allowed
    assert [step.begun for step in (first, second, third)] == [1, 1, 1]
    assert [step.outcomes for step in (first, second, third)] == [["first"], ["at once"], ["third"]]
    assert [line["why"] for line in ground.log.decisions] == ["allowed"]
    assert ground.log.decisions[0]["us"] > 30_000  # the waiting counts


def test_nothing_is_decided_while_a_stage_waits():
    step = Step()
    step.waits = later("x", 0.01)
    ground = Ground(step)
    decision = ground.gate.decide_now(ground.request())
    assert decision.waits is not None
    assert ground.log.decisions == []


def test_what_is_there_already_is_not_waited_for():
    step = Step()
    step.waits = done("there")
    ground = Ground(step)
    decision = ground.gate.decide_now(ground.request())
    assert (decision.waits, decision.allowed, step.outcomes) == (None, True, ["there"])


@both
def test_after_a_refusal_only_what_counts_every_attempt_is_done(way):
    first, second, third = Step(), Step(), Step(regardless=True)
    first.refusal = TOO_MANY
    ground = Ground(first, second, third)
    decision = way(ground)
    assert (decision.status, second.begun, third.begun) == (429, 0, 1)
    assert first.released == third.released == 1  # nothing is held for who is not let through
    assert decision.answer()[1][-1] == (b"x-told", b"client")


@both
def test_a_bad_token_meets_only_what_counts_every_attempt(way):
    first, second = Step(), Step(regardless=True)
    ground = Ground(first, second)
    assert way(ground, ground.issuer.token(exp=1)).status == 401
    assert (first.begun, second.begun) == (0, 1)


@pytest.mark.attack("GW24")
@both
def test_what_does_not_come_in_time_refuses(way):
    step, after = Step(seconds=0.02), Step()
    step.waits = never
    ground = Ground(step, after)
    decision = way(ground)
    assert (decision.status, decision.reason, after.begun) == (503, "late", 0)
    assert len(ground.log.decisions) == 1


@pytest.mark.attack("GW24")
@both
@pytest.mark.parametrize("how", ["begins", "comes", "ends"])
def test_a_stage_that_fails_refuses(way, how):
    step, after = Step(), Step()
    step.fault = how != "comes"
    step.waits = {"begins": step.waits, "comes": later(ValueError()), "ends": later("x")}[how]
    ground = Ground(step, after)
    decision = way(ground)
    assert (decision.status, decision.waits, after.begun) == (500, None, 0)
    assert len(ground.log.named("decide.fault")) == len(ground.log.decisions) == 1


@both
def test_stages_begin_once_although_the_keys_had_to_come_first(way):
    step = Step(regardless=True)
    step.waits = later("x")
    ground = Ground(step)
    ground.gate.start()
    while len(ground.fetch.asked) < 2:  # the thread begins with a fetch of its own
        time.sleep(0.005)
    ground.clock.advance(30)
    ground.issuer.keys = [a_key(number=0), a_key(number=3)]
    ground.fetch.answers[JWKS] = ground.issuer.jwks()
    assert way(ground, ground.issuer.token(key=a_key(number=3))).allowed
    assert step.begun == 1
    ground.gate.stop()


def test_whoever_leaves_while_waiting_gives_back_what_was_held():
    first, second = Step(), Step()
    second.waits = never
    ground = Ground(first, second)

    async def left() -> None:
        request = ground.request()
        task = asyncio.create_task(ground.gate.settle(request, ground.gate.decide_now(request)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(left())
    assert first.released == 1


def test_only_a_decision_that_waits_can_go_on():
    with pytest.raises(AssertionError):
        stages.resume(Ground().request(), Decision())


def test_a_future_that_comes_after_its_loop_has_ended_harms_nobody(caplog):
    future: Future[Any] = Future()
    asyncio.run(stages.waited(future, 0.01))
    future.set_result("late")
    assert caplog.records == []


def test_a_future_and_the_end_of_patience_may_come_together():
    async def both_at_once() -> None:
        future: Future[Any] = Future()
        waiting = asyncio.create_task(stages.waited(future, 0))
        await asyncio.sleep(0)
        future.set_result("x")
        await waiting

    asyncio.run(both_at_once())


def test_works_are_told_of_every_file_and_of_the_beginning_and_the_end():
    ground = Ground(Step())
    ground.gate.start()
    ground.gate.start()
    ground.gate.replace(ground.config)
    ground.gate.stop()
    assert ground.fitting.told == ["adopt", "start", "adopt", "stop"]


def fitted(running: Running, *steps: Step) -> Running:
    """Give the routes of a running gateway these stages."""
    gate = running.server._gate
    gate._works = (Fitting(*steps),)
    gate.replace(gate.rules.config)
    running.forget()
    return running


@pytest.mark.parametrize("waits", [lambda: None, later("x")], ids=["at once", "later"])
def test_the_proxy_tells_both_sides_and_gives_back_at_the_end(waits, proxy, upstream, token):
    step = Step()
    step.waits = waits
    answer = fitted(proxy, step).ask(request(token=token))
    assert (answer.status, answer.header("x-told")) == (200, "client")
    assert upstream.last.header(b"x-brought") == b"upstream"
    assert upstream.last.header(b"x-auth-subject") == b"0190-alice"
    step.wait_until_released(1)
    body = proxy.ask(request("POST", token=token, Content_Length="5") + b"12345")
    assert (body.status, body.header("x-told")) == (200, "client")
    step.wait_until_released(2)


@pytest.mark.parametrize("waits", [lambda: None, later("x")], ids=["at once", "later"])
def test_the_proxy_refuses_for_a_stage(waits, proxy, upstream, token):
    step = Step()
    step.waits, step.refusal = waits, TOO_MANY
    answer = fitted(proxy, step).ask(request(token=token))
    assert (answer.status, answer.header("x-told"), answer.json()["error"]) == (429, "client", "too_many")
    assert (upstream.seen, step.released) == ([], 1)
    assert proxy.lines()[0]["why"] == "stage"


def test_a_body_that_is_too_large_gives_back_what_was_held(proxy, token):
    step = Step()
    fitted(proxy, step)
    with Client(proxy.address) as client:
        client.send(request("POST", token=token, Content_Length="99999999"))
        answer = client.answer()
    assert (answer.status, answer.header("x-told"), step.released) == (413, "client", 1)


def test_an_upstream_that_is_away_gives_back_what_was_held(serve, issuer, token):
    step = Step()
    running = fitted(serve(config_text(issuer, None)), step)
    answer = running.ask(request(token=token))
    assert (answer.status, answer.header("x-told")) == (502, "client")
    step.wait_until_released(1)


@pytest.mark.parametrize("waits", [lambda: None, later("x")], ids=["at once", "later"])
def test_forward_auth_tells_the_asking_server(waits, serve, issuer, token):
    step = Step()
    step.waits = waits
    text = config_text(issuer, None, server='shape = "forward_auth"', top='trusted_proxies = ["127.0.0.1"]')
    running = fitted(serve(text), step)
    answer = running.ask(question(token=token))
    told = [answer.header(name) for name in ("x-told", "x-brought", "x-auth-subject")]
    assert (answer.status, told) == (200, ["client", "upstream", "0190-alice"])
    step.refusal = TOO_MANY
    answer = running.ask(question(token=token))
    assert (answer.status, answer.header("x-gatehouse-status"), answer.header("x-told")) == (403, "429", "client")


class Body:
    """An answer that can be closed."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self):
        return iter([b"ok"])

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("body", [Body(), [b"ok"]], ids=["with an end", "a list"])
def test_wsgi_tells_both_sides_and_gives_back_when_the_answer_is_closed(body):
    step = Step()
    step.waits = later("x")
    ground = Ground(step)
    said: list[Any] = []
    seen: list[Any] = []

    def application(environ, start_response):
        seen.append(environ)
        start_response("200 OK", [("A", "b")])
        return body

    app = wsgi.Guarded(application, ground.gate)
    answer = app(environ(token=ground.issuer.token()), lambda *args: said.append(args))
    assert b"".join(answer) == b"ok"
    assert said == [("200 OK", [("A", "b"), ("X-Told", "client")])]
    assert (seen[0]["HTTP_X_BROUGHT"], seen[0]["HTTP_X_AUTH_SUBJECT"]) == ("upstream", "0190-alice")
    assert step.released == 0
    answer.close()
    assert step.released == 1
    assert getattr(body, "closed", 1) == 1


def test_wsgi_gives_back_when_the_application_fails():
    step = Step()
    ground = Ground(step)

    def application(_environ, _start_response):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wsgi.Guarded(application, ground.gate)(environ(token=ground.issuer.token()), lambda *_: None)
    assert step.released == 1


def test_asgi_tells_both_sides_and_gives_back():
    step = Step()
    step.waits = later("x")
    ground = Ground(step)
    seen: list[Any] = []
    sent: list[Any] = []

    async def application(scope, _receive, send):
        seen.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message):
        sent.append(message)

    asyncio.run(asgi.Guarded(application, ground.gate)(scope(token=ground.issuer.token()), None, send))
    assert sent[0]["headers"] == [(b"a", b"b"), (b"x-told", b"client")]
    assert seen[0][b"x-brought"] == b"upstream"
    assert step.released == 1


def test_a_decorated_function_finds_what_is_to_be_told():
    step = Step()
    step.waits = later("x")
    ground = Ground(step)
    around = environ(token=ground.issuer.token())
    guard = wsgi.Guard(ground.gate, lambda: around)

    @guard.require(audience=AUDIENCE, scope=["orders:read"])
    def view() -> str:
        assert step.released == 0
        return "seen"

    assert view() == "seen"
    assert around["gatehouse.headers"] == [("X-Told", "client")]
    assert step.released == 1
    step.refusal = TOO_MANY
    _, status, headers = view()
    assert (status, headers[-1]) == (429, ("X-Told", "client"))
