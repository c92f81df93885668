"""Signed assertions of clients: private_key_jwt (RFC 7523 section 3, OpenID Connect Core section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from idp.jose import strict
from idp.jose import verify as jose
from idp.jose.strict import JoseError
from idp.protocol.errors import InvalidClient
from idp.store import used_jti

if TYPE_CHECKING:
    from idp.clients.client import Client
    from idp.store.database import Session

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGS: Final = ("RS256", "PS256", "ES256", "EdDSA")
FAPI2_ALGS: Final = ("PS256", "ES256", "EdDSA")  # FAPI 2.0 Security Profile section 5.4
# RFC 8725 section 3.11 would have a typ, but clients of today send JWT, their own, or none.
_MAX_LIFE: Final = timedelta(minutes=5)
_LEEWAY: Final = timedelta(seconds=30)
_MAX_JTI: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is left to do with a verified assertion: use it up."""

    jti: str
    expires_at: datetime


def subject(token: str) -> str:
    """Read who an assertion says it is from, before anything of it is believed."""
    try:
        claims = strict.loads(strict.split(token).payload)
    except JoseError as error:
        raise _refusal(error.reason) from None
    named = claims.get("sub")
    if not isinstance(named, str):
        raise _refusal("sub is absent")
    return named


def verify(token: str, client: Client, *, audiences: frozenset[str], now: datetime) -> Claim:
    """Check signature, who, for whom and when (RFC 7523 section 3)."""
    if client.keys is None:
        raise _refusal("client has no keys")
    algs = frozenset(FAPI2_ALGS if client.fapi2 else ALGS)
    try:
        claims = jose.verify(token, client.keys, typ=None, algs=algs, foreign=True).claims
        jose.check_times(claims, now.timestamp(), leeway=_LEEWAY.total_seconds())
    except JoseError as error:
        raise _refusal(error.reason) from None
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise _refusal("iss and sub are not the client")
    _check_audience(claims.get("aud"), audiences, string_only=client.fapi2)
    return Claim(jti=_jti(claims.get("jti")), expires_at=_expiry(claims.get("exp"), now))


def spend(tx: Session, client: Client, claim: Claim, now: datetime) -> bool:
    """Use an assertion up; False if somebody did before (RFC 7523 section 3, item 7)."""
    key = sha256(f"{client.client_id}\0{claim.jti}".encode("utf-8", "surrogatepass")).hexdigest()
    return used_jti.claim(tx, key, claim.expires_at + _LEEWAY, now)


def _check_audience(aud: object, audiences: frozenset[str], *, string_only: bool) -> None:
    # One audience, ours: an assertion that names another server too could be replayed here by that server.
    if isinstance(aud, list) and len(aud) == 1 and not string_only:
        aud = aud[0]
    if not isinstance(aud, str) or aud not in audiences:
        raise _refusal("aud is not this server")


def _jti(jti: object) -> str:
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise _refusal("jti is absent or too long")
    return jti


def _expiry(exp: object, now: datetime) -> datetime:
    # check_times has seen that it is a number of a sane size.
    expires_at = datetime.fromtimestamp(float(str(exp)), UTC)
    if expires_at > now + _MAX_LIFE + _LEEWAY:
        raise _refusal("exp is too far away")
    return expires_at


def _refusal(reason: str) -> InvalidClient:
    return InvalidClient("client authentication failed", reason=reason)
