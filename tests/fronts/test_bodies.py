"""Bodies go to the API and never to the gateway; a front that cannot ask lets nobody through."""

from __future__ import annotations

import pytest

from idp.gateway.server.protocol import GatewayProtocol
from tests.gateway.raw import request


def test_a_body_goes_to_the_api(front):
    assert front.ask(request("POST", token=front.token(), Content_Length="5") + b"hello").status == 200
    assert front.api.last.body == b"hello"


def test_a_body_in_chunks_goes_to_the_api(front):
    data = request("PUT", token=front.token(), Transfer_Encoding="chunked") + b"5\r\nhello\r\n0\r\n\r\n"
    assert front.ask(data).status == 200
    body = front.api.last.body
    assert b"hello" in body


def test_a_large_body_is_not_shown_to_the_gateway(front):
    size = 300_000
    data = request("PUT", "/files/x", token=front.token(), Content_Length=str(size)) + b"x" * size
    assert front.ask(data).status == 200
    assert len(front.api.last.body) == size


def test_a_refused_request_with_a_body_does_not_reach_the_api(front):
    data = request("POST", token=front.token(scope=""), Content_Length="5") + b"hello"
    assert front.ask(data).status == 403
    assert front.api.seen == []


def test_a_caller_who_waits_for_a_go_ahead_gets_one(front):
    with front.connect() as caller:
        caller.send(request("POST", token=front.token(), Content_Length="5", Expect="100-continue"))
        answer = caller.answer()
        if answer.status == 100:
            caller.send(b"hello")
            answer = caller.answer()
    assert answer.status == 200
    assert front.api.last.body == b"hello"


@pytest.mark.attack("GW24")
def test_without_an_answer_of_the_gateway_nobody_passes(front, monkeypatch):
    monkeypatch.setattr(GatewayProtocol, "data_received", lambda self, _: self.transport.abort())
    answer = front.ask(request(token=front.token()))
    assert answer.status == (500 if front.name == "traefik" else 503)
    assert front.api.seen == []


@pytest.mark.attack("GW24")
def test_a_fault_in_the_gateway_opens_nothing(front, monkeypatch):
    monkeypatch.setattr(front.gateway.server._gate, "_policy", lambda *_: 1 / 0)
    assert front.ask(request(token=front.token())).status in {500, 503}
    assert front.api.seen == []


def test_a_refusal_does_not_wait_for_the_whole_body(front):
    """Caddy wants to see 256 KB first, as Go's server does when its request was wrapped."""
    with front.connect() as caller:
        caller.send(request("PUT", "/files/x", Content_Length="1000000") + b"x" * 300_000)
        assert caller.answer().status == 401
    assert front.api.seen == []
