"""Asking the person what the app may do, with a no as clear as the yes (OpenID Connect Core section 3.1.2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, redirect, request

from idp.endpoints.authorize import answer, visit
from idp.endpoints.authorize.flow import Step
from idp.endpoints.authorize.visit import Ended
from idp.protocol import redirect_uri, scope
from idp.protocol.errors import AccessDenied
from idp.store import api, consent, signin
from idp.store.digests import digest
from idp.web import metrics
from idp.web.pages import page
from idp.web.services import caller, services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from idp.accounts.sessions import Current
    from idp.endpoints.authorize.visit import Visit
    from idp.web.answer import Answer

blueprint = Blueprint("consent", __name__)

_NO: Final = "the person said no"
SHORT: Final = 8  # bytes of a digest: enough to tell a few names apart
# What the OpenID scopes mean to a person (OpenID Connect Core section 5.4).
WORDS = {
    scope.OPENID: ("Know that you signed in", "a number that stands for you, the same each time"),
    "profile": ("See your profile", "name, picture, birthday, language and the like, as far as you gave them"),
    "email": ("See your e-mail address", "and whether it was checked"),
    "address": ("See your postal address", ""),
    "phone": ("See your telephone number", "and whether it was checked"),
    scope.OFFLINE: ("Act for you while you are away", "until you or the app end it"),
}


@blueprint.get(Step.CONSENT)
def ask() -> ResponseReturnValue:
    """Show what would be granted: the server's own copy, whatever the address says (AZ31)."""
    now_at = visit.at(Step.CONSENT)
    return page(
        "authorize/consent.html",
        form_to=now_at.request.redirect_uri,
        image_from=now_at.client.logo_uri,
        action=now_at.url(Step.CONSENT),
        client_name=now_at.client.name,
        client_uri=now_at.client.client_uri,
        logo_uri=now_at.client.logo_uri,
        policy_uri=now_at.client.policy_uri,
        tos_uri=now_at.client.tos_uri,
        username=_here(now_at).account.username,
        scopes=_described(now_at),
        shown=" ".join(sorted(_shown(now_at))),
        return_host=redirect_uri.host(now_at.request.redirect_uri),
    )


@blueprint.post(Step.CONSENT)
def decide() -> ResponseReturnValue:
    """Take the answer. Only yes or no is read from the form."""
    denies = "consent-deny" in request.form
    before = visit.turned_down(request.args.get("signin", "")) if denies else None
    if before is not None:  # the same button, a moment ago
        return answer.told(before, AccessDenied(_NO))
    now_at = visit.at(Step.CONSENT)
    if not _shown(now_at) <= set(request.form.get("shown", "").split()):
        # Somebody else is here by now, or more would be given than was asked: this answer is to another question.
        return redirect(now_at.url(Step.CONSENT), 303)
    if denies:
        return _deny(now_at)
    if "consent-allow" in request.form:
        if not _remember(now_at):  # the same button, a moment ago
            return visit.onward(visit.once_more(now_at.signin.id, Step.CONSENT))
        metrics.signin("consent", "allowed")
    return visit.onward(now_at.signin.id)


def _deny(now_at: Visit) -> Answer:
    refusal = AccessDenied(_NO)
    try:
        said = answer.refuse(now_at, refusal)
    except Ended:  # while the same button was on its way a second time
        return answer.told(now_at.request, refusal)
    metrics.signin("consent", "denied")
    return said


def _shown(now_at: Visit) -> frozenset[str]:
    """Name whom the page asks, and each thing it asks for; what is given is the server's own copy all the same."""
    scopes = [f"{audience} {name}" for audience, names in now_at.scopes.items() for name in names]
    return frozenset(digest(each)[:SHORT].hex() for each in (_here(now_at).account.id, *scopes))


def _remember(now_at: Visit) -> bool:
    account_id, client_id = _here(now_at).account.id, now_at.client.client_id
    allowed = {audience: list(names) for audience, names in now_at.scopes.items()}
    with services().db.write() as tx:
        if not signin.change(tx, now_at.signin.id, now_at.now, account_id=account_id, consented_at=now_at.now):
            return False
        consent.allow(tx, account_id, client_id, allowed, now_at.now)
        services().audit.record(
            tx,
            "consent.granted",
            account_id=account_id,
            client_id=client_id,
            ip=caller(),
            scope=scope.render(scope.flatten(allowed)),
        )
    return True


def _described(now_at: Visit) -> list[dict[str, str]]:
    """Say in words what each scope opens."""
    issuer = services().settings.issuer
    with services().db.read() as tx:
        known = api.known_scopes(tx, [name for names in now_at.scopes.values() for name in names])
    told = []
    for audience, names in now_at.scopes.items():
        for name in names:
            description = dict(known.get(name, ())).get(audience, "")
            title, text = (
                WORDS.get(name, (description or name, "")) if audience == issuer else (description or name, "")
            )
            api_name = "" if audience == issuer else now_at.client.apis[audience].name
            told.append({"name": name, "title": title, "text": text, "api": api_name})
    return told


def _here(now_at: Visit) -> Current:
    if now_at.here is None:
        raise LookupError("consent without a session: next_step let it through")
    return now_at.here
