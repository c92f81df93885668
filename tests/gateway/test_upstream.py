"""Connections to a server behind that says too much, or whose answer nobody fetched: the next caller hears his own."""

from __future__ import annotations

import socket
import time

import pytest

from tests.gateway.conftest import config_text
from tests.gateway.raw import Client, request

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_of_two_answers_at_once_the_first_counts(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    assert proxy.ask(request(token=token)).status == 404


@pytest.mark.parametrize("first", [OK, b"HTTP/1.1 204 No Content\r\n\r\n"])
@pytest.mark.parametrize("rest", [b"H", b"HTTP/1.1 200 OK\r\nset-cookie: of=another\r\nx-swallows: "])
def test_what_follows_an_answer_is_not_the_beginning_of_the_next(first, rest, proxy, upstream, token):
    answers = [first + rest, b"HTTP/1.1 404 No\r\nx-mine: 1\r\n\r\n"]

    def script(connection, _seen):
        connection.sendall(answers.pop(0))
        return bool(answers)

    upstream.script = script
    assert proxy.ask(request(token=token)).status in {200, 204}
    answer = proxy.ask(request(token=token))
    assert (answer.status, answer.header("x-mine"), answer.header("set-cookie")) == (404, "1", None)
    assert upstream.connections == 2


@pytest.mark.spec("RFC 9110 section 8.6")
def test_an_answer_without_content_has_no_length(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\nx-a: 1\r\n\r\n"
    answer = proxy.ask(request(token=token))
    assert (answer.status, answer.header("content-length"), answer.header("x-a")) == (204, None, "1")


def test_a_connection_whose_answer_nobody_fetched_is_not_given_to_the_next(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream))
    pool = proxy.pool

    def behind():
        return next(iter(pool.connections))

    def script(connection, _seen):
        upstream.script = None
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        piece = b"4e20\r\n" + b"x" * 20_000 + b"\r\n"
        while behind()._held < 100_000:
            connection.sendall(piece)
            time.sleep(0.002)
        connection.sendall(b"c350\r\n" + b"y" * 50_000 + b"\r\n0\r\n\r\n")
        return True

    upstream.script = script
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(proxy.address)
        client.sendall(request(token=token))
        deadline = time.monotonic() + 10
        while not (pool.connections and behind().complete) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert behind()._read_paused
    while pool.connections and not behind().idle:
        time.sleep(0.01)
    with Client(proxy.address, timeout=3) as client:
        client.send(request(token=token))
        assert client.answer().body == b"ok"


@pytest.mark.spec("RFC 9110 section 15")
def test_a_status_that_is_none_is_an_answer_that_cannot_be_read(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n"
    assert proxy.ask(request(token=token)).status == 502
