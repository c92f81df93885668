"""How a front asks and which answers it understands, front by front. A question in other words is refused, not guessed.

Whoever may ask (a trusted peer, or the other end of our unix socket) holds the request and sends its headers along, the
caller's among them. So a contract reads only the words that its front overwrites, each exactly once, and a question
with the words of another contract comes from a front that this gateway was not set up for: what we would read there,
the caller might have written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from idp.gateway.config import Contract

if TYPE_CHECKING:
    from idp.gateway.server.arrival import Arrival

AUTH: Final = b"/.gatehouse/auth"

_ASKING: Final = frozenset({b"x-original-method", b"x-original-uri", b"x-forwarded-method", b"x-forwarded-uri"})
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_UNAVAILABLE: Final = 503
_CALLERS_FAULT: Final = range(400, 432)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a front asks about: the request as its caller sent it."""

    method: str
    target: bytes
    host: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One contract: which headers hold the question; None where the question itself is what it is about."""

    method: bytes | None = None
    target: bytes | None = None
    host: bytes | None = None
    keeps_host: bool = False  # Host is the caller's as well: another name would be a second reading
    coarse: bool = False  # understands 200, 401 and 403; the true status is told beside

    def addressed(self, target: bytes) -> bool:
        """Tell whether a request to us is a question: to our one address, or to any under it."""
        return target.startswith(AUTH + b"/") if self.target is None else target.partition(b"?")[0] == AUTH

    def question(self, arrival: Arrival) -> Question | None:
        """Read a question, or None when it breaks the contract."""
        words = {self.method, self.target, self.host}
        said: dict[bytes | None, bytes] = {}
        for name, value in arrival.headers:
            if name in words:
                if name in said:
                    return None
                said[name] = value
            elif name in _ASKING:
                return None
        said[None] = b""
        if len(said) != len(words | {None}):
            return None
        method = said[self.method].decode("latin-1") if self.method else arrival.method
        target = said[self.target] if self.target else arrival.target.removeprefix(AUTH)
        host = said[self.host] if self.host else arrival.host
        if not method.isalpha() or (self.keeps_host and host.lower() != arrival.host.lower()):
            return None
        return Question(method=method, target=target, host=host)

    def told(self, status: int) -> int:
        """Give the status that this front hands on, and takes neither for a yes nor for trouble of its own."""
        if self.coarse:
            return status if status == _UNAUTHORIZED else _FORBIDDEN
        return status if status in _CALLERS_FAULT else _UNAVAILABLE


FRONTS: Final[dict[Contract, Front]] = {
    "nginx": Front(method=b"x-original-method", target=b"x-original-uri", coarse=True),
    "caddy": Front(method=b"x-forwarded-method", target=b"x-forwarded-uri", host=b"x-forwarded-host", keeps_host=True),
    "traefik": Front(method=b"x-forwarded-method", target=b"x-forwarded-uri", host=b"x-forwarded-host"),
    "envoy": Front(),
}
