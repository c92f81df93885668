"""Signing out at the provider a session came from as well (OpenID Connect RP-Initiated Logout 1.0 section 2).

Only where the operator says so: whoever signs out of one app rarely means their whole company account.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from flask import session

from idp.federation.oidc import Oidc
from idp.store import upstream_session
from idp.store.digests import new_secret
from idp.web.services import services

if TYPE_CHECKING:
    from datetime import datetime

PATH: Final = "/logout/elsewhere"
_KEY: Final = "signing_out"


def connector_of(session_id: str, now: datetime) -> Oidc | None:
    """Return the provider that a session came from, if signing out there is wanted."""
    with services().db.read() as tx:
        found = upstream_session.find(tx, session_id)
    if found is None:
        return None
    live = (each.connector for each in services().connectors.all(now) if each.id == found.connector_id)
    connector = next(live, None)
    return connector if isinstance(connector, Oidc) and connector.signs_out else None


def leave(connector: Oidc, onward: str | None) -> str | None:
    """Write the address to sign out at, and remember where the browser goes on to; None where there is no such place.

    To be called when the browser's flow has been made anew: what is remembered belongs to the new one.
    """
    there = connector.sign_out_at()
    if there is None:
        return None
    state = new_secret()
    session[_KEY] = [state, onward]
    asked = {
        "client_id": connector.common.client_id,
        "post_logout_redirect_uri": services().settings.issuer + PATH,
        "state": state,
    }
    return f"{there}{'&' if '?' in there else '?'}{urlencode(asked)}"


def back(state: str) -> str | None:
    """Return where the browser goes on to, once; None: nowhere."""
    held = session.pop(_KEY, None)
    if not isinstance(held, list) or not hmac.compare_digest(str(held[0]).encode(), state.encode()):
        return None
    return held[1] if isinstance(held[1], str) else None
