"""A connection changes its protocol only after its request was let through, and only to a WebSocket."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.gateway.raw import request
from tests.gateway.upstream import Seen

WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABkAARAAAAAAAIAAAAA"}
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def echo(connection: socket.socket, seen: Seen) -> bool:
    """Switch when asked to, and send back what comes."""
    if seen.header(b"upgrade") is None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        return True
    connection.sendall(SWITCHED)
    with contextlib.suppress(OSError):
        while data := connection.recv(4_096):
            connection.sendall(data)
    return False


@pytest.mark.attack("GW15")
@pytest.mark.parametrize("upgrade", [WEBSOCKET, H2C], ids=["websocket", "h2c"])
@pytest.mark.parametrize("claims", [None, {"exp": 1}, {"aud": "https://other.example"}])
def test_no_upgrade_without_a_good_token(claims, upgrade, front):
    front.api.script = echo
    token = None if claims is None else front.token(**claims)
    answer = front.ask(request(target="/live", token=token, **upgrade))
    assert answer.status == 401
    assert front.api.seen == []


@pytest.mark.attack("GW15")
def test_no_upgrade_where_no_route_is(front):
    front.api.script = echo
    assert front.ask(request(target="/nowhere", token=front.token(), **WEBSOCKET)).status == 403
    assert front.api.seen == []


def test_a_websocket_opens_with_a_good_token_and_carries_both_ways(front):
    front.api.script = echo
    with front.connect() as caller:
        caller.send(request(target="/live", token=front.token(), **WEBSOCKET))
        while b"\r\n\r\n" not in caller.kept:
            assert caller._more()
        head, caller.kept = caller.kept.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 ")
        caller.send(b"\x81\x85\x00\x00\x00\x00hello")
        while len(caller.kept) < 11:
            assert caller._more()
        assert caller.kept == b"\x81\x85\x00\x00\x00\x00hello"
    assert front.api.last.header(b"x-auth-subject") == b"0190-alice"
    assert not front.api.last.header(b"authorization")


@pytest.mark.attack("GW15")
@pytest.mark.parametrize(
    "upgrade",
    [H2C, {**H2C, "Upgrade": "H2C"}, {**H2C, "Upgrade": "websocket, h2c"},
     {"Connection": "Upgrade", "Upgrade": "TLS/1.0"},
     {"Connection": "HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABk"}, {"Upgrade": "h2c"}],
    ids=["h2c", "H2C", "both", "tls", "unnamed", "alone"],
)  # fmt: skip
def test_a_good_token_opens_no_other_protocol(upgrade, front):
    """Behind an upgrade to HTTP/2 further requests would travel unseen."""
    front.api.script = echo
    answer = front.ask(request(target="/live", token=front.token(), **upgrade))
    assert answer.status != 101
    if answer.status == 200:
        assert not front.api.last.header(b"upgrade")
        assert not front.api.last.header(b"http2-settings")
    else:
        assert 400 <= answer.status < 502
        assert front.api.seen == []


@pytest.mark.attack("GW15")
@pytest.mark.parametrize("said", [["h2c", "websocket"], ["websocket", "h2c"]], ids=" ".join)
def test_another_protocol_does_not_hide_beside_a_websocket(said, front):
    front.api.script = echo
    lines = "".join(f"Upgrade: {each}\r\n" for each in said)
    data = request(target="/live", token=front.token(), Connection="Upgrade, HTTP2-Settings", HTTP2_Settings="AAMAAABk")
    with front.connect() as caller:
        caller.send(data[:-2] + lines.encode() + b"\r\n")
        assert caller._more()
    if front.api.seen:
        assert front.api.last.header(b"upgrade") in {None, b"websocket"}
        assert not front.api.last.header(b"http2-settings")


@pytest.mark.attack("GW15")
def test_http2_without_asking_is_judged_or_refused(front):
    """The preface of HTTP/2 (RFC 9113 section 3.4) on a clear connection is no way around."""
    with front.connect() as caller:
        caller.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        caller.socket.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while caller._more():
                continue
    assert front.api.seen == []
