"""Letting somebody in by a password: what was brought, at which door, and the session that is opened."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flask import request

from idp.accounts.entrance import Entrance, Told, Vouched
from idp.accounts.local import Attempt, LocalSignIn, Proof
from idp.endpoints.authorize import visit as visits
from idp.store import device, signin
from idp.store.digests import digest, new_secret
from idp.web import cookies
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from flask import Response

    from idp.endpoints.authorize.visit import Visit

DEVICE_LIFETIME: Final = timedelta(days=365)


def entrance() -> Entrance:
    """Return the door."""
    parts = services()
    local = LocalSignIn(db=parts.db, passwords=parts.passwords, throttle=parts.throttle, audit=parts.audit)
    return Entrance(local=local, connectors=parts.connectors)


def attempt(visit: Visit, username: str, password: str) -> Attempt:
    """Put together what came with a form."""
    known = cookies.device_secret(request)
    return Attempt(
        login=username,
        password=password,
        device_hash=None if known is None else digest(known),
        address=caller(),
        client_id=visit.client.client_id,
        support_id=support_id(),
    )


def signed_in(visit: Visit, proof: Proof | Vouched) -> Response | Told | None:
    """Open the session; None when the account was closed while its password was being checked."""
    known, fresh = cookies.device_secret(request), new_secret()
    with services().db.write() as tx:
        account = entrance().accept(tx, proof, visit.now)
        if account is None or isinstance(account, Told):
            return account
        opened = services().sessions.sign_in(
            tx,
            account.id,
            cookies.session_secret(request),
            now=visit.now,
            user_agent=request.user_agent.string,
            ip=caller(),
        )
        if known is not None:
            # A secret planted in this browser before is worth nothing after.
            device.rotate(tx, digest(known), digest(fresh))
        device.remember(tx, digest(fresh), account.id, visit.now)
        signin.change(
            tx,
            visit.signin.id,
            visit.now,
            account_id=account.id,
            session_id=opened.session_id,
            authenticated_at=visit.now,
            password_at=visit.now,
            consented_at=None,
        )
        services().audit.record(
            tx, "signin.succeeded", account_id=account.id, client_id=visit.client.client_id, ip=caller()
        )
    response = visits.onward(visit.signin.id)
    cookies.set_session(response, opened.secret)
    cookies.set_device(response, fresh, DEVICE_LIFETIME)
    return response


def numbered(error: dict[str, str]) -> dict[str, str]:
    """Add the number under which the record has the reason, for whoever is asked for help."""
    return {**error, "support_id": support_id()}


def later(response: Response, seconds: str) -> Response:
    """Say when to come again."""
    response.headers["Retry-After"] = seconds
    return response
