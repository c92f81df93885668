"""Frames of one direction, in whatever pieces they come, and a tunnel between two ends that are not there."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl

from idp.gateway.config import ServerConfig
from idp.gateway.pool import Pool
from idp.gateway.server.arrival import Unreadable
from idp.gateway.server.protocol import GatewayProtocol
from idp.gateway.upstream import UpstreamConnection
from idp.gateway.upstreams.errors import UpstreamError
from idp.gateway.upstreams.model import Origin
from idp.gateway.websocket.frames import Frames, close_frame
from idp.gateway.websocket.model import WebSocket
from idp.gateway.websocket.tunnel import Tunnel
from tests.gateway.test_server import arrival
from tests.gateway.websocket.conftest import live_text
from tests.gateway.websocket.peer import closed, opened


def frame(payload: bytes, opcode: int = 2, *, masked: bool) -> bytes:
    size = len(payload)
    length = (
        bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 65_536
        else b"\x7f" + size.to_bytes(8, "big")
    )  # fmt: skip
    head = bytes((0x80 | opcode, length[0] | (0x80 if masked else 0))) + length[1:]
    return head + (b"mask" if masked else b"") + payload


PAYLOADS = st.lists(st.integers(0, 300).map(lambda size: b"x" * size) | st.just(b"y" * 70_000), max_size=5)


@pytest.mark.spec("RFC 6455 section 5.2")
@given(PAYLOADS, st.booleans(), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_whatever_the_pieces_everything_passes_and_every_boundary_is_seen(payloads, masked, sizes):
    frames, data, passed = Frames(masked=masked), b"".join(frame(each, masked=masked) for each in payloads), b""
    at = 0
    for size in sizes:
        passed += frames.feed(data[at : at + size])
        at += size
        assert data.startswith(passed)
    passed += frames.feed(data[at:])
    assert passed == data
    assert frames.between
    assert (frames.ended, frames.broken, frames.closed) == (False, False, False)


@given(st.binary(max_size=200), st.booleans())
@example(b"\x00\x80\x00\x00", True)
def test_no_bytes_confuse_it(data, masked):
    frames = Frames(masked=masked)
    passed = frames.feed(data)
    assert data.startswith(passed)
    assert not frames.broken or frames.ended
    ended = frames.ended  # what comes now may end it in turn, and some of it be passed on before
    assert frames.feed(b"more") == b"" or not ended


def test_what_follows_a_close_goes_no_further():
    frames = Frames(masked=False)
    assert frames.feed(b"\x88\x00\x81\x01a") == b"\x88\x00"
    assert (frames.closed, frames.ended, frames.feed(b"\x81\x01a")) == (True, True, b"")


@pytest.mark.spec("RFC 6455 section 5.5.1")
def test_a_close_frame_says_code_and_reason_masked_or_not():
    assert close_frame(1008, "no", masked=False) == b"\x88\x04\x03\xf0no"
    hidden = close_frame(1008, "no", masked=True)
    payload = bytes(byte ^ hidden[2 + number % 4] for number, byte in enumerate(hidden[6:]))
    assert (hidden[:2], payload) == (b"\x88\x84", b"\x03\xf0no")


class Transport:
    """One end that notes what it is told."""

    def __init__(self) -> None:
        self.written = b""
        self.did: list[str] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def __getattr__(self, name: str):
        return lambda: self.did.append(name)


def tunnel() -> tuple[Tunnel, Transport, Transport]:
    made, client, upstream = Tunnel(WebSocket(idle=10, max_age=20)), Transport(), Transport()
    made.join_client(client, b"")
    made.join_upstream(upstream, b"")
    return made, client, upstream


def test_a_client_that_talks_on_after_our_close_is_not_passed_on_and_cut_off():
    async def walk() -> None:
        made, client, upstream = tunnel()
        made.end(1008, "no")
        made.end(1001, "again")
        before = upstream.written
        made.from_client(frame(b"more", masked=True))
        assert (upstream.written, made.why) == (before, "no")
        assert client.written == close_frame(1008, "no", masked=False)
        made.check(asyncio.get_running_loop().time() + 3)
        assert (client.did[-1], upstream.did[-1]) == ("abort", "abort")

    asyncio.run(walk())


def test_both_ends_have_to_be_gone_before_it_is_over_whoever_goes_first():
    async def walk() -> None:
        for first, second in (("client_lost", "upstream_lost"), ("upstream_lost", "client_lost")):
            made, _, _ = tunnel()
            getattr(made, first)()
            assert not made.done.done()
            getattr(made, second)()
            assert made.done.done()
            getattr(made, second)()

    asyncio.run(walk())


def test_age_and_silence_end_it():
    async def walk() -> None:
        now = asyncio.get_running_loop().time()
        for later, why in ((11, "idle"), (9, "closed")):
            made, _, _ = tunnel()
            made.check(now + later)
            assert made.why == why
        made, _, _ = tunnel()
        made._heard += 15
        made.check(now + 21)
        assert made.why == "too old"

    asyncio.run(walk())


# The two connections around it


def test_a_server_that_is_gone_when_it_should_switch_has_failed():
    async def walk() -> None:
        connection = UpstreamConnection(response_seconds=1, body_seconds=1, forget=lambda _: None)
        connection._switched(b"")
        with pytest.raises(UpstreamError):
            connection.switch(Tunnel(WebSocket()))
        assert not connection.reusable

    asyncio.run(walk())


def test_a_pool_that_nobody_names_keeps_nothing(upstream):
    async def walk() -> None:
        pool = Pool(Origin(host="127.0.0.1", port=upstream.port), ServerConfig())
        held = [await pool.connect(), await pool.connect()]
        for connection in held:
            connection.begin(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", head_only=False)
            assert await connection.read() == b"ok"
        pool.give_back(held[0])
        pool.retire()
        pool.give_back(held[1])
        await asyncio.sleep(0.01)
        assert not pool.connections

    asyncio.run(walk())


@pytest.mark.parametrize("kind", [GatewayProtocol, UpstreamConnection])
def test_the_other_side_hears_who_does_not_read_and_who_does_again(kind):
    heard = []
    connection = kind.__new__(kind)
    connection._side = SimpleNamespace(full=lambda: heard.append("full"), drained=lambda: heard.append("drained"))
    connection.flow, connection.deadline = FlowControl(SimpleNamespace()), 7.0
    connection._running = connection._exchange = connection._writer = None
    connection.pause_writing()
    assert heard == ["full"]
    connection.resume_writing()
    assert heard == ["full", "drained"]


@pytest.mark.attack("GW15")
def test_a_parser_that_reads_an_upgrade_otherwise_ends_the_connection():
    protocol = GatewayProtocol.__new__(GatewayProtocol)
    refused: list[int] = []
    protocol.refuse = refused.append
    protocol._arrival = arrival((b"host", b"a"))
    protocol._upgrade(b"")
    assert refused == [400]
    protocol._arrival = arrival((b"host", b"a"), (b"connection", b"upgrade"), (b"upgrade", b"websocket"))
    protocol.parser = SimpleNamespace(
        get_method=lambda: b"GET", get_http_version=lambda: "1.1", should_upgrade=lambda: False
    )
    with pytest.raises(Unreadable):
        protocol.on_headers_complete()


def test_a_websocket_that_begins_while_the_gateway_stops_is_taken_leave_of_at_once(
    serve, issuer, stream, peer, key, token
):
    live = serve(live_text(issuer, peer.url, key))
    live.server._proxy.drain()
    began = time.monotonic()
    with opened(live.address, token) as client:
        assert closed(client) == (1001, "going away")
    assert time.monotonic() - began < 15  # nobody has told the gateway to stop: it would stay
