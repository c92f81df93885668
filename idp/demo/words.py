"""Why each claim is there, in words. For looking only: an app never reads its access token, which is for the API."""

from __future__ import annotations

import datetime as dt
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOMENTS = frozenset({"iat", "exp", "nbf", "auth_time", "updated_at"})
ID_TOKEN = {
    "iss": "Who says so. The app takes no other issuer.",
    "sub": "You, by a name that never changes and is never given to somebody else.",
    "aud": "Whom it is for: this app and nobody else.",
    "exp": "When it ends. Later it proves nothing.",
    "iat": "When it was made.",
    "auth_time": "When you proved who you are.",
    "nonce": "Random words this app sent along. They tie the answer to this very sign-in.",
    "acr": "How sure Gatehouse is: aal1 is a password, aal2 a second step as well.",
    "amr": "What you proved it with: pwd is a password, otp a code of your app, mfa that it took both.",
    "at_hash": "Ties this token to the access token that came with it.",
    "azp": "Which app asked for it.",
    "sid": "The session it belongs to. Signing out ends all of it.",
}
ACCESS_TOKEN = {
    "iss": "Who made it. The gateway asks this issuer for the keys, nobody else.",
    "sub": "You.",
    "aud": "The one API that may accept it.",
    "client_id": "Which app is calling for you.",
    "scope": "What the app asked for, you allowed, and your roles permit.",
    "roles": "What your groups make you at this API.",
    "exp": "When the gateway stops letting it through.",
    "iat": "When it was made.",
    "nbf": "It counts for nothing before this.",
    "jti": "Its own number, so that it can be revoked alone.",
    "sid": "The session it hangs on.",
    "grant_id": "The permission it hangs on. Take that back and it ends at once.",
    "auth_time": "When you proved who you are.",
    "acr": "How sure Gatehouse was about you.",
    "amr": "What you proved it with.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One claim as it is shown."""

    name: str
    value: str
    exact: str
    why: str


def explain(claims: Mapping[str, Any], words: Mapping[str, str]) -> list[Line]:
    """Return the claims in the order of the words; unknown ones follow."""
    known = [name for name in words if name in claims]
    rest = [name for name in claims if name not in words]
    return [_line(name, claims[name], words.get(name, "")) for name in [*known, *rest]]


def look_inside(token: str) -> dict[str, Any]:
    """Decode the claims of a token WITHOUT verifying it: to be shown on this page, never to decide anything."""
    try:
        middle = token.split(".")[1]
        said = json.loads(urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (ValueError, IndexError):
        return {}
    return said if isinstance(said, dict) else {}


def _line(name: str, value: Any, why: str) -> Line:
    if name in MOMENTS and isinstance(value, int | float):
        moment = dt.datetime.fromtimestamp(value, dt.UTC).astimezone()
        return Line(name=name, value=f"{moment:%H:%M:%S}", exact=moment.isoformat(), why=why)
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return Line(name=name, value=shown, exact="", why=why)
