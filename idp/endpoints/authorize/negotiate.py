"""Step: sign-in by the ticket of a browser in the domain, without a question (RFC 4559).

The browser is asked in a header; the page under it is the ordinary one, so that whoever has no ticket signs in as
always, with or without scripts. A ticket is a first factor, and proves no presence: it is not asked for where an app
wants somebody to sign in again, or as another person, nor before a link.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from flask import request

from idp.accounts import federated
from idp.accounts.federated import NotWelcome
from idp.endpoints.authorize import visit as visits
from idp.federation.connector import NotSignedIn, Outcome, TicketConnector
from idp.protocol import prompt
from idp.store import signin, used_jti
from idp.store.session import UNPROVED
from idp.web import cookies, metrics, refused
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from flask import Response

    from idp.accounts.connectors import Ready
    from idp.endpoints.authorize.visit import Visit
    from idp.federation.connector import Identity
    from idp.store.database import Session

Ordinary: TypeAlias = "Callable[[dict[str, str] | None, int], Response]"
"""The sign-in page, with what went wrong and a status."""

SCHEME: Final = "Negotiate"
LONGEST: Final = 65_536  # characters of a header; the connector's own bound is in bytes
KEPT: Final = timedelta(hours=1)  # far longer than clocks may differ, and so than a ticket can be shown again
# One text, whatever was wrong: the record has the reason.
REFUSED: Final = {
    "title": "Your computer could not sign you in",
    "text": "Sign in with your user name and your password instead.",
}


def answer(visit: Visit, ordinary: Ordinary) -> Response:
    """Ask a browser of the domain for its ticket, take one, or show the ordinary page."""
    asking = _asking(visit)
    if asking is None:
        return ordinary(None, 200)
    ready, connector = asking
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() != SCHEME.casefold():
        response = ordinary(None, 401)
        response.headers["WWW-Authenticate"] = SCHEME
        return response
    try:
        return _signed_in(visit, ready, connector, _token(credentials))
    except NotSignedIn as refusal:
        refused.note("kerberos", refusal.code or refusal.outcome.value, connector=ready.name)
    except NotWelcome as refusal:
        _record(visit, ready, refusal.why.value)
    metrics.signin("kerberos", "refused")
    # 403: a second challenge would ask the browser for the same ticket once more.
    return ordinary({**REFUSED, "support_id": support_id()}, 403)


def _asking(visit: Visit) -> tuple[Ready, TicketConnector] | None:
    """Return the connector whose domain this browser is in, if it may be asked for a ticket now."""
    asked = visit.request
    wants_presence = bool(asked.prompt & {prompt.LOGIN, prompt.SELECT_ACCOUNT}) or asked.max_age is not None
    wants_somebody = asked.subject is not None or bool(asked.claims.subjects())  # a ticket may be another's
    if wants_presence or wants_somebody or visit.here is not None or visit.situation.progress.link_waits:
        return None
    address = caller()
    for ready in services().connectors.all(visit.now):
        if isinstance(ready.connector, TicketConnector) and ready.connector.asks(address):
            return ready, ready.connector
    return None


def _token(credentials: str) -> bytes:
    try:
        if len(credentials) <= LONGEST:
            return base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        pass
    return b""  # refused as no token


def _signed_in(visit: Visit, ready: Ready, connector: TicketConnector, token: bytes) -> Response:
    # Nothing is locked while the directory is asked.
    who, proof = connector.by_ticket(token)
    with services().db.write() as tx:
        # The library's record is of this machine alone; this one is of all that share the store.
        key = hashlib.sha256(b"ticket\x00" + token).hexdigest()
        if not used_jti.claim_proof(tx, key, visit.now + KEPT, visit.now):
            raise NotSignedIn(Outcome.NO_MATCH, "kerberos: replay")
        secret = _open(tx, visit, ready, who)
    response = visits.onward(visit.signin.id)
    cookies.set_session(response, secret)
    # RFC 4559 section 4: our proof to the browser comes with the answer that its ticket brought.
    response.headers["WWW-Authenticate"] = f"{SCHEME} {base64.b64encode(proof).decode()}"
    metrics.signin("kerberos", "accepted")
    return response


def _open(tx: Session, visit: Visit, ready: Ready, who: Identity) -> str:
    """Open a session as strong as a first factor."""
    arrived = federated.arrive(tx, ready, who, visit.now)
    opened = services().sessions.sign_in(
        tx,
        arrived.account.id,
        cookies.session_secret(request),
        now=visit.now,
        user_agent=request.user_agent.string,
        ip=caller(),
        amr=who.amr,
        proved_at=UNPROVED,  # a machine shows its ticket for as long as somebody once signed in to it
    )
    signin.change(
        tx,
        visit.signin.id,
        visit.now,
        account_id=arrived.account.id,
        session_id=opened.session_id,
        authenticated_at=visit.now,
        password_at=None,  # LG17: a first second factor is added with the password, not with what a machine holds
        consented_at=None,
    )
    services().audit.record(
        tx,
        "signin.succeeded",
        account_id=arrived.account.id,
        client_id=visit.client.client_id,
        ip=caller(),
        connector=ready.name,
        created=arrived.created,
        ticket=True,
    )
    return opened.secret


def _record(visit: Visit, ready: Ready, reason: str) -> None:
    with services().db.write() as tx:
        services().audit.record(
            tx,
            "signin.refused",
            client_id=visit.client.client_id,
            ip=caller(),
            support_id=support_id(),
            reason=reason,
            connector=ready.name,
        )
