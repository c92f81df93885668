"""What of a proof of possession needs no keys: the address it is for, and the nonce (RFC 9449)."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

JKT: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")  # RFC 7638: a SHA-256, in its one spelling

_ADDRESS: Final = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{0,5}))?(/[^?#]*)?(?:[?#].*)?", re.IGNORECASE
)
_VISIBLE: Final = re.compile(r"[!-~]{1,8192}")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})|%")
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_PORTS: Final = {"http": "80", "https": "443"}

_PERIOD: Final = 60  # seconds
_OCTETS: Final = 16


def same_address(one: str, other: str) -> bool:
    """Tell whether two addresses are one, but for query and fragment (RFC 9449 section 4.3, item 9)."""
    first = _normal(one)
    return first is not None and first == _normal(other)


def _normal(uri: str) -> str | None:
    """Normalise by syntax and scheme (RFC 3986 sections 6.2.2 and 6.2.3); None for what is no address of a request.

    Dot segments are left as they are: nothing here answers at an address that has any.
    """
    found = _ADDRESS.fullmatch(uri) if _VISIBLE.fullmatch(uri) else None
    if found is None:
        return None
    scheme, host, port, path = found[1].lower(), found[2].lower(), found[3], found[4] or "/"
    escapes = [match[1] for match in _ESCAPE.finditer(path)]
    if None in escapes:
        return None
    port = (port or "").lstrip("0")
    where = host if port in {"", _PORTS[scheme]} else f"{host}:{port}"
    return f"{scheme}://{where}{_ESCAPE.sub(_unescaped, path)}"


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _PLAIN else match[0].upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonces:
    """Nonces that nobody keeps: a hash of the present minute under a key that only we have (RFC 9449 section 8)."""

    key: bytes = field(repr=False)

    def current(self, now: float) -> str:
        """Give the nonce to use from now on."""
        return self._of(int(now // _PERIOD))

    def accepts(self, nonce: str | None, now: float) -> bool:
        """Tell whether a nonce was given out in this minute or the last, or by a server whose clock is ahead."""
        if nonce is None or not nonce.isascii():
            return False
        period = int(now // _PERIOD)
        good = [hmac.compare_digest(self._of(each), nonce) for each in (period, period - 1, period + 1)]
        return any(good)

    def _of(self, period: int) -> str:
        made = hmac.new(self.key, b"dpop nonce %d" % period, sha256).digest()
        return urlsafe_b64encode(made[:_OCTETS]).rstrip(b"=").decode("ascii")
