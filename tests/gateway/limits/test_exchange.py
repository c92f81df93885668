"""What limits a request while it is under way: places, and time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.gateway.conftest import Running
from tests.gateway.issuer import AUDIENCE, Issuer
from tests.gateway.raw import Client, request
from tests.gateway.upstream import Upstream


def file(issuer: Issuer, upstream: Upstream, route: str) -> str:
    return f"""
version = 1
[server]
listen = "127.0.0.1:0"
drain = "1s"
[issuers.main]
issuer = "{issuer.issuer}"
[[routes]]
id = "orders"
match = {{ host = "api.example", method = ["GET", "POST"], path = "/orders/{{oid}}" }}
audience = "{AUDIENCE}"
upstream = "{upstream.url}"
{route}
"""


class Slow:
    """An upstream that answers when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.waiting = 0

    def __call__(self, connection, _seen) -> None:
        self.waiting += 1
        self.go.wait(10)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


@pytest.fixture
def slow(upstream):
    upstream.script = slow = Slow()
    yield slow
    slow.go.set()


@pytest.fixture
def running(serve, issuer, upstream) -> Running:
    return serve(file(issuer, upstream, 'concurrency = 2\ntimeout = "1h"'))


def room(running: Running):
    return running.server._gate.limits._rooms["orders"]


def test_whoever_finds_every_place_taken_is_told_to_come_back(running, slow, token):
    with Client(running.address) as one, Client(running.address) as two:
        for client in (one, two):
            client.send(request(token=token))
        until(lambda: slow.waiting == 2)
        answer = running.ask(request(token=token))
        assert (answer.status, answer.header("retry-after"), answer.json()["error"]) == (
            503, "1", "temporarily_unavailable",
        )  # fmt: skip
        assert running.lines()[-1]["why"] == "busy"
        slow.go.set()
        assert [client.answer().status for client in (one, two)] == [200, 200]
    assert running.ask(request(token=token)).status == 200
    until(lambda: room(running).taken == 0)


def test_a_client_that_leaves_leaves_its_place(running, slow, token):
    for _ in range(3):
        with Client(running.address) as client:
            client.send(request(token=token))
            until(lambda: slow.waiting > 0)
        until(lambda: room(running).taken == 0)


def test_a_client_that_is_gone_before_anything_began_leaves_its_place(running, token):
    for _ in range(20):
        with Client(running.address) as client:
            client.send(request(token=token))
    until(lambda: room(running).taken == 0)


def test_a_refused_request_takes_no_place(running):
    assert running.ask(request()).status == 401
    assert room(running).taken == 0


def test_places_stay_taken_when_the_file_is_read_again(running, slow, token):
    gate = running.server._gate
    with Client(running.address) as client:
        client.send(request(token=token))
        until(lambda: slow.waiting == 1)
        gate.replace(gate.rules.config)
        assert room(running).taken == 1
        slow.go.set()
        assert client.answer().status == 200
    until(lambda: room(running).taken == 0)


@pytest.mark.attack("GW27")
def test_an_exchange_ends_when_its_route_says(serve, issuer, upstream, slow, token):
    running = serve(file(issuer, upstream, 'timeout = "100ms"\nconcurrency = 1'))
    began = time.monotonic()
    answer = running.ask(request(token=token))
    assert (answer.status, answer.json()["error"]) == (504, "bad_gateway")
    assert 0.1 <= time.monotonic() - began < 9  # the server behind takes ten
    until(lambda: room(running).taken == 0)
    assert [line["reason"] for line in running.lines("upstream.failed")] == [
        "exchange takes longer than its route allows"
    ]


def test_an_answer_that_does_not_end_in_time_does_not_look_whole(serve, issuer, upstream, token):
    def dribble(connection, _seen) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
        over.wait(30)

    over, upstream.script = threading.Event(), dribble
    running = serve(file(issuer, upstream, 'timeout = "500ms"'))
    with Client(running.address) as client:
        client.send(request(token=token))
        assert client.ended()
    over.set()


def test_a_body_that_comes_slowly_ends_too(serve, issuer, upstream, token):
    running = serve(file(issuer, upstream, 'timeout = "100ms"'))
    with Client(running.address) as client:
        client.send(request("POST", token=token, Content_Length="10") + b"12345")
        assert client.answer().status == 504
