"""Who is calling: what a verified token says, in the form in which each request needs it.

Thousands are kept at once, so sets that tokens have in common are shared, and the claims stay as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final

from idp.gateway.headers import EMPTY_IDENTITY, IDENTITY, identity_value
from idp.gateway.revocation.marks import Marks, marks_of
from idp.jose.strict import JoseError, loads
from idp.jose.verify import audience_list
from idp.protocol.confirmation import Bound, Unconfirmable

Headers = tuple[tuple[bytes, bytes], ...]
_DIGEST: Final = 16
_WIRE: Final = b"".join(name + b": %b\r\n" for name in IDENTITY)


class Principal:
    """A verified token."""

    __slots__ = (
        "_marks",
        "_payload",
        "_values",
        "audiences",
        "bound",
        "client_id",
        "kid",
        "roles",
        "scopes",
        "subject",
    )

    def __init__(self, claims: Mapping[str, object], *, kid: str = "", payload: bytes = b"{}") -> None:
        self.kid = kid
        self.bound = _bound(claims)  # to whose hands; None: to anybody's
        self.subject = _text(claims, "sub")
        self.audiences = _shared(audience_list(claims))
        self.client_id, client_value = _name(_text(claims, "client_id"))
        self.scopes, scope_value = _words(tuple(str(claims.get("scope", "")).split(" ")))
        self.roles, role_value = _words(_roles(claims))
        self._values = (identity_value(self.subject), client_value, scope_value, role_value)
        self._payload = payload
        self._marks: Marks | None = None

    @property
    def claims(self) -> dict[str, object]:
        """Every claim, read again from the verified payload: few ask for them, and thousands would have to be kept."""
        return loads(self._payload)

    @property
    def marks(self) -> Marks:
        """By which names it can be revoked: read when somebody first asks, for most gateways hear of no revocation."""
        if self._marks is None:
            self._marks = marks_of(self.claims, self.kid)
        return self._marks

    @property
    def headers(self) -> Headers:
        """The identity headers."""
        return tuple(zip(IDENTITY, self._values, strict=True))

    @property
    def wire(self) -> bytes:
        """The identity headers as they are written."""
        return _WIRE % self._values

    @property
    def subject_digest(self) -> str:
        """Enough to follow one person through the log, not enough to say who it is (decision log)."""
        return sha256(self.subject.encode()).hexdigest()[:_DIGEST]


NOBODY: Final[Headers] = EMPTY_IDENTITY


def _bound(claims: Mapping[str, object]) -> Bound | None:
    try:
        return Bound.read(claims.get("cnf"))
    except Unconfirmable:
        raise JoseError("the token is bound to something unknown") from None


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims[name]
    if not isinstance(value, str) or not value or not value.isprintable():
        raise JoseError("a claim is not printable text")
    return value


def _roles(claims: Mapping[str, object]) -> tuple[str, ...]:
    """Read roles as RFC 9068 section 2.2.3.1 has them: a list of texts, or nothing at all."""
    given = claims.get("roles", [])
    if not isinstance(given, list) or not all(isinstance(role, str) and role and role.isprintable() for role in given):
        raise JoseError("roles is not a list of texts")
    return tuple(given)


@lru_cache(maxsize=1_024)
def _shared(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


@lru_cache(maxsize=1_024)
def _words(names: tuple[str, ...]) -> tuple[frozenset[str], bytes]:
    """Give words as a set and as a header value."""
    words = frozenset(filter(None, names))
    return words, b" ".join(identity_value(word) for word in sorted(words))


@lru_cache(maxsize=1_024)
def _name(name: str) -> tuple[str, bytes]:
    return name, identity_value(name)
