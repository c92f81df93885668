from __future__ import annotations

import hashlib
import os
import socket
import threading
import time

import pytest

from idp.gateway.upstreams.model import Origin
from tests.gateway.conftest import config_text
from tests.gateway.raw import Client, request
from tests.gateway.websocket.peer import wait_until

QUICK = 'response_timeout = "300ms"\nconnect_timeout = "300ms"\n[server.limits]\nbody_timeout = "300ms"'


def test_a_request_travels_whole_and_so_does_its_answer(proxy, upstream, token):
    upstream.answer = (
        b"HTTP/1.1 201 Made\r\nX-A: 1\r\nx-a: 2\r\nSet-Cookie: a=b\r\nDate: x\r\nContent-Length: 3\r\n\r\nabc"
    )
    answer = proxy.ask(request("POST", "/orders/7?q=%2F", token=token, Content_Length="5", X_Mine="1") + b"hello")
    assert (answer.status, answer.body, answer.header("x-a"), answer.header("date")) == (201, b"abc", "1|2", "x")
    seen = upstream.last
    assert (seen.line, seen.body, seen.header(b"x-mine")) == (b"POST /orders/7?q=%2F HTTP/1.1", b"hello", b"1")


@pytest.mark.parametrize("framing", ["length", "chunked", "end"])
def test_a_large_answer_streams_through_unchanged(framing, proxy, upstream, token):
    body = os.urandom(3_000_000)
    head = {
        "length": b"content-length: %d\r\n\r\n" % len(body),
        "chunked": b"transfer-encoding: chunked\r\n\r\n",
        "end": b"\r\n",
    }[framing]

    def script(connection, _seen):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head)
        for at in range(0, len(body), 50_000):
            piece = body[at : at + 50_000]
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        if framing == "chunked":
            connection.sendall(b"0\r\nX-Trailer: 1\r\n\r\n")
        return framing != "end"

    upstream.script = script
    answer = proxy.ask(request(token=token))
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("chunked", [True, False])
def test_a_large_body_streams_through_unchanged(chunked, proxy, upstream, token):
    body = os.urandom(3_000_000)
    framing = {"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": str(len(body))}
    with Client(proxy.address) as client:
        client.send(request("POST", token=token, **framing))
        for at in range(0, len(body), 40_000):
            piece = body[at : at + 40_000]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        client.send(b"0\r\n\r\n" if chunked else b"")
        assert client.answer().status == 200
    got = upstream.last.body
    if chunked:
        got = unchunk(got)
    assert got == body


def unchunk(data: bytes) -> bytes:
    whole = b""
    while True:
        size, data = data.split(b"\r\n", 1)
        if int(size, 16) == 0:
            return whole
        whole, data = whole + data[: int(size, 16)], data[int(size, 16) + 2 :]


def test_the_head_of_an_answer_does_not_wait_for_its_body(proxy, upstream, token):
    go = threading.Event()

    def script(connection, _seen):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        go.wait(5)
        connection.sendall(b"5\r\nevent\r\n0\r\n\r\n")
        return True

    upstream.script = script
    with Client(proxy.address) as client:
        client.send(request(token=token))
        while b"\r\n\r\n" not in client.kept:
            client._more()
        go.set()
        assert client.answer().body == b"event"


def test_an_upstream_may_answer_before_it_has_heard_all(proxy, upstream, token, monkeypatch):
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 409 Conflict\r\ncontent-length: 4\r\n\r\nstop")
            time.sleep(0.3)

    with socket.create_server(("127.0.0.1", 0)) as server, Client(proxy.address) as client:
        threading.Thread(target=serve, daemon=True).start()
        pool = proxy.pool
        monkeypatch.setattr(pool, "_origin", Origin(host="127.0.0.1", port=server.getsockname()[1]))
        monkeypatch.setattr(pool, "_idle", [])
        client.send(request("POST", token=token, Content_Length="1000000") + b"a" * 1_000)
        answer = client.answer()
        assert (answer.status, answer.body, answer.closed) == (409, b"stop", True)
        assert client.ended()


def test_a_client_that_waits_for_100_is_told_to_go_on_only_when_it_may(proxy, upstream, token):
    with Client(proxy.address) as client:
        client.send(request("POST", token=token, Content_Length="3", Expect="100-continue"))
        assert client.answer().status == 100
        client.send(b"abc")
        assert client.answer().status == 200
    assert upstream.last.header(b"expect") is None
    with Client(proxy.address) as client:
        client.send(request("POST", Content_Length="3", Expect="100-continue"))
        assert client.answer().status == 401
        assert client.ended()


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_end_at_their_head(status, proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 %d X\r\n\r\n" % status
    with Client(proxy.address) as client:
        for _ in range(2):
            client.send(request(token=token))
            assert client.answer().status == status
    assert upstream.connections <= 1


def test_head_is_answered_without_a_body(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
    with Client(proxy.address) as client:
        for _ in range(3):
            client.send(request("HEAD", token=token))
            answer = client.answer(head_only=True)
            assert (answer.status, answer.header("content-length")) == (200, "1000")
    assert upstream.connections <= 1


def test_head_with_a_body_after_all_does_not_confuse_the_next_answer(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"
    with Client(proxy.address) as client:
        client.send(request("HEAD", token=token))
        assert client.answer(head_only=True).status == 200
        upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes"
        client.send(request(token=token))
        assert client.answer().body == b"yes"


def test_interim_answers_stay_between_gateway_and_upstream(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    answer = proxy.ask(request(token=token))
    assert (answer.status, answer.body, answer.header("link")) == (200, b"ok", None)


@pytest.mark.spec("RFC 9110 section 7.6.1")
def test_headers_of_the_upstream_connection_stay_on_it(proxy, upstream, token):
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nconnection: x-mine\r\nx-mine: 1\r\nkeep-alive: 5\r\ncontent-length: 2\r\n\r\nok"
    )
    answer = proxy.ask(request(token=token))
    assert (answer.header("x-mine"), answer.header("keep-alive"), answer.header("connection")) == (None, None, None)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_cannot_be_read_is_502(answer, proxy, upstream, token):
    upstream.answer = answer
    assert proxy.ask(request(token=token)).status == 502
    assert len(proxy.lines("upstream.failed")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_torn_answer_never_looks_whole(answer, proxy, upstream, token):
    def script(connection, _seen):
        connection.sendall(answer)
        return False

    upstream.script = script
    try:
        got = proxy.ask(request(token=token))
    except ConnectionError:
        return
    assert got.status == 502


def test_nobody_behind_is_502(serve, issuer, token):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    proxy = serve(config_text(issuer, None).replace("127.0.0.1:9", f"127.0.0.1:{port}"))
    assert proxy.ask(request(token=token)).status == 502


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_says_nothing_is_504(method, serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, server=QUICK))
    upstream.script = lambda _connection, _seen: time.sleep(1.5) is None
    length = {} if method == "GET" else {"Content_Length": "3"}
    assert proxy.ask(request(method, token=token, **length) + (b"abc" if length else b"")).status == 504


def test_an_upstream_that_stops_in_the_middle_is_cut_off(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, server=QUICK))

    def script(connection, _seen):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
        time.sleep(1.5)
        return False

    upstream.script = script
    with pytest.raises(ConnectionError):
        proxy.ask(request(token=token))


def test_connections_to_the_upstream_are_used_again(proxy, upstream, token):
    for _ in range(5):
        assert proxy.ask(request(token=token)).status == 200
    assert upstream.connections <= 1


def test_an_idle_connection_that_died_is_replaced(proxy, upstream, token):
    def script(connection, seen):
        connection.sendall(upstream.answer)
        return seen.line.startswith(b"GET /orders/stay")  # else: close after the answer, without a word

    upstream.script = script
    for _ in range(5):
        assert proxy.ask(request(token=token)).status == 200


def test_a_request_that_met_a_dying_connection_is_sent_again_if_that_does_no_harm(proxy, upstream, token):
    answered: list[int] = []

    def script(connection, _seen):
        if len(answered) == 1:
            answered.append(0)
            return False  # read, and closed without a word
        answered.append(1)
        connection.sendall(upstream.answer)
        return True

    upstream.script = script
    assert proxy.ask(request(token=token)).status == 200
    assert proxy.ask(request(token=token)).status == 200
    assert len(upstream.seen) == 3


def test_a_request_with_consequences_is_never_sent_twice(proxy, upstream, token):
    def script(connection, seen):
        if seen.line.startswith(b"POST"):
            return False
        connection.sendall(upstream.answer)
        return True

    upstream.script = script
    assert proxy.ask(request(token=token)).status == 200
    assert proxy.ask(request("POST", token=token, Content_Length="0")).status == 502
    assert len(upstream.seen) == 2


def test_what_nobody_asked_for_ends_an_idle_connection(proxy, upstream, token):
    poisoned = threading.Event()

    def script(connection, _seen):
        connection.sendall(upstream.answer)
        time.sleep(0.1)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
        poisoned.set()
        return True

    upstream.script = script
    assert proxy.ask(request(token=token)).body == b"ok"
    assert poisoned.wait(30)
    assert wait_until(lambda: not proxy.pool.connections)
    upstream.script = None
    assert proxy.ask(request(token=token)).body == b"ok"


def test_a_client_that_leaves_frees_the_upstream(proxy, upstream, token):
    gone = threading.Event()

    def script(connection, _seen):
        connection.settimeout(5)
        gone.set() if connection.recv(1) == b"" else None
        return False

    upstream.script = script
    with Client(proxy.address) as client:
        client.send(request(token=token))
        while not upstream.seen:
            time.sleep(0.01)
    assert gone.wait(30)


def test_a_client_that_leaves_in_the_middle_of_its_body_frees_the_upstream(proxy, upstream, token):
    with Client(proxy.address) as client:
        client.send(request("POST", token=token, Content_Length="100000") + b"a" * 70_000)
        time.sleep(0.1)
    time.sleep(0.2)
    assert upstream.seen == []
    pool = proxy.pool
    assert wait_until(lambda: all(connection.idle for connection in pool.connections))


def test_a_client_that_does_not_read_is_cut_off_and_holds_little(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, server='[server.limits]\nbody_timeout = "300ms"'))
    sent = []

    def script(connection, _seen):
        connection.settimeout(5)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
        try:
            for _ in range(500):
                connection.sendall(b"a" * 100_000)
                sent.append(100_000)
        except OSError:
            return False
        return True

    upstream.script = script
    with Client(proxy.address) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.send(request(token=token))
        deadline = time.monotonic() + 30
        pool = proxy.pool
        while (not sent or pool.connections) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not pool.connections
    assert sum(sent) < 20_000_000


def test_the_limit_of_a_route_goes_before_the_general_one(serve, issuer, upstream, token):
    text = config_text(issuer, upstream).replace(
        'path = "/orders/{oid}" }', 'path = "/orders/{oid}" }\nbody_limit = "1KB"'
    )
    proxy = serve(text)
    assert proxy.ask(request("POST", token=token, Content_Length="1024") + b"a" * 1_024).status == 200
    assert proxy.ask(request("POST", token=token, Content_Length="1025") + b"a" * 1_025).status == 413
    assert proxy.ask(request("POST", "/files/x", token=token, Content_Length="2000") + b"a" * 2_000).status == 200


def nobody_listens(address: tuple[str, int]) -> bool:
    for _ in range(500):
        try:
            socket.create_connection(address, 1).close()
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_what_is_being_answered_is_finished_when_the_gateway_is_told_to_stop(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream))
    go = threading.Event()

    def script(connection, _seen):
        go.wait(5)
        connection.sendall(upstream.answer)
        return True

    upstream.script = script
    with Client(proxy.address) as busy, Client(proxy.address) as idle:
        idle.send(request())
        assert idle.answer().status == 401
        busy.send(request(token=token))
        while not upstream.seen:
            time.sleep(0.01)
        address = proxy.address
        proxy.server.should_exit = True
        assert idle.ended()
        assert nobody_listens(address)
        go.set()
        answer = busy.answer()
        assert (answer.status, answer.closed) == (200, True)


def test_a_route_for_every_host_takes_any_name_and_an_absolute_target_must_agree(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream).replace('host = "api.example", ', ""))
    assert proxy.ask(request(token=token, host="whatever.example:81")).status == 200
    assert proxy.ask(request(token=token, target="http://a.example/orders/7", host="A.example")).status == 200
    assert proxy.ask(request(token=token, target="http://b.example/orders/7", host="a.example")).status == 400


def test_a_refused_caller_is_in_the_log_all_the_same(proxy, issuer):
    proxy.ask(request(token=issuer.token(scope="")))
    (line,) = proxy.lines()
    assert (line["status"], line["why"], line["client"]) == (403, "scope", "web-app")
    assert line["sub_hash"]


@pytest.mark.parametrize(("length", "event"), [("99999999", "body.too_large"), ("0", "upstream.failed")])
def test_what_goes_wrong_after_the_decision_has_its_own_line(length, event, proxy, upstream, token):
    upstream.answer = b"garbage\r\n\r\n"
    proxy.ask(request("POST", token=token, Content_Length=length))
    (decision,) = proxy.lines()
    (later,) = proxy.lines(event)
    assert (decision["status"], decision["id"]) == (200, later["id"])
