"""Access tokens as every resource must check them (RFC 9068 section 4)."""

from __future__ import annotations

from typing import Final

from idp.jose.keys import KeySet
from idp.jose.strict import JoseError
from idp.jose.verify import (
    LEEWAY,
    audience_list,
    check_audience,
    check_issuer,
    check_times,
    verify,
)

ACCESS_TOKEN_TYP: Final = "at+jwt"  # noqa: S105 - a media type
_TYPES: Final = frozenset({ACCESS_TOKEN_TYP})
_TEXT: Final = ("sub", "client_id", "jti")  # RFC 9068 section 2.2: always there


def verify_access_token(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    audiences: frozenset[str] | None,
    algs: frozenset[str],
    now: float,
    leeway: float = LEEWAY,
) -> dict[str, object]:
    """Return the claims of a live access token, or refuse it.

    With None for the audiences the caller compares aud itself, per route; it is still required to be there.
    """
    claims = verify(token, keys, typ=_TYPES, algs=algs).claims
    check_issuer(claims, issuer)
    check_times(claims, now, leeway=leeway)
    if audiences is None:
        audience_list(claims)
    else:
        check_audience(claims, audiences)
    if not all(isinstance(claims.get(name), str) for name in _TEXT) or "iat" not in claims:
        raise JoseError("a required claim is missing")
    if not isinstance(claims.get("scope", ""), str):
        raise JoseError("scope is not text")
    return claims
