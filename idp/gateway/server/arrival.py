"""What stands in the head of a request, checked as a whole before anybody acts on it (RFC 9112 sections 3 and 6)."""

from __future__ import annotations

import re
from typing import Final

from idp.gateway.host import valid_host

_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_LONGEST_TARGET: Final = 16_384
_MOST_HEADERS: Final = 100

HOST: Final = 1
LENGTH: Final = 2
CODING: Final = 3
CONNECTION: Final = 4
EXPECT: Final = 5
UPGRADE: Final = 6
NOTED: Final = {
    b"host": HOST,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
}


class Unreadable(Exception):
    """The head of a request is refused; the connection ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Arrival:
    """The head of one request, as it comes in."""

    __slots__ = (
        "chunked",
        "codings",
        "complete",
        "expects",
        "headers",
        "hosts",
        "lengths",
        "method",
        "nominated",
        "options",
        "replaced_host",
        "target",
        "upgrades",
        "version",
        "websocket",
    )

    def __init__(self) -> None:
        self.target = b""
        self.method = ""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.hosts: list[bytes] = []
        self.lengths: list[bytes] = []
        self.codings: list[bytes] = []
        self.options: list[bytes] = []  # of Connection
        self.nominated: frozenset[bytes] = frozenset()
        self.expects = False
        self.upgrades: list[bytes] = []
        self.websocket = False  # this is how it is asked for; whether it may is for the gate to say
        self.chunked = False
        self.replaced_host = False

    def header(self, name: bytes, value: bytes) -> None:
        """Take one header; trailers, which come after the decision, are dropped (RFC 9110 section 6.5.1)."""
        if self.complete:
            return
        name = name.lower()
        noted = NOTED.get(name)
        if noted is not None:
            self._note(noted, value)
        self.headers.append((name, value))

    def _note(self, noted: int, value: bytes) -> None:
        if noted == HOST:
            self.hosts.append(value)
        elif noted == LENGTH:
            self.lengths.append(value)
        elif noted == CODING:
            self.codings.append(value)
        elif noted == CONNECTION:
            self.options.append(value)
        elif noted == EXPECT:
            self.expects = value.lower() == b"100-continue"
        else:
            self.upgrades.append(value)

    @property
    def host(self) -> bytes:
        """The one Host; `check` has made sure of it."""
        return self.hosts[0]

    @property
    def length(self) -> int:
        """The declared length of the body; 0 when none is declared."""
        return int(self.lengths[0]) if self.lengths else 0

    @property
    def has_body(self) -> bool:
        """Tell whether a body follows."""
        return self.chunked or self.length > 0

    def check(self, method: str, version: str) -> None:
        """Refuse a head that another server could read otherwise."""
        self.complete = True
        self.method = method
        self.version = version
        self.expects = self.expects and version == "1.1"  # RFC 9110 section 10.1.1: HTTP/1.0 knows no interim answer
        if version not in {"1.1", "1.0"}:
            raise Unreadable(505)
        if method == "CONNECT":  # its target is no path, and what follows is no HTTP
            raise Unreadable(405)
        if self.options:
            self.nominated = frozenset(name.strip().lower() for name in b",".join(self.options).split(b","))
        self.websocket = self._asks_for_websocket()
        if len(self.target) > _LONGEST_TARGET:
            raise Unreadable(414)
        if len(self.headers) > _MOST_HEADERS:
            raise Unreadable(431)
        self._check_framing()
        self._check_host()
        if self.websocket and self.has_body:
            raise Unreadable(400)

    def check_size(self, most: int) -> None:
        """RFC 6585 section 5. Counted exactly here: a chunk may hold several requests."""
        size = len(self.target) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > most:
            raise Unreadable(431)

    def _asks_for_websocket(self) -> bool:
        """RFC 9110 section 7.8: WebSocket is the one other protocol spoken here. Never h2c (attack row GW15)."""
        if not self.upgrades or b"upgrade" not in self.nominated:
            return False
        if self.method != "GET" or self.version != "1.1" or [each.lower() for each in self.upgrades] != [b"websocket"]:
            raise Unreadable(501)
        return True

    def _check_framing(self) -> None:
        """RFC 9112 section 6.1: the one coding is chunked, and never beside a length."""
        if len(self.lengths) > 1 or (self.lengths and not self.lengths[0].isdigit()):
            raise Unreadable(400)
        if not self.codings:
            return
        if self.lengths or self.version != "1.1" or len(self.codings) > 1 or self.codings[0].lower() != b"chunked":
            raise Unreadable(400)
        self.chunked = True

    def _check_host(self) -> None:
        """RFC 9112 sections 3.2 and 3.2.2: exactly one, well-formed; an absolute target speaks louder."""
        if len(self.hosts) != 1 or not valid_host(self.hosts[0]):
            raise Unreadable(400)
        if self.target.startswith(b"/"):
            return
        absolute = _ABSOLUTE.fullmatch(self.target)
        if absolute is None or not valid_host(absolute[1]):
            raise Unreadable(400)
        self.replaced_host = absolute[1].lower() != self.hosts[0].lower()
        self.hosts = [absolute[1]]
        self.target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
