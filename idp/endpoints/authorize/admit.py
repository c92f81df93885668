"""Letting somebody in by a password: what was brought, and the session that is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from idp.accounts.entrance import Told, Vouched
from idp.accounts.local import Attempt, Proof
from idp.endpoints.authorize import visit as visits
from idp.store import signin
from idp.store.digests import new_secret
from idp.web import cookies, door
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from flask import Response

    from idp.endpoints.authorize.visit import Visit


def attempt(visit: Visit, username: str, password: str) -> Attempt:
    """Put together what came with a form."""
    return Attempt(
        login=username,
        password=password,
        device_hash=door.device_hash(),
        address=caller(),
        client_id=visit.client.client_id,
        support_id=support_id(),
    )


def signed_in(visit: Visit, proof: Proof | Vouched) -> Response | Told | None:
    """Open the session; None when the account was closed while its password was being checked."""
    fresh = new_secret()
    with services().db.write() as tx:
        account = door.entrance().accept(tx, proof, visit.now)
        if account is None or isinstance(account, Told):
            return account
        # FD12, LG17: who has a password here adds ways in and factors with it, not with a directory's word.
        by_password = isinstance(proof, Proof) or account.password_hash is None
        opened = services().sessions.sign_in(
            tx,
            account.id,
            cookies.session_secret(request),
            now=visit.now,
            user_agent=request.user_agent.string,
            ip=caller(),
            amr=("pwd",) if by_password else ("fed",),
        )
        door.remember(tx, account.id, fresh, visit.now)
        signin.change(
            tx,
            visit.signin.id,
            visit.now,
            account_id=account.id,
            session_id=opened.session_id,
            authenticated_at=visit.now,
            password_at=visit.now if by_password else None,
            consented_at=None,
        )
        by = {"connector": proof.ready.name} if isinstance(proof, Vouched) else {}
        services().audit.record(
            tx, "signin.succeeded", account_id=account.id, client_id=visit.client.client_id, ip=caller(), **by
        )
    response = visits.onward(visit.signin.id)
    cookies.set_session(response, opened.secret)
    door.set_device(response, fresh)
    return response


def numbered(error: dict[str, str]) -> dict[str, str]:
    """Add the number under which the record has the reason, for whoever is asked for help."""
    return {**error, "support_id": support_id()}


def later(response: Response, seconds: str) -> Response:
    """Say when to come again."""
    response.headers["Retry-After"] = seconds
    return response
