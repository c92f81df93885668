"""A plan made true, in one transaction: all of it or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from idp.clients import registration
from idp.clients.declaration import model
from idp.clients.declaration.model import Moved
from idp.clients.declaration.parts import PUT, REMOVE
from idp.clients.declaration.plan import plan
from idp.clients.registration import Unregistrable
from idp.store import client, declared
from idp.store.digests import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from idp.clients.declaration.model import Change, Declaration, Plan, What
    from idp.store.database import Session

# Events have the names that the commands for single things give them.
_EVENTS: Final[Mapping[str, Mapping[What, str]]] = {
    model.API: {"add": "api.created", "remove": "api.removed"},
    model.SCOPE: {"add": "api.scope_added", "remove": "api.scope_removed"},
    model.ROLE: {"add": "role.created", "remove": "role.removed"},
    model.GRANTS: {"add": "role.scopes_added", "remove": "role.scopes_removed"},
    model.CLIENT: {"add": "client.created", "change": "client.changed", "remove": "client.removed"},
    model.MAY: {"add": "client.grant_added", "remove": "client.grant_removed"},
    model.SERVES: {"add": "api.resource_client_added", "remove": "api.resource_client_removed"},
    model.EXCHANGE: {"add": "exchange.allowed", "change": "exchange.allowed", "remove": "exchange.removed"},
}


Record: TypeAlias = "Callable[..., None]"
"""Writes an event down: transaction, event, then client_id and details by name."""


def apply(tx: Session, wanted: Declaration, expected: str, now: datetime, *, prune: bool, record: Record) -> Plan:
    """Make the store agree. Moved, and nothing is written, unless the plan is the one that was looked at."""
    try:
        with declared.alone(tx):
            found = plan(tx, wanted, prune=prune)
            if found.digest != expected:
                raise Moved
            for change in found.changes:
                _do(tx, wanted, change, now)
                _tell(tx, record, wanted, change)
            made = [change.item for change in found.changes if change.what == "add"]
            declared.remember(tx, wanted.name, [*made, *found.shares], now)
            declared.forget(tx, wanted.name, found.leaves)
            if found.changes:
                counts = {what: found.count(what) for what in ("add", "change", "remove")}
                record(tx, "declaration.applied", declaration=wanted.name, plan=found.digest, **counts)
    except declared.Collided:
        raise Moved from None
    return found


def _do(tx: Session, wanted: Declaration, change: Change, now: datetime) -> None:
    kind = change.item[0]
    if change.what == "remove":
        REMOVE[kind](tx, change.item, now)
    elif kind == model.CLIENT:
        _put_client(tx, wanted, change, now)
    else:
        PUT[kind](tx, change.item, wanted.items[change.item], now)


def _put_client(tx: Session, wanted: Declaration, change: Change, now: datetime) -> None:
    register = wanted.client
    if change.what == "add":
        if register is None:
            raise AssertionError("a plan with a client that cannot be registered")
        registration.register(tx, register, now)
        return
    if register is not None and (wrong := registration.problems(register)):
        raise Unregistrable(wrong)
    facts: dict[str, object] = {"auth_method": wanted.items[change.item]["auth_method"]}
    if register is not None:
        facts["jwks"] = None if register.jwks is None else dict(register.jwks)
        facts["secret_hash"] = None if register.secret is None else digest(register.secret)
    client.change(tx, change.item[1], now, facts)


def _tell(tx: Session, record: Record, wanted: Declaration, change: Change) -> None:
    kind, first, *more = change.item
    event = _EVENTS[kind][change.what]
    said = {"declaration": wanted.name, "change": change.text, "loses": list(change.loses) or None}
    if kind in {model.CLIENT, model.MAY}:
        record(tx, event, client_id=first, **said)
    elif kind in {model.SERVES, model.EXCHANGE}:
        record(tx, event, client_id=more[0], audience=first, **said)
    else:
        record(tx, event, audience=first, **said)
