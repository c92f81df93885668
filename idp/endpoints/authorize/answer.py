"""Sending the browser back to the app: what an answer may say, and that it says it once (RFC 6749 section 4.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from werkzeug.datastructures import Headers

from idp.endpoints.authorize.visit import Ended
from idp.protocol import redirect_uri
from idp.store import signin
from idp.web import refused
from idp.web.answer import NO_STORE, Answer
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from idp.endpoints.authorize.visit import Visit
    from idp.protocol.errors import ProtocolError
    from idp.protocol.params import AuthorizeRequest

_LEAVING: Final = (("Cache-Control", NO_STORE), ("Content-Length", "0"), ("X-Content-Type-Options", "nosniff"))


def refuse(visit: Visit, refusal: ProtocolError) -> Answer:
    """Claim the end of the sign-in and tell the app why there is no code (RFC 6749 section 4.1.2.1)."""
    reason = refusal.reason or refusal.description
    with services().db.write() as tx:
        if signin.finish(tx, visit.signin.id, visit.now) is None:
            raise Ended("this sign-in has ended")
        # Of nobody there is nothing to record: an app that asks silently would fill the audit with it.
        if visit.here is not None:
            services().audit.record(
                tx,
                "authorize.refused",
                support_id=support_id(),
                account_id=visit.here.account.id,
                client_id=visit.client.client_id,
                ip=caller(),
                error=refusal.error,
                reason=reason,
            )
    refused.note(refusal.error, reason, shown=False, client_id=visit.client.client_id)
    return told(visit.request, refusal)


def told(asked: AuthorizeRequest, refusal: ProtocolError) -> Answer:
    """Tell the app why there is no code."""
    return back(asked.redirect_uri, asked.state, error_members(refusal))


def error_members(refusal: ProtocolError) -> list[tuple[str, str]]:
    """Name the only members an error answer has beside state and iss (OpenID Connect Core section 3.1.2.6)."""
    described = [("error_description", refusal.description)] if refusal.description else []
    return [("error", refusal.error), *described]


def location(uri: str, state: str | None, members: list[tuple[str, str]]) -> str:
    """Write the address of an answer: its members, state as it came, and who answers (RFC 9207 section 2)."""
    echoed = [("state", state)] if state is not None else []
    return redirect_uri.with_params(uri, [*members, *echoed, ("iss", services().settings.issuer)])


def back(uri: str, state: str | None, members: list[tuple[str, str]]) -> Answer:
    """Send the browser to the app with an answer."""
    return leave(location(uri, state, members))


def leave(address: str) -> Answer:
    """Send the browser away by 303, never to be cached (RFC 9700 section 4.12)."""
    # The address holds a code: it is not repeated in a body that could be kept.
    return Answer(status=303, headers=Headers([("Location", address), *_LEAVING]))
