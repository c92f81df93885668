"""Headers that only the gateway may set, told apart by normalised name.

X_Auth_Subject and X.Auth.Subject are X-Auth-Subject: servers behind (WSGI above all) fold such spellings
into one, so a client must not get any of them through.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")
_FOLDED: Final = bytes(byte if byte in _PLAIN else ord("-") for byte in bytes(range(256)).lower())
_REMEMBERED: Final = 1_024

IDENTITY: Final = (b"x-auth-subject", b"x-auth-client", b"x-auth-scopes", b"x-auth-roles")
EMPTY_IDENTITY: Final = tuple((name, b"") for name in IDENTITY)
OURS: Final = (b"x-auth-", b"x-gatehouse-")

# What a client could use to lie about where a request came from or went to (attack row GW9).
ORIGIN: Final = (b"x-forwarded-", b"x-original-", b"x-rewrite-", b"x-real-ip", b"forwarded")
# RFC 9110 section 7.6.1: these belong to one connection. Their underscore twins have no business anywhere.
HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
    b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
# The same in an answer, where a login to a proxy is the client's own affair.
OF_THE_HOP: Final = HOP_BY_HOP - {b"proxy-authenticate", b"proxy-authorization"}
# Written anew for the upstream, from what was understood.
FRAMING: Final = frozenset({b"host", b"content-length", b"expect"})
# Answered with 405: a server behind might take the method from here (attack row GW11).
METHOD_OVERRIDE: Final = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})

_SAFE: Final = "!\"#$&'()*+-./:;<=>?@[\\]^_`{|}~"


def normalised(name: bytes) -> bytes:
    """Fold a header name as the most lenient server would: lower case, and one separator."""
    return name.translate(_FOLDED)


class Strip:
    """The names that a client may not send, remembered by spelling. Bounded: names come from strangers."""

    def __init__(self, more: Iterable[str] = (), *, authorization: bool) -> None:
        self._exact = HOP_BY_HOP | FRAMING | {name.encode() for name in more} | METHOD_OVERRIDE
        if authorization:
            self._exact |= {b"authorization"}
        self._known: dict[bytes, bool] = {}

    def drops(self, name: bytes) -> bool:
        """Tell whether a header of this (lower-case) name stays behind."""
        known = self._known.get(name)
        if known is None:
            folded = normalised(name)
            known = folded in self._exact or folded.startswith(OURS + ORIGIN)
            if len(self._known) < _REMEMBERED:
                self._known[name] = known
        return known


def identity_value(value: str) -> bytes:
    """Write a claim into a header: visible ASCII as it is, the rest (and "%", ",") percent-encoded UTF-8."""
    return quote(value, safe=_SAFE).encode("ascii")
