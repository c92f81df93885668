"""Believing tokens: signature and typ first, then times, audience and issuer, each by its own check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from idp.jose.jwk import canonical_alg
from idp.jose.keys import KeySet
from idp.jose.strict import Compact, JoseError, loads, split

LEEWAY: Final = 30
_MAX_LEEWAY: Final = 60  # more than this ahead is refused, whatever a setting says
_LAST_MOMENT: Final = 253_402_300_799  # the end of year 9999: later dates are mistakes or mischief
_EMBEDDED_KEYS: Final = frozenset({"jwk", "jku", "x5u", "x5c"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A token whose signature and typ are right; what its claims mean is still to be checked."""

    header: dict[str, object]
    claims: dict[str, object]


def verify(
    token: str,
    keys: KeySet,
    *,
    typ: frozenset[str] | None,
    algs: frozenset[str],
    foreign: bool = False,
) -> Verified:
    """Check shape, typ and signature with a key of `keys`, never with one the token brings (RFC 8725 section 3.10).

    `typ` holds lower-case media types without `application/`; "" in it allows a token without typ.
    `foreign` tokens may carry embedded keys, which are ignored; in our own they are refused.
    """
    compact = split(token)
    if not foreign and not _EMBEDDED_KEYS.isdisjoint(compact.header):
        raise JoseError("header carries a key")
    if typ is not None and media_type(compact) not in typ:
        raise JoseError("typ is another")
    key = keys.select(compact.header, algs)
    if not key.verify(canonical_alg(compact.header["alg"]), compact.signing_input, compact.signature):
        raise JoseError("signature is wrong")
    return Verified(header=compact.header, claims=loads(compact.payload))


def media_type(compact: Compact) -> str:
    """Give typ as it compares: lower case, without `application/`, "" if absent (RFC 7515 section 4.1.9)."""
    name = str(compact.header.get("typ", "")).lower()
    rest = name.removeprefix("application/")
    return name if "/" in rest else rest


def check_times(
    claims: Mapping[str, object],
    now: float,
    *,
    leeway: float = LEEWAY,
    require_exp: bool = True,
) -> None:
    """Refuse what has ended, has not begun, or was issued in the future (RFC 7519 section 4.1)."""
    leeway = min(leeway, _MAX_LEEWAY)
    exp, nbf, iat = (date(claims, name) for name in ("exp", "nbf", "iat"))
    if exp is None and require_exp:
        raise JoseError("exp is absent")
    if exp is not None and now >= exp + leeway:
        raise JoseError("token has expired")
    if nbf is not None and nbf > now + leeway:
        raise JoseError("token is not valid yet")
    if iat is not None and iat > now + leeway:
        raise JoseError("token is from the future")


def check_audience(
    claims: Mapping[str, object],
    audience: str | frozenset[str],
    *,
    exactly_one: bool = False,
) -> None:
    """Refuse a token for somebody else; names compare whole (RFC 7519 section 4.1.3)."""
    wanted = frozenset({audience}) if isinstance(audience, str) else audience
    if not wanted:
        raise JoseError("no audience is configured")
    given = audience_list(claims)
    if exactly_one and len(given) != 1:
        raise JoseError("aud is not exactly one")
    if wanted.isdisjoint(given):
        raise JoseError("aud is another")


def audience_list(claims: Mapping[str, object]) -> tuple[str, ...]:
    """Read aud as what it may be: one string or a list of them."""
    given = claims.get("aud")
    listed = given if isinstance(given, list) else [given]
    if not listed or not all(isinstance(name, str) for name in listed):
        raise JoseError("aud is not text")
    return tuple(str(name) for name in listed)


def check_issuer(claims: Mapping[str, object], issuer: str) -> None:
    """Refuse a token of another issuer, compared byte for byte (RFC 8725 section 3.8)."""
    if claims.get("iss") != issuer:
        raise JoseError("iss is another")


def date(claims: Mapping[str, object], name: str) -> float | None:
    """Read a NumericDate: a finite number of seconds, never text and never a bool (RFC 7519 section 2)."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise JoseError("date is not a number")
    if not (math.isfinite(value) and 0 <= value <= _LAST_MOMENT):
        raise JoseError("date is out of range")
    return value
