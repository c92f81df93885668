"""Answers that last: looked at again while they do, and cut when what let them through does not hold any more."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from idp.gateway.load import parse
from idp.gateway.principal import Principal
from idp.gateway.request import Request
from idp.gateway.revocation.doubt import InDoubt
from idp.gateway.tenure import Tenure
from idp.gateway.verifier import Unavailable
from tests.gateway.issuer import AUDIENCE, a_key
from tests.gateway.raw import Client, request
from tests.gateway.websocket.conftest import live_text
from tests.gateway.websocket.peer import wait_until

BUSY = 4.0  # how much longer a machine may take that has other things to do
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
DOWNLOAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def endless(upstream, head: bytes = EVENTS, seconds: float = 20.0) -> threading.Event:
    """Let the server behind talk on; the event is set when nobody listens any more."""
    gone = threading.Event()

    def script(connection, _seen):
        connection.sendall(head)
        deadline = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                connection.sendall(b"7\r\ndata:1\n\r\n")
                time.sleep(0.02)
            connection.sendall(b"0\r\n\r\n")
        gone.set()
        return False

    upstream.script = script
    return gone


def torn_after(client: Client) -> float:
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        client.answer()
    return time.monotonic() - began


@pytest.mark.attack("GW22")
@pytest.mark.parametrize("target", ["/plain/events", "/cut"])
def test_a_stream_of_events_is_cut_with_its_token(target, scripted, upstream, issuer):
    gone = endless(upstream)
    with Client(scripted.address) as client:
        end = int(time.time()) + 2
        client.send(request(target=target, token=issuer.token(exp=end)))
        assert torn_after(client) < 2 + BUSY
        assert time.time() >= end
    assert gone.wait(3)
    (cut,) = scripted.lines("stream.cut")
    assert (cut["why"], cut["id"]) == ("expired", scripted.lines()[0]["id"])


@pytest.mark.attack("GW22")
@pytest.mark.parametrize("head", [EVENTS, DOWNLOAD])
@pytest.mark.parametrize("target", ["/plain/x", "/finish"])
def test_whatever_lasts_is_cut_within_a_second_of_a_revocation(target, head, scripted, upstream, issuer, stream):
    name = f"{target}-{len(head)}"
    gone = endless(upstream, head)
    with Client(scripted.address) as client:
        client.send(request(target=target, token=issuer.token(jti=name)))
        while b"data:1" not in client.kept:
            assert client._more()
        stream.end("token", name)
        assert torn_after(client) < 1 + BUSY
    assert gone.wait(3)


@pytest.mark.parametrize(("target", "head"), [("/finish", EVENTS), ("/plain/x", DOWNLOAD)])
def test_what_has_an_end_may_outlive_its_token_for_a_while(target, head, scripted, upstream, issuer):
    endless(upstream, head, seconds=2.7)
    with Client(scripted.address) as client:
        client.send(request(target=target, token=issuer.token(exp=int(time.time()) + 2)))  # a second at least
        assert client.answer().status == 200


@pytest.mark.attack("GW22")
def test_not_for_ever_though(scripted, upstream, issuer, monkeypatch):
    monkeypatch.setattr("idp.gateway.tenure._OUTLIVES", 0.5)
    endless(upstream, DOWNLOAD)
    with Client(scripted.address) as client:
        client.send(request(target="/plain/x", token=issuer.token(exp=int(time.time()) + 2)))
        assert torn_after(client) < 3 + BUSY


@pytest.mark.attack("GW22")
def test_a_client_that_has_heard_nothing_yet_is_told_why(scripted, upstream, issuer, stream):
    over = threading.Event()
    upstream.script = lambda _connection, _seen: over.wait(30) and False
    with Client(scripted.address) as waiting, Client(scripted.address) as sending:
        waiting.send(request(target="/plain/x", token=issuer.token(jti="heard-nothing")))
        sending.send(request("POST", "/plain/x", token=issuer.token(jti="heard-nothing"), Content_Length="10") + b"abc")
        wait_until(lambda: upstream.seen)
        stream.end("token", "heard-nothing")
        for client in (waiting, sending):
            answer = client.answer()
            assert (answer.status, answer.json()["error"]) == (401, "invalid_token")
    over.set()


def test_streams_are_cut_when_the_gateway_stops_and_what_has_an_end_is_finished(serve, issuer, upstream, key, token):
    gateway = serve(live_text(issuer, upstream.url, key))
    go = threading.Event()
    endless(upstream)
    events = upstream.script
    with Client(gateway.address) as listening, Client(gateway.address) as asking:
        listening.send(request(target="/plain/events", token=token))
        while b"data:1" not in listening.kept:
            assert listening._more()
        upstream.script = lambda connection, _seen: go.wait(5) and (connection.sendall(upstream.answer) or True)
        asking.send(request(target="/plain/x", token=token))
        wait_until(lambda: len(upstream.seen) == 2)
        gateway.server.should_exit = True
        assert torn_after(listening) < 1 + BUSY
        go.set()
        assert asking.answer().status == 200
    assert events is not None


@pytest.mark.attack("GW22")
def test_a_new_file_counts_for_what_is_under_way(serve, issuer, upstream, key, token):
    text = live_text(issuer, upstream.url, key)
    gateway = serve(text)
    endless(upstream)
    with Client(gateway.address) as client:
        client.send(request(target="/plain/events", token=token))
        while b"data:1" not in client.kept:
            assert client._more()
        gateway.server._gate.replace(parse(text.replace('path = "/plain/', 'path = "/other/')))
        assert torn_after(client) < 1 + BUSY
    (cut,) = gateway.lines("stream.cut")
    assert cut["why"] == "no_route"


# What it looks at, turn by turn


class Ground:
    """A tenure whose clocks are turned by hand."""

    def __init__(self, gateway, token: str, target: str = "/live/a", *, meanwhile=lambda: None) -> None:
        self.gate = gateway.server._gate
        headers = [(b"host", b"api.example"), (b"authorization", b"Bearer " + token.encode())]
        asked = Request(method="GET", target=target.encode(), host=b"api.example", headers=headers, peer="127.0.0.1")
        self.decision = self.gate.decide_now(asked)
        meanwhile()
        self.began = time.time()
        self.later = 0.0
        self.ends: list[str] = []
        self.tenure = Tenure(
            self.gate, asked, self.decision,
            cut=self.ends.append, cuts=lambda: True, log=gateway.log, wall=lambda: self.began + self.later,
        )  # fmt: skip
        self.tenure.check(100.0)

    def after(self, seconds: float) -> list[str]:
        self.later = seconds
        self.tenure.check(100.0 + seconds)
        return self.ends


@pytest.fixture
def own(serve, issuer, upstream, key):
    return serve(live_text(issuer, upstream.url, key))


def test_what_holds_goes_on_and_what_is_over_is_over_once(own, issuer):
    ground = Ground(own, issuer.token())
    assert [ground.after(seconds) for seconds in (1, 29, 31, 62, 599)] == [[]] * 5
    assert ground.after(601) == ["expired"]
    assert ground.after(602) == ["expired"]
    ground.tenure.end("again")
    assert ground.ends == ["expired"]


def test_a_key_that_was_withdrawn_ends_what_it_let_through(own, issuer):
    key = a_key("ES256", 7)
    issuer.keys.append(key)
    source = own.server._gate.sources["main"]
    source.refresh()
    ground = Ground(own, issuer.token(key=key))
    assert ground.after(31) == []
    issuer.keys.remove(key)
    source.refresh()
    assert ground.after(62) == ["no single key fits the token"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('scope = ["orders:read"]', 'scope = ["orders:other"]', "scope"),
        (
            'scope = ["orders:read"]',
            'scope = ["orders:other"] }\nmode = "shadow"\nreview = { owner = "me", by = 2099-01-01',
            None,
        ),
        ("websocket = true", "websocket = false", "no_websocket"),
        ('audience = "https://orders.example"', 'audience = "https://other.example"', "audience"),
        ('path = "/live/', 'path = "/dead/', "no_route"),
        ('method = ["GET"], path = "/live/{topic}" }', 'method = ["POST"], path = "/live/{topic}" }', "no_route"),
        ("websocket = true", 'websocket = true\nbind = { dpop = "required" }', "not bound to a key"),
        ("websocket = true", 'websocket = true\nbind = { dpop = "optional" }', None),
        ("revocation = { ", "#", None),
    ],
)
def test_rules_that_change_are_asked_at_once(old, new, why, own, issuer, upstream, key):
    ground = Ground(own, issuer.token())
    text = live_text(issuer, upstream.url, key)
    assert old in text
    if why == "no_route":
        text = text.replace("websocket = true", "")
    if new == "#":
        ground.gate.rules = ground.gate._ruled(parse(text), ground.gate._issuers)
    else:
        ground.gate.replace(parse(text.replace(old, new, 1)))
    assert ground.after(1) == ([why] if why else [])


@pytest.mark.attack("TK33")
@pytest.mark.parametrize(("proved", "why"), [(True, []), (False, ["bound to a key"])])
def test_what_was_proved_when_it_came_is_not_asked_for_again(proved, why, own, issuer, monkeypatch):
    ground, claims = (
        Ground(own, issuer.token()),
        {"sub": "a", "aud": AUDIENCE, "client_id": "b", "scope": "orders:read"},
    )
    bound = Principal({**claims, "cnf": {"jkt": "A" * 43}})
    ground.decision.proved = proved
    monkeypatch.setattr(ground.decision.rule.verifier, "verify", lambda *_: (bound, True))
    assert ground.after(31) == why


@pytest.mark.attack("GW22")
def test_rules_that_changed_before_it_began_are_asked_at_once_too(own, issuer, upstream, key):
    """An exchange, say, has taken seconds since the decision."""
    text = live_text(issuer, upstream.url, key).replace("orders:read", "orders:other")
    ground = Ground(own, issuer.token(), meanwhile=lambda: own.server._gate.replace(parse(text)))
    assert ground.decision.allowed
    assert ground.ends == ["scope"]


@pytest.mark.attack("GW24")
@pytest.mark.parametrize(("trouble", "why"), [(Unavailable(), "no_keys"), (ZeroDivisionError(), "fault")])
def test_trouble_of_ours_ends_it(trouble, why, own, issuer, monkeypatch):
    ground = Ground(own, issuer.token())

    def verify(*_: object) -> None:
        raise trouble

    monkeypatch.setattr(ground.decision.rule.verifier, "verify", verify)
    assert ground.after(31) == [why]


class Question:
    asked = 0

    def ask(self) -> None:
        self.asked += 1


def test_a_doubt_is_asked_about_and_one_that_stays_is_a_no(own, issuer, monkeypatch):
    ground, question = Ground(own, issuer.token()), Question()

    def verify(*_: object) -> None:
        raise InDoubt(question)

    monkeypatch.setattr(ground.decision.rule.verifier, "verify", verify)
    turns = [ground.after(31 + turn)[:] for turn in range(12)]
    assert turns[9] == []
    assert turns[11] == ["in_doubt"]
    assert question.asked == 10


def test_a_doubt_that_nobody_can_settle_is_a_no(own, issuer, monkeypatch):
    ground = Ground(own, issuer.token())

    def passes(*_: object) -> bool:
        raise InDoubt

    monkeypatch.setattr(ground.gate.feeds["main"], "passes", passes)
    assert ground.after(31) == ["in_doubt"]


def test_what_its_issuer_no_longer_stands_by_is_over(own, issuer, monkeypatch):
    ground = Ground(own, issuer.token())
    monkeypatch.setattr(ground.gate.feeds["main"], "passes", lambda *_: False)
    assert ground.after(31) == ["revoked"]


def test_nobody_was_let_through_by_a_refusal(own, issuer):
    assert Ground(own, "x").ends == ["fault"]
