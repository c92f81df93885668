"""Who is calling: what a verified token says, in the form in which each request needs it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from idp.gateway.headers import EMPTY_IDENTITY, IDENTITY, identity_value
from idp.gateway.revocation.marks import marks_of
from idp.jose.strict import JoseError
from idp.jose.verify import audience_list

Headers = tuple[tuple[bytes, bytes], ...]
_DIGEST: Final = 16


class Principal:
    """A verified token. Made once per token and kept, so everything is split and encoded beforehand."""

    __slots__ = (
        "audiences",
        "claims",
        "client_id",
        "headers",
        "kid",
        "marks",
        "roles",
        "scopes",
        "subject",
        "subject_digest",
        "wire",
    )

    def __init__(self, claims: Mapping[str, object], kid: str) -> None:
        self.claims = claims
        self.kid = kid
        self.subject = _text(claims, "sub")
        self.client_id = _text(claims, "client_id")
        self.audiences = frozenset(audience_list(claims))
        scopes = str(claims.get("scope", "")).split(" ")
        self.scopes = frozenset(scope for scope in scopes if scope)
        self.roles = _roles(claims)
        self.marks = marks_of(claims)
        # Enough to follow one person through the log, not enough to say who it is (decision log).
        self.subject_digest = sha256(self.subject.encode()).hexdigest()[:_DIGEST]
        self.headers: Headers = tuple(zip(IDENTITY, self._values(), strict=True))
        self.wire = b"".join(name + b": " + value + b"\r\n" for name, value in self.headers)

    def _values(self) -> tuple[bytes, ...]:
        listed = (b" ".join(identity_value(name) for name in sorted(names)) for names in (self.scopes, self.roles))
        return (identity_value(self.subject), identity_value(self.client_id), *listed)


NOBODY: Final[Headers] = EMPTY_IDENTITY


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims[name]
    if not isinstance(value, str) or not value or not value.isprintable():
        raise JoseError("a claim is not printable text")
    return value


def _roles(claims: Mapping[str, object]) -> frozenset[str]:
    """Read roles as RFC 9068 section 2.2.3.1 has them: a list of texts, or nothing at all."""
    given = claims.get("roles", [])
    if not isinstance(given, list) or not all(isinstance(role, str) and role and role.isprintable() for role in given):
        raise JoseError("roles is not a list of texts")
    return frozenset(given)
