"""How a WebSocket begins (RFC 6455 sections 4.1 and 4.2): what the client asks, and what the server behind says."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Sequence
from hashlib import sha1
from itertools import islice
from typing import Final

from idp.gateway.websocket.model import WebSocket

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16
_VERSION: Final = b"13"
_PROTOCOL: Final = b"sec-websocket-protocol"
MARK: Final = b"bearer"

Headers = list[tuple[bytes, bytes]]


class BadHandshake(Exception):
    """What the client asks is no WebSocket, or of another version."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def key_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Give the client's key of a sound request (RFC 6455 section 4.2.1)."""
    keys = [value for name, value in headers if name == b"sec-websocket-key"]
    if [value for name, value in headers if name == b"sec-websocket-version"] != [_VERSION]:
        raise BadHandshake(426)
    try:
        if len(keys) != 1 or len(b64decode(keys[0], validate=True)) != _KEY_BYTES:
            raise BadHandshake(400)
    except Error:
        raise BadHandshake(400) from None
    return keys[0]


def accepts(headers: Sequence[tuple[bytes, bytes]], key: bytes) -> bool:
    """Tell whether an answer is one to this key: no cache, and no server that upgrades to something else."""
    expected = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
    return [value for name, value in headers if name == b"sec-websocket-accept"] == [expected]


def from_page(headers: Sequence[tuple[bytes, bytes]], rule: WebSocket) -> bool:
    """Tell whether it comes from a page that may open it, or from no page at all (RFC 6455 section 10.2)."""
    if not rule.origins:
        return True
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if not origins:
        return rule.cookie is None
    return len(origins) == 1 and origins[0] in rule.origins


def revealed(headers: Headers, rule: WebSocket) -> Headers:
    """Write a token that came in a configured way as a browser must send it as the header that everybody reads.

    What was there stays there: with two credentials the gate has to see both. Only the token itself goes no further.
    """
    rest: Headers = []
    found: Headers = []
    for name, value in headers:
        left, tokens = _without_token(name, value, rule)
        found += [(b"authorization", b"Bearer " + token) for token in tokens]
        if left or not tokens:
            rest.append((name, left))
    return rest + found


def _without_token(name: bytes, value: bytes, rule: WebSocket) -> tuple[bytes, list[bytes]]:
    if rule.subprotocol and name == _PROTOCOL:
        return _taken([each.strip() for each in value.split(b",")])
    if rule.cookie is not None and name == b"cookie":
        return _eaten(value, rule.cookie.encode("ascii"))
    return value, []


def marked(headers: Sequence[tuple[bytes, bytes]], rule: WebSocket) -> bool:
    """Tell whether a client offered "bearer": some subprotocol has to be chosen, or browsers give up."""
    return rule.subprotocol and any(
        MARK in (each.strip() for each in value.split(b",")) for name, value in headers if name == _PROTOCOL
    )


def chosen(headers: Headers) -> bool:
    """Tell whether the server behind has chosen a subprotocol."""
    return any(name == _PROTOCOL for name, _ in headers)


def choice() -> tuple[bytes, bytes]:
    """Choose the mark, which is no secret, instead of nothing."""
    return _PROTOCOL, MARK


def _taken(offered: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Take the mark and what follows it out of a list of subprotocols."""
    tokens: list[bytes] = []
    rest: list[bytes] = []
    coming = iter(offered)
    for each in coming:
        if each == MARK:
            tokens += islice(coming, 1)
        else:
            rest.append(each)
    return b", ".join(rest), tokens


def _eaten(value: bytes, name: bytes) -> tuple[bytes, list[bytes]]:
    """Take one cookie out of the others (RFC 6265 section 5.4)."""
    pairs = [pair.strip() for pair in value.split(b";")]
    tokens = [pair.partition(b"=")[2].strip(b'"') for pair in pairs if pair.partition(b"=")[0] == name]
    return b"; ".join(pair for pair in pairs if pair.partition(b"=")[0] != name), tokens
