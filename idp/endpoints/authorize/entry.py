"""Entering: an authorization request is read once, checked against its client, and frozen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idp.clients.client import REFRESH_TOKEN
from idp.protocol import form, prompt, scope
from idp.protocol.errors import InvalidRequest, InvalidScope, ProtocolError
from idp.protocol.params import AuthorizeRequest, AuthorizeTarget
from idp.store import api
from idp.web import id_token_hint
from idp.web.services import services

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from idp.clients.client import Client
    from idp.protocol.form import Pairs


class NoTarget(Exception):
    """Nowhere to send an answer to: the person is told, nobody is redirected (RFC 6749 section 4.1.2.1)."""

    def __init__(self, refusal: ProtocolError, client_id: str | None = None) -> None:
        super().__init__(refusal.description)
        self.refusal = refusal
        self.client_id = client_id


class Refused(Exception):
    """The app is known and so is its address: it is told there."""

    def __init__(self, refusal: ProtocolError, target: AuthorizeTarget, client: Client, *, silent: bool) -> None:
        super().__init__(refusal.description)
        self.refusal = refusal
        self.target = target
        self.client = client
        self.silent = silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request that may begin a sign-in."""

    client: Client
    request: AuthorizeRequest


def read(pairs: Pairs, now: datetime) -> Entry:
    """Check in the order that decides where an error is told: the address first, everything else after it."""
    target, client = _target(pairs, now)
    try:
        asked = AuthorizeRequest.parse(pairs, client.facts)
        admitted = replace(asked, scope=_admitted(asked, client))
        return Entry(client=client, request=admitted.naming(_hinted(asked, client, now)))
    except ProtocolError as refusal:
        silent = form.single(pairs).get("prompt") == prompt.NONE
        raise Refused(refusal, target, client, silent=silent) from None


def _target(pairs: Pairs, now: datetime) -> tuple[AuthorizeTarget, Client]:
    try:
        target = AuthorizeTarget.parse(pairs)
    except InvalidRequest as refusal:
        raise NoTarget(refusal) from None
    client = services().clients.find(target.client_id, now)
    if client is None:
        raise NoTarget(InvalidRequest("client or redirect_uri is not registered", reason="no such client"))
    if not client.has_redirect_uri(target.redirect_uri):
        mismatch = InvalidRequest("client or redirect_uri is not registered", reason="redirect_uri differs")
        raise NoTarget(mismatch, client.client_id)
    return target, client


def _admitted(asked: AuthorizeRequest, client: Client) -> tuple[str, ...]:
    """Keep the scopes the client may ask for, at the APIs it named (RFC 6749 section 3.3, RFC 8707 section 2)."""
    # OpenID Connect Core section 11: offline_access means nothing to a client that cannot refresh.
    useless = frozenset() if REFRESH_TOKEN in client.grant_types else frozenset({scope.OFFLINE})
    allowed = {audience: names - useless for audience, names in client.scopes.items()}
    admitted = scope.admit(asked.scope, known=_known(asked.scope, allowed), allowed=allowed)
    issuer = services().settings.issuer
    if not scope.by_audience(admitted, allowed=allowed, issuer=issuer, targets=asked.targets()):
        raise InvalidScope("no scope belongs to the resource that was asked for")
    return admitted


def _known(asked: Sequence[str], allowed: Mapping[str, Collection[str]]) -> Collection[str]:
    """Name those of the words that are scopes at any API; who asks only for the client's own costs no statement."""
    foreign = [name for name in asked if not any(name in names for names in allowed.values())]
    if not foreign:
        return ()
    with services().db.read() as tx:
        return api.known_scopes(tx, foreign)


def _hinted(asked: AuthorizeRequest, client: Client, now: datetime) -> str | None:
    """Give the person a hint names; one that is not ours, or another client's, is refused (AZ21)."""
    if asked.id_token_hint is None:
        return None
    held = services()
    hint = id_token_hint.read(asked.id_token_hint, held.keyring, issuer=held.settings.issuer, now=now)
    if hint is None or hint.client_id != client.client_id:
        raise InvalidRequest("id_token_hint is not an ID token for this client")
    return hint.subject
