"""WebSockets through a running gateway, between a client and a server that know nothing of it."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from idp.gateway.websocket.frames import close_frame
from tests.gateway.raw import Client, request
from tests.gateway.websocket.conftest import PAGE, live_text
from tests.gateway.websocket.peer import closed, opened, wait_until

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ASKS = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Key": KEY,
    "Sec_WebSocket_Version": "13",
}
BUSY = 4.0  # how much longer a machine may take that has other things to do
SPOKEN = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def told(gateway, event: str):
    """Wait for a line of the log."""
    wait_until(lambda: gateway.lines(event))
    return gateway.lines(event)


def test_what_is_said_arrives_whole_both_ways(live, peer, token):
    with opened(live.address, token) as client:
        for message in ("hello", b"\0\xff", "x" * 2_000_000, ""):
            client.send(message)
            assert client.recv(timeout=5) == message
        client.send(["in ", "three ", "pieces"])
        assert client.recv(timeout=5) == "in three pieces"
        assert client.ping().wait(3)
    assert peer.saw(1000, "")
    assert peer.header("X-Auth-Subject") == "0190-alice"
    assert peer.header("Authorization") is None
    (line,) = told(live, "websocket.closed")
    assert (line["id"], line["why"]) == (live.lines()[0]["id"], "closed")


@pytest.mark.spec("RFC 6455 section 7")
@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_a_server_says_itself_why_it_closes(code, live, peer, token):
    peer.script = lambda connection: connection.close(code, "because")
    with opened(live.address, token) as client:
        assert closed(client) == (code, "because")


@pytest.mark.attack("GW15")
@pytest.mark.parametrize("claims", [None, {"exp": 1}, {"aud": "https://other.example"}, {"scope": ""}])
def test_nobody_is_upgraded_without_a_token_that_opens_the_route(claims, live, peer, issuer):
    token = None if claims is None else issuer.token(**claims)
    with pytest.raises(InvalidStatus) as refused:
        opened(live.address, token)
    assert refused.value.response.status_code == (403 if claims == {"scope": ""} else 401)
    assert peer.opened == []


@pytest.mark.attack("GW15")
def test_nobody_is_upgraded_where_the_route_takes_no_websocket(live, peer, token):
    with pytest.raises(InvalidStatus) as refused:
        opened(live.address, token, "/plain/x")
    assert refused.value.response.status_code == 403
    assert peer.opened == []
    (why,) = live.lines("websocket.refused")
    assert why["why"] == "no_websocket"


@pytest.mark.spec("RFC 6455 section 4.2.1")
@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Version": "13\r\nSec-WebSocket-Version: 13"}, 426),
        ({"Sec_WebSocket_Key": "dGhl"}, 400),
        ({"Sec_WebSocket_Key": "***"}, 400),
        ({"Sec_WebSocket_Key": KEY + "\r\nSec-WebSocket-Key: " + KEY}, 400),
        ({"X_Nothing": "1"}, 101),
    ],
)
def test_a_handshake_is_sound_or_refused(changed, status, live, token):
    with Client(live.address) as client:
        client.send(request(target="/live/a", token=token, **{**ASKS, **changed}))
        if status == 101:
            assert head(client).startswith(b"HTTP/1.1 101 ")
            return
        answer = client.answer()
        assert (answer.status, answer.closed) == (status, True)
        assert answer.header("sec-websocket-version") == ("13" if status == 426 else None)


def head(client: Client) -> bytes:
    while b"\r\n\r\n" not in client.kept:
        assert client._more()
    found, client.kept = client.kept.split(b"\r\n\r\n", 1)
    return found


# How a browser brings its token


def browser(live, token, **more):
    return opened(live.address, None, "/browser/a", origin=PAGE, **more)


def test_a_browser_may_bring_its_token_as_a_subprotocol(live, peer, token):
    with browser(live, token, subprotocols=["app.v1", "bearer", token]) as client:
        assert client.subprotocol == "app.v1"
    assert peer.header("Sec-WebSocket-Protocol") == "app.v1"
    assert token not in str(peer.opened[-1].request.headers)


def test_a_browser_that_offers_nothing_but_its_token_is_given_the_word_and_not_the_token(live, peer, token):
    with browser(live, token, subprotocols=["bearer", token]) as client:
        assert client.subprotocol == "bearer"
    assert peer.header("Sec-WebSocket-Protocol") is None


def test_a_browser_may_bring_its_token_as_the_named_cookie(live, peer, token):
    with browser(live, token, headers={"Cookie": f'a=b; access="{token}"; c=d'}):
        assert peer.header("Cookie") == "a=b; c=d"


@pytest.mark.attack("GW16")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cookie": "access=TOKEN; access=TOKEN"}, 400),
        ({"Cookie": "access=TOKEN", "Authorization": "Bearer TOKEN"}, 400),
        ({"Cookie": "access=TOKEN", "Sec-WebSocket-Protocol": "bearer, TOKEN"}, 400),
        ({"Sec-WebSocket-Protocol": "bearer, TOKEN, bearer, TOKEN"}, 400),
        ({"Sec-WebSocket-Protocol": "bearer"}, 401),
        ({"Sec-WebSocket-Protocol": "TOKEN, bearer"}, 401),
        ({"Cookie": "xaccess=TOKEN"}, 401),
    ],
)
def test_there_is_one_credential_however_it_is_brought(headers, status, live, peer, token):
    with Client(live.address) as client:
        lines = {name.replace("-", "_"): value.replace("TOKEN", token) for name, value in headers.items()}
        client.send(request(target="/browser/a", **{**ASKS, "Origin": PAGE, **lines}))
        assert client.answer().status == status
    assert peer.opened == []


@pytest.mark.parametrize("target", ["/live/a", "/nowhere", "/live/../a", "/plain/a"])
def test_a_token_counts_only_where_the_route_lets_it_be(target, live, peer, token):
    with Client(live.address) as client:
        client.send(request(target=target, **ASKS, Sec_WebSocket_Protocol=f"bearer, {token}", Cookie=f"access={token}"))
        assert client.answer().status in {400, 401, 403}
    with Client(live.address) as client:
        client.send(request(target="/browser/a", host="bad host", **ASKS))
        assert client.answer().status == 400
    assert peer.opened == []


@pytest.mark.spec("RFC 6455 section 10.2")
@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", f"{PAGE}\r\nOrigin: {PAGE}", PAGE + ":444"])
def test_another_page_may_not_open_one(origin, live, peer, token):
    lines = {"Origin": origin} if origin else {}
    with Client(live.address) as client:
        client.send(request(target="/browser/a", **ASKS, **lines, Cookie=f"access={token}"))
        assert client.answer().status == 403
    assert peer.opened == []


# What ends one


def ends_within(client, seconds: float) -> tuple[int | None, str]:
    """How it ended, within so many seconds and what a busy machine may add; otherwise it would have gone on."""
    began = time.monotonic()
    how = closed(client, within=seconds + BUSY)
    assert time.monotonic() - began < seconds + BUSY
    return how


@pytest.mark.attack("GW22")
def test_it_ends_with_its_token(live, peer, issuer):
    token = issuer.token(exp=int(time.time()) + 2)
    with opened(live.address, token) as client:
        assert ends_within(client, 3.2) == (4401, "token expired")
    assert peer.saw(4401, "token expired")


@pytest.mark.attack("GW22")
@pytest.mark.parametrize("kind", ["token", "session", "account"])
def test_it_ends_within_a_second_of_its_revocation(kind, live, peer, issuer, stream):
    token = issuer.token(jti="jti-7" + kind, sid="sid-7" + kind, sub="0190-carol")
    others = issuer.token(jti="jti-8", sid="sid-8", sub="0190-bob")
    with opened(live.address, token) as client, opened(live.address, others) as other:
        client.send("on")
        assert client.recv(timeout=3) == "on"
        names = {"token": "jti-7token", "session": "sid-7session", "account": "0190-carol"}
        stream.end(kind, names[kind], not_before=int(time.time()) + 1 if kind == "account" else None)
        assert ends_within(client, 1) == (1008, "token revoked")
        other.send("still on")
        assert other.recv(timeout=3) == "still on"
    (cut,) = live.lines("stream.cut")
    assert cut["why"] == "revoked"


@pytest.mark.attack("GW22")
def test_it_ends_between_two_frames_even_while_both_talk(live, peer, issuer, stream):
    def talk(connection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                connection.send(b"a" * 70_000)

    peer.script = talk
    heard = 0
    with opened(live.address, issuer.token(jti="jti-9"), compression=None) as client:
        deadline = time.monotonic() + 30
        with contextlib.suppress(ConnectionClosed):
            while time.monotonic() < deadline:
                assert client.recv(timeout=3) == b"a" * 70_000
                heard += 1
                if heard == 20:
                    stream.end("token", "jti-9")
        assert (client.close_code, client.close_reason) == (1008, "token revoked")


def test_it_ends_when_nobody_says_anything(live, peer, token):
    with browser(live, token, subprotocols=["bearer", token]) as client:
        assert ends_within(client, 2.2) == (1001, "idle")
    assert peer.saw(1001, "idle")


def test_it_ends_when_it_is_old(live, peer, token):
    with opened(live.address, token, "/ageing/a") as client:

        def talk() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    client.send("still here")
                    time.sleep(0.2)

        thread = threading.Thread(target=talk)
        thread.start()
        assert ends_within(client, 3.2) == (1001, "too old")
        thread.join()


def test_it_is_taken_leave_of_when_the_gateway_stops(serve, issuer, stream, peer, key, token):
    live = serve(live_text(issuer, peer.url, key))
    with opened(live.address, token) as client:
        live.server.should_exit = True
        assert ends_within(client, 1.5) == (1001, "going away")
    assert peer.saw(1001, "going away")


def test_it_counts_as_a_connection(serve, issuer, stream, peer, key, token):
    live = serve(live_text(issuer, peer.url, key, server="[server.limits]\nconnections = 1"))
    with opened(live.address, token):
        assert live.ask(request()).status == 503


# Peers that misbehave


def raw(live, token, target="/live/a"):
    client = Client(live.address)
    client.send(request(target=target, token=token, **ASKS))
    assert head(client).startswith(b"HTTP/1.1 101 ")
    return client


def frames(client: Client) -> list[bytes]:
    """Read small frames until the connection ends."""
    while client._more():
        continue
    found, data = [], client.kept
    while data:
        size = data[1] & 0x7F
        found.append(data[: 2 + size])
        data = data[2 + size :]
    return found


def masked(first: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    return bytes((first, 0x80 | (len(payload) if length is None else length))) + b"\0\0\0\0" + payload


@pytest.mark.spec("RFC 6455 section 5.1")
@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x81\x02hi",  # not masked
        masked(0x83, b"hi"),  # no such opcode
        masked(0x09, b"hi"),  # a ping in pieces
        b"\x89\xfe\0\x7e" + b"\0" * 130,  # a ping that is too long
        b"\x82\xff\xff" + b"\0" * 20,  # longer than can be
    ],
)
def test_what_is_no_frame_goes_no_further(nonsense, live, peer, token):
    with raw(live, token) as client:
        client.send(masked(0x81, b"ok") + nonsense)
        assert frames(client)[-1] == close_frame(1002, "protocol error", masked=False)
    assert peer.saw(1002, "protocol error")


def test_frames_may_come_in_any_pieces(live, peer, token):
    with raw(live, token) as client:
        for byte in masked(0x81, b"hello") + b"\x82\xfe\1\0\0\0\0\0" + b"b" * 256:
            client.send(bytes((byte,)))
            if byte % 7 == 0:
                time.sleep(0.002)
        expected = b"\x81\x05hello" + b"\x82\x7e\1\0" + b"b" * 256
        while len(client.kept) < len(expected):
            assert client._more()
        assert client.kept == expected


@pytest.mark.attack("GW22")
def test_nothing_more_goes_on_after_a_revocation_even_in_an_open_frame(live, peer, issuer, stream):
    with raw(live, issuer.token(jti="jti-5")) as client:
        client.send(b"\x82\xff" + struct.pack(">Q", 1_000_000) + b"\0\0\0\0" + b"a" * 1_000)
        stream.end("token", "jti-5")
        assert frames(client) == [close_frame(1008, "token revoked", masked=False)]
    assert peer.saw(1006, "")


def test_a_client_that_is_gone_is_gone_for_the_server_too(live, peer, token):
    with raw(live, token) as client:
        client.send(masked(0x81, b"hello"))
    assert wait_until(lambda: peer.ended)


@pytest.mark.attack("GW22")
def test_a_client_that_does_not_answer_a_close_is_cut_off(live, peer, issuer, stream):
    with raw(live, issuer.token(jti="jti-4")) as client:
        stream.end("token", "jti-4")
        began = time.monotonic()
        assert frames(client) == [close_frame(1008, "token revoked", masked=False)]
        assert time.monotonic() - began < 4 + BUSY


def speaks(upstream, *data, then=None):
    def script(connection, _seen):
        for each in data:
            connection.sendall(each)
            time.sleep(0.02)
        if then is not None:
            then(connection)
        return False

    upstream.script = script


def stays(connection) -> None:
    connection.settimeout(5)
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            continue


def test_what_the_server_says_along_with_its_answer_is_not_lost(scripted, upstream, token):
    speaks(upstream, SPOKEN + b"\x81\x02hi", b"\x81\x03you\x88\x02\x03\xe8")
    with raw(scripted, token) as client:
        assert frames(client) == [b"\x81\x02hi", b"\x81\x03you", b"\x88\x02\x03\xe8"]


def test_what_the_client_says_along_with_its_request_is_not_lost(live, token):
    with Client(live.address) as client:
        client.send(request(target="/live/a", token=token, **ASKS) + masked(0x81, b"hi"))
        assert head(client).startswith(b"HTTP/1.1 101 ")
        while len(client.kept) < 4:
            assert client._more()
        assert client.kept == b"\x81\x02hi"


def test_a_request_before_it_is_answered_first(live, upstream, token):
    with Client(live.address) as client:
        client.send(request(target="/nowhere") + request(target="/live/a", token=token, **ASKS))
        assert client.answer().status == 403
        assert head(client).startswith(b"HTTP/1.1 101 ")


def test_a_server_that_leaves_without_a_word_has_failed(scripted, upstream, token):
    speaks(upstream, SPOKEN, b"\x81\x02hi")
    with raw(scripted, token) as client:
        assert frames(client) == [b"\x81\x02hi", close_frame(1014, "bad gateway", masked=False)]


def test_a_server_that_leaves_in_the_middle_of_a_frame_leaves_no_frame_of_ours_in_it(scripted, upstream, token):
    speaks(upstream, SPOKEN, b"\x81\x05hi")
    with raw(scripted, token) as client:
        while client._more():
            continue
        assert client.kept in {b"", b"\x81\x05hi"}


@pytest.mark.parametrize("nonsense", [b"\x81\x82\0\0\0\0hi", b"\x8f\x00"])
def test_a_server_that_sends_no_frames_has_failed(nonsense, scripted, upstream, token):
    speaks(upstream, SPOKEN, nonsense, then=stays)
    with raw(scripted, token) as client:
        assert frames(client) == [close_frame(1014, "bad gateway", masked=False)]


@pytest.mark.attack("GW22")
def test_a_server_that_never_ends_its_frame_is_cut_off_all_the_same(scripted, upstream, issuer, stream):
    speaks(upstream, SPOKEN, b"\x81\x05hi", then=stays)
    with raw(scripted, issuer.token(jti="jti-3")) as client:
        while len(client.kept) < 4:
            assert client._more()
        began = time.monotonic()
        stream.end("token", "jti-3")
        assert client.ended()
        assert time.monotonic() - began < 2 + BUSY
        assert client.kept == b"\x81\x05hi"


@pytest.mark.attack("GW22")
def test_an_open_frame_is_ended_before_ours_begins(scripted, upstream, issuer, stream):
    def later(connection) -> None:
        stream.end("token", "jti-2")
        told(scripted, "stream.cut")
        connection.sendall(b"you\x81\x04more")
        stays(connection)

    speaks(upstream, SPOKEN, b"\x81\x05hi", then=later)
    with raw(scripted, issuer.token(jti="jti-2")) as client:
        assert frames(client) == [b"\x81\x05hiyou", close_frame(1008, "token revoked", masked=False)]


@pytest.mark.attack("GW22")
def test_a_close_that_was_said_is_not_said_twice(scripted, upstream, issuer, stream):
    speaks(upstream, SPOKEN, b"\x88\x02\x03\xe8", then=stays)
    with raw(scripted, issuer.token(jti="jti-11")) as client:
        stream.end("token", "jti-11")
        assert frames(client) == [b"\x88\x02\x03\xe8"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", 403),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200),
        (SPOKEN.replace(b"s3pPLM", b"s3pPLN"), 502),
        (SPOKEN.replace(b"Connection: Upgrade\r\n", b""), 502),
        (SPOKEN.replace(b"Sec-WebSocket-Accept", b"Sec-WebSocket-Refuse"), 502),
    ],
)
def test_a_server_that_does_not_agree_is_heard_and_nothing_is_opened(answer, status, scripted, upstream, token):
    upstream.answer = answer
    with Client(scripted.address) as client:
        client.send(request(target="/live/a", token=token, **ASKS))
        answered = client.answer()
        assert (answered.status, answered.closed) == (status, True)
        assert client.ended()


def test_the_server_hears_who_is_there_and_nothing_it_should_not(scripted, upstream, token):
    speaks(upstream, SPOKEN.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\nX-Mine: 1\r\n\r\n"))
    lines = {"Connection": "Upgrade, X-Theirs", "X_Theirs": "1", "X_Auth_Subject": "root", "HTTP2_Settings": "AAMA"}
    with Client(scripted.address) as client:
        client.send(request(target="/live/a", token=token, **{**ASKS, **lines}))
        answer = head(client).lower()
    assert (b"x-mine: 1" in answer, b"content-length" in answer) == (True, False)
    seen = upstream.last
    assert (seen.header(b"connection"), seen.header(b"upgrade")) == (b"Upgrade", b"websocket")
    assert (seen.header(b"x-theirs"), seen.header(b"x-auth-subject")) == (None, b"0190-alice")


# Slow ones


def test_a_client_that_does_not_read_slows_the_server_down(scripted, upstream, token):
    sent = []

    def flood(connection) -> None:
        connection.settimeout(1)
        with contextlib.suppress(OSError):
            for _ in range(1_000):
                connection.sendall(b"\x82\x7e\xff\xff" + b"a" * 65_535)
                sent.append(65_535)

    speaks(upstream, SPOKEN, then=flood)
    with Client(scripted.address) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.send(request(target="/live/a", token=token, **ASKS))
        assert head(client).startswith(b"HTTP/1.1 101 ")
        time.sleep(1.5)
        assert sum(sent) < 30_000_000
    assert told(scripted, "websocket.closed")


def test_a_server_that_does_not_read_slows_the_client_down(scripted, upstream, token):
    go = threading.Event()

    def sleepy(connection) -> None:
        go.wait(5)
        stays(connection)

    speaks(upstream, SPOKEN, then=sleepy)
    with raw(scripted, token) as client:
        client.socket.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 60_000_000:
                client.send(b"\x82\xfe\xff\xff\0\0\0\0" + b"a" * 65_535)
                sent += 65_535
        assert sent < 30_000_000
        go.set()


def test_the_decision_is_in_the_log_before_the_first_byte(live, token):
    with opened(live.address, token):
        (line,) = live.lines()
        assert (line["status"], line["route"], line["path"]) == (200, "live", "/live/a")
    assert json.dumps(live.lines()).find(token) == -1
