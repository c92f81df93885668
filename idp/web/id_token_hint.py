"""ID tokens of ours that come back as hints (OpenID Connect Core section 3.1.2.1, RP-Initiated Logout section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from idp.jose import verify as jose
from idp.jose.strict import JoseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from idp.keys.rotation import Keyring

# An access token is no hint: its typ is another (RFC 9068 section 2.1).
TYPES: Final = frozenset({"jwt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Whom, for whom and in which session a past ID token was about."""

    subject: str
    client_id: str
    session_id: str | None


def read(token: str, keyring: Keyring, *, issuer: str, now: datetime) -> Hint | None:
    """Return what a hint says; None when it is not an ID token of ours. An expired one still is."""
    try:
        claims = jose.verify(token, keyring.verifying_hints(now), typ=TYPES, algs=keyring.algs).claims
        jose.check_issuer(claims, issuer)
        # OpenID Connect Core section 3.1.2.1: its time may be over, but not yet to come.
        begun = {name: value for name, value in claims.items() if name != "exp"}
        jose.check_times(begun, now.timestamp(), require_exp=False)
        audience = jose.audience_list(claims)
    except JoseError:
        return None
    return _hint(claims, audience)


def _hint(claims: Mapping[str, object], audience: tuple[str, ...]) -> Hint | None:
    subject, session_id = claims.get("sub"), claims.get("sid")
    if not isinstance(subject, str) or len(audience) != 1:
        return None
    return Hint(
        subject=subject,
        client_id=audience[0],
        session_id=session_id if isinstance(session_id, str) else None,
    )
