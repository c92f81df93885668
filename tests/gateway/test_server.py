"""The server under applications that misbehave, and the parts of it that a well-behaved parser never reaches."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from idp.gateway.config import Limits, ServerConfig
from idp.gateway.headers import Strip
from idp.gateway.peers import Peers
from idp.gateway.pool import Pool
from idp.gateway.proxy import Proxy
from idp.gateway.relay import Relay, TooLarge
from idp.gateway.request import Decision
from idp.gateway.server.arrival import Arrival, Unreadable
from idp.gateway.server.exchange import STATUS_LINES
from idp.gateway.server.protocol import GatewayProtocol
from idp.gateway.server.watch import Watch
from idp.gateway.upstream import UpstreamConnection
from idp.gateway.upstreams.errors import Stale, UpstreamError
from idp.gateway.upstreams.model import Origin
from tests.gateway.conftest import config_text
from tests.gateway.raw import Client, request

LENGTH_5 = {"status": 200, "headers": [(b"content-length", b"5")]}


class Shape:
    """An application made of the messages it sends."""

    def __init__(self, *messages: Any) -> None:
        self.messages = messages
        self.received: list[dict[str, Any]] = []

    def instant(self, _scope):
        return None

    async def __call__(self, _scope, receive, send):
        for message in self.messages:
            if message == "receive":
                self.received.append(await receive())
            elif isinstance(message, BaseException):
                raise message
            elif callable(message):
                await message()
            else:
                await send(message)


@pytest.fixture
def shaped(serve, issuer, upstream, monkeypatch):
    """A gateway whose application is replaced."""

    def start(shape, patience="300ms"):
        monkeypatch.setattr("idp.gateway.serve.Proxy", lambda _gate, **_: Shaped(shape))
        return serve(config_text(issuer, upstream, server=f'[server.limits]\nbody_timeout = "{patience}"'))

    return start


class Shaped:
    def __init__(self, shape) -> None:
        self.behind = SimpleNamespace(close=lambda: None, prepare=None)
        self.watched, self.drain = tuple, lambda: None
        self.instant = shape.instant
        self._shape = shape

    async def __call__(self, scope, receive, send):
        await self._shape(scope, receive, send)


@pytest.mark.attack("GW24")
@pytest.mark.parametrize(
    "messages", [(ZeroDivisionError(),), (), ({"status": 200, "headers": []}, ZeroDivisionError())]
)
def test_an_application_that_fails_before_it_answers_is_500(messages, shaped):
    answer = shaped(Shape(*messages)).ask(request())
    assert (answer.status, answer.closed) == (500, True)


@pytest.mark.attack("GW24")
@pytest.mark.parametrize(
    "messages",
    [
        (LENGTH_5, {"body": b"ab", "more_body": True}, ZeroDivisionError()),
        (LENGTH_5, {"body": b"ab", "more_body": True}),
        (LENGTH_5, {"body": b"ab"}),
        (LENGTH_5, {"body": b"abcdefg"}),
        (LENGTH_5, {"body": b"ab", "more_body": True}, LENGTH_5, {"body": b"abcde"}),
    ],
)
def test_half_an_answer_never_looks_whole(messages, shaped):
    with pytest.raises(ConnectionError):
        shaped(Shape(*messages)).ask(request())


def test_a_fault_in_an_answer_at_once_ends_the_connection(shaped):
    shape = Shape()
    shape.instant = lambda _scope: 1 // 0
    with Client(shaped(shape).address) as client:
        client.send(request())
        assert client.ended()


def test_a_head_may_go_out_before_its_body(shaped):
    shape = Shape({"status": 200, "headers": []}, {"body": b"", "more_body": True}, {"body": b"ab"})
    assert shaped(shape).ask(request()).body == b"ab"


def test_what_is_sent_to_a_client_that_left_goes_nowhere(shaped):
    gone = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            gone.set()

    shape = Shape(wait, LENGTH_5, {"body": b"abcde"}, "receive")
    proxy = shaped(shape)
    with Client(proxy.address) as client:
        client.send(request())
        time.sleep(0.1)
    deadline = time.monotonic() + 30
    while not shape.received and time.monotonic() < deadline:
        time.sleep(0.01)
    assert shape.received == [{"type": "http.disconnect"}]


def test_an_application_that_is_cancelled_ends_the_connection(shaped):
    with Client(shaped(Shape(asyncio.CancelledError())).address) as client:
        client.send(request())
        assert client.ended()


def test_a_client_that_stops_reading_is_given_up(shaped):
    done = threading.Event()
    piece = {"body": b"a" * 1_000_000, "more_body": True}
    head = {"status": 200, "headers": []}

    class Endless(Shape):
        async def __call__(self, _scope, _receive, send):
            await send(head)
            try:
                while True:
                    await send(piece)
            finally:
                done.set()

    proxy = shaped(Endless())
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(proxy.address)
        client.sendall(request())
        assert done.wait(30)


def read_late(address, data: bytes) -> bytes:
    """Ask, wait until every buffer is full, and then read to the end."""
    with Client(address) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.send(data)
        time.sleep(0.2)
        return client.answer().body


def test_a_client_that_reads_late_gets_everything(shaped):
    piece = {"body": b"a" * 1_000_000, "more_body": True}
    shape = Shape({"status": 200, "headers": []}, *[piece] * 20, {"body": b"", "more_body": True}, {"body": b"end"})
    assert len(read_late(shaped(shape, "30s").address, request())) == 20_000_003


def test_a_client_that_reads_late_slows_the_upstream_and_gets_everything(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n" + b"a" * 20_000_000
    assert len(read_late(proxy.address, request(token=token))) == 20_000_000


@pytest.mark.attack("GW27")
def test_a_client_that_was_refused_and_stays_is_cut_off(proxy):
    with Client(proxy.address) as client:
        client.send(b"BAD\r\n\r\n")
        assert client.answer().status == 400
        deadline = time.monotonic() + 30
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                client.send(b"more")
                time.sleep(0.05)
        assert time.monotonic() < deadline


def test_half_a_request_behind_a_whole_one_is_waited_for(proxy, upstream, token):
    whole = request("POST", token=token, Content_Length="3") + b"abc"
    with Client(proxy.address) as client:
        client.send(whole + whole + whole[:40])
        assert [client.answer().status for _ in range(2)] == [200, 200]
        client.send(whole[40:])
        assert client.answer().status == 200
    assert [seen.body for seen in upstream.seen] == [b"abc"] * 3


def test_a_client_that_sends_its_body_without_waiting_for_100_is_not_told_to_go_on(proxy, upstream, token):
    with Client(proxy.address) as client:
        client.send(request("POST", token=token, Content_Length="3", Expect="100-continue") + b"abc")
        assert client.answer().status == 200
    assert upstream.last.body == b"abc"


class Transport:
    """A transport that cannot close one side alone, as under TLS."""

    def __init__(self) -> None:
        self.closed = 0

    def is_closing(self) -> bool:
        return self.closed > 0

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed += 1

    def resume_reading(self) -> None:
        return


def test_lingering_needs_two_sides_and_happens_once():
    async def walk() -> None:
        protocol = GatewayProtocol.__new__(GatewayProtocol)
        protocol.transport, protocol.loop = Transport(), asyncio.get_running_loop()
        protocol.flow, protocol.lingering = FlowControl(protocol.transport), False
        protocol.linger()
        protocol.linger()
        assert protocol.transport.closed == 1

    asyncio.run(walk())


def test_reading_again_does_not_lift_the_deadline_of_a_body():
    protocol = GatewayProtocol.__new__(GatewayProtocol)
    protocol.flow, protocol.deadline, protocol._side = FlowControl(Transport()), 7.0, None
    protocol._running = protocol._exchange = object()
    protocol.resume_writing()
    assert protocol.deadline == 7
    protocol._exchange = None
    protocol.resume_writing()
    assert protocol.deadline > 7


def test_a_client_that_left_before_its_body_costs_no_connection():
    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    sent: list[object] = []

    async def send(message) -> None:
        sent.append(message)

    built = arrival((b"host", b"a"), (b"content-length", b"1"))
    built.check("POST", "1.1")
    decision = Decision()
    decision.rule = SimpleNamespace(route=SimpleNamespace(upstream=1, seconds=None, body_bytes=1))
    proxy = Proxy.__new__(Proxy)
    proxy._gate, proxy._log, proxy._wall, proxy._held = (
        SimpleNamespace(rules=SimpleNamespace(config=SimpleNamespace(digest=""))),
        None,
        time.time,
        set(),
    )
    asyncio.run(proxy({"gatehouse.arrival": built, "gatehouse.waiting": (None, decision)}, gone, send))
    assert sent == []


def test_a_body_found_too_large_at_the_moment_of_the_answer_is_too_large():
    class Prompt:
        """An upstream that has answered already."""

        async def answered(self) -> None:
            return

        async def write(self, data: bytes) -> None:
            raise AssertionError(data)

        def close(self) -> None:
            return

    async def more() -> dict[str, Any]:
        return {"type": "http.request", "body": b"aa", "more_body": False}

    relay = Relay(more, chunked=False, limit=1)
    with pytest.raises(TooLarge):
        asyncio.run(relay.both(Prompt(), None, ()))


def test_a_body_that_nobody_fetches_waits_and_is_no_fault_of_the_client(shaped):
    async def late() -> None:
        await asyncio.sleep(0.9)

    shape = Shape(late, "receive", LENGTH_5, {"body": b"abcde"})
    with Client(shaped(shape).address) as client:
        client.send(request("POST", Content_Length="200000") + b"a" * 150_000)
        time.sleep(0.8)
        answer = client.answer()
        assert answer.status == 200
    assert len(shape.received[0]["body"]) > 65_536


@pytest.mark.attack("GW13")
def test_a_thousand_pipelined_requests_behind_a_slow_one_are_all_answered(proxy, upstream, token):
    upstream.script = lambda connection, _seen: time.sleep(0.3) or connection.sendall(upstream.answer) or True
    with Client(proxy.address) as client:
        client.send(request(token=token) + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000)
        assert client.answer().status == 200
        assert {client.answer().status for _ in range(1_000)} == {400}


@pytest.mark.attack("GW13")
def test_nonsense_behind_pipelined_requests_ends_them_all(proxy, upstream, token):
    upstream.script = lambda connection, _seen: time.sleep(0.3) or connection.sendall(upstream.answer) or True
    first, second = (request(token=token, target=f"/orders/{number}") for number in (1, 2))
    with Client(proxy.address) as client:
        client.send(first)
        while not upstream.seen:
            time.sleep(0.01)
        client.send(second + b"BAD\r\n\r\n")
        assert client.ended()
    time.sleep(0.4)
    assert [seen.line.split(b" ")[1] for seen in upstream.seen] == [b"/orders/1"]


def test_a_pipelined_body_is_read_when_its_turn_comes(proxy, upstream, token):
    body = b"b" * 100_000
    with Client(proxy.address) as client:
        client.send(request(token=token) + request("POST", token=token, Content_Length="100000") + body)
        assert [client.answer().status for _ in range(2)] == [200, 200]
    assert upstream.last.body == body


def arrival(*headers: tuple[bytes, bytes], target: bytes = b"/") -> Arrival:
    built = Arrival()
    built.target = target
    for name, value in headers:
        built.header(name, value)
    return built


@pytest.mark.attack("GW13")
@pytest.mark.parametrize(
    "headers",
    [
        [(b"Content-Length", b"1"), (b"content-length", b"1")],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"\xb2")],
        [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"gzip")],
    ],
)
def test_framing_is_checked_whatever_the_parser_lets_through(headers):
    with pytest.raises(Unreadable):
        arrival((b"host", b"a"), *headers).check("POST", "1.1")


def test_only_chunked_is_a_coding():
    built = arrival((b"host", b"a"), (b"Transfer-Encoding", b"Chunked"))
    built.check("POST", "1.1")
    assert (built.has_body, built.length) == (True, 0)


def test_every_status_has_a_line():
    assert STATUS_LINES[404] == b"HTTP/1.1 404 Not Found\r\n"
    assert STATUS_LINES[599] == b"HTTP/1.1 599 \r\n"


def test_what_strangers_send_is_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr("idp.gateway.headers._REMEMBERED", 2)
    monkeypatch.setattr("idp.gateway.peers._REMEMBERED", 2)
    strip, peers = Strip(authorization=True), Peers(())
    for number in range(5):
        assert strip.drops(b"x-auth-%d" % number)
        assert not peers.trusted(f"192.0.2.{number}")
    assert (len(strip._known), len(peers._known)) == (2, 2)


@pytest.mark.attack("GW9")
@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:11.1.2.3", False),
        ("2001:db8::1", True),
        ("::1", False),
        ("", True),
    ],
)
def test_a_peer_is_trusted_by_its_network(peer, trusted):
    assert Peers([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]).trusted(peer) is trusted


def test_a_watch_that_was_never_started_can_be_stopped():
    Watch(lambda: ()).stop()


class Ground:
    """A pool in a loop of its own."""

    def __init__(self, upstream, **settings: Any) -> None:
        self.pool = Pool(Origin(host="127.0.0.1", port=upstream.port), ServerConfig(**settings))


def test_idle_connections_are_closed_before_the_other_side_does(upstream):
    async def walk() -> None:
        pool = Ground(upstream).pool
        connection = await pool.connect()
        connection.begin(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", head_only=False)
        assert await connection.read() == b"ok"
        pool.give_back(connection)
        now = asyncio.get_running_loop().time()
        pool.check(now + 29)
        assert connection.open
        pool.check(now + 31)
        await asyncio.sleep(0.01)
        assert not connection.open
        pool._idle.append(connection)
        assert pool.idle() is None
        with pytest.raises(Stale):
            connection.begin(b"", head_only=False)
        with pytest.raises(UpstreamError):
            await connection.write(b"")

    asyncio.run(walk())


def test_a_connection_that_does_not_come_about_is_504(upstream, monkeypatch):
    async def walk() -> None:
        pool = Ground(upstream, connect_seconds=0.05).pool
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", lambda *_args, **_more: asyncio.sleep(5))
        with pytest.raises(UpstreamError) as refused:
            await pool.connect()
        assert refused.value.status == 504

    asyncio.run(walk())


def test_a_slow_upstream_slows_the_sender_and_its_end_frees_him(upstream):
    over = threading.Event()
    upstream.script = lambda _connection, _seen: over.wait(30)

    async def walk() -> None:
        pool = Ground(upstream, limits=Limits()).pool
        connection = await pool.connect()
        connection.begin(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na", head_only=False)
        sending = asyncio.ensure_future(connection.write(b"a" * 50_000_000))
        await asyncio.sleep(0.05)
        assert not sending.done()
        connection.close()
        await asyncio.wait_for(sending, 20)

    asyncio.run(walk())
    over.set()


def test_a_decision_without_a_route_reaches_no_upstream():
    decision = Decision()
    with pytest.raises(AssertionError):
        Proxy.__new__(Proxy)._passage({"gatehouse.arrival": arrival()}, None, decision, None, None)


def test_what_comes_after_the_end_of_a_connection_is_nothing(upstream):
    async def walk() -> None:
        connection = UpstreamConnection(response_seconds=1, body_seconds=1, forget=lambda _: None)
        connection.close()
        connection.connection_lost(None)
        connection.resume_writing()
        assert not connection.open

    asyncio.run(walk())


def test_the_protocol_has_limits_of_its_own():
    assert GatewayProtocol.limits == Limits()
