"""Believing a provider's word about somebody (OpenID Connect Core section 3.1.3.7, Back-Channel Logout section 2.6)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from idp.jose.hashes import half_hash
from idp.jose.keys import KeySet
from idp.jose.strict import JoseError
from idp.jose.verify import audience_list, check_audience, check_issuer, check_times, date, verify

OLDEST: Final = 600  # seconds since iat: it comes straight from the token endpoint
LONGEST_SUB: Final = 255
TYPES: Final = frozenset({"", "jwt"})
_LOGOUT_TYPES: Final = frozenset({"", "jwt", "logout+jwt"})
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an ID token has to match."""

    issuer: str
    client_id: str
    also_audiences: frozenset[str]
    algs: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """What a provider says is over: somebody's sessions, or one of them."""

    external_id: str | None
    sid: str | None
    jti: str
    expires: float


def check(
    token: str, keys: KeySet, expected: Expected, *, nonce: str, access_token: str, now: float
) -> dict[str, object]:
    """Return the claims of an ID token, or refuse it by raising JoseError."""
    found = verify(token, keys, typ=TYPES, algs=expected.algs, foreign=True)
    claims = found.claims
    check_addressee(claims, expected)
    check_times(claims, now)
    issued = date(claims, "iat")
    if issued is None or issued < now - OLDEST:
        raise JoseError("iat is absent or long ago")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise JoseError("nonce is another")
    if "at_hash" in claims and claims["at_hash"] != half_hash(access_token, str(found.header["alg"])):
        raise JoseError("at_hash is another")
    if subject(claims) is None:
        raise JoseError("sub is absent or too long")
    return claims


def check_logout(token: str, keys: KeySet, expected: Expected, *, now: float) -> Over:
    """Return what a logout token ends, or refuse it by raising JoseError."""
    claims = verify(token, keys, typ=_LOGOUT_TYPES, algs=expected.algs, foreign=True).claims
    check_addressee(claims, expected)
    # Older providers send no exp; the age of iat bounds them all the same.
    check_times(claims, now, require_exp=False)
    issued = date(claims, "iat")
    if issued is None or issued < now - OLDEST:
        raise JoseError("iat is absent or long ago")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        raise JoseError("this is not about a logout")
    if "nonce" in claims:  # section 2.4: so that no ID token passes for one
        raise JoseError("a logout token has no nonce")
    jti, sid = claims.get("jti"), claims.get("sid")
    if not isinstance(jti, str) or not jti:
        raise JoseError("jti is absent")
    if sid is not None and not isinstance(sid, str):
        raise JoseError("sid is not text")
    external_id = subject(claims)
    if external_id is None and sid is None:
        raise JoseError("nobody is named")
    return Over(external_id=external_id, sid=sid, jti=jti, expires=issued + 2 * OLDEST)


def subject(claims: Mapping[str, object]) -> str | None:
    """Return sub if it is what it must be (OpenID Connect Core section 2)."""
    sub = claims.get("sub")
    fits = isinstance(sub, str) and 0 < len(sub) <= LONGEST_SUB and sub.isascii() and sub.isprintable()
    return sub if fits and isinstance(sub, str) else None


def check_addressee(claims: Mapping[str, object], expected: Expected) -> None:
    """Refuse what another says, or what is said to another as well."""
    check_issuer(claims, expected.issuer)
    check_audience(claims, expected.client_id)
    others = set(audience_list(claims)) - {expected.client_id}
    # Core section 3.1.3.7 points 3 to 5: an audience that nobody trusts, or no word for whom among several.
    if not others <= expected.also_audiences:
        raise JoseError("aud names others")
    azp = claims.get("azp")
    if (others or azp is not None) and azp != expected.client_id:
        raise JoseError("azp is another")
