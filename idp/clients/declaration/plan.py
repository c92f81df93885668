"""What has to change so that the store agrees with a declaration."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from idp.clients.declaration import model, present, words
from idp.clients.declaration.model import Change, Plan, Undeclarable, hangs_on, order
from idp.store import declared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from idp.clients.declaration.model import Declaration, Facts, Items
    from idp.store.database import Session
    from idp.store.declared import Item

_DIGEST: Final = 16
# What falls to a declaration that prunes: the inside of its APIs, and the permissions of its client.
_OF_API: Final = frozenset({model.SCOPE, model.ROLE, model.GRANTS})
_OF_CLIENT: Final = frozenset({model.SERVES, model.EXCHANGE})


def plan(tx: Session, wanted: Declaration, *, prune: bool = False) -> Plan:
    """Compare. Nothing is written."""
    made = declared.made(tx)
    own = made.get(wanted.name, frozenset())
    others = frozenset(item for name, items in made.items() if name != wanted.name for item in items)
    about_clients = {item[1] for item in own if item[0] in {model.CLIENT, model.MAY}}
    audiences = wanted.audiences | {item[1] for item in own if item[0] not in {model.CLIENT, model.MAY}}
    there = present.read(tx, audiences, wanted.clients | about_clients)
    unwanted = {item for item in own if item in there} | (_stray(wanted, there) if prune else frozenset())
    gone, kept = _without_kept(unwanted - others - wanted.items.keys(), there)
    changes = (*_made(tx, wanted, there), *_removed(tx, gone))
    shares = tuple(sorted(item for item in wanted.items if item in there and item in others and item not in own))
    leaves = tuple(sorted(item for item in own if item in gone or _left(item, wanted, there, others)))
    notes = (*kept, *_closed(wanted, there))
    stated = [wanted.name, prune, _pairs(wanted.items), _pairs(there), sorted(own), sorted(others & there.keys())]
    told = [[change.what, change.text, change.gains, change.loses] for change in changes]
    digest = sha256(json.dumps([*stated, told], separators=(",", ":")).encode()).hexdigest()[:_DIGEST]
    return Plan(declaration=wanted.name, changes=changes, shares=shares, leaves=leaves, notes=notes, digest=digest)


def _left(item: Item, wanted: Declaration, there: Items, others: frozenset[Item]) -> bool:
    """Somebody took it away by hand, or another declaration goes on with it."""
    return item not in wanted.items and (item not in there or item in others)


def _stray(wanted: Declaration, there: Items) -> frozenset[Item]:
    """What people made by hand where the declaration speaks for everything."""
    builtin = {item[1] for item, facts in there.items() if facts.get("builtin")}
    audiences = wanted.audiences - builtin
    return frozenset(
        item
        for item in there
        if (item[0] in _OF_API and item[1] in audiences) or (item[0] in _OF_CLIENT and item[2] in wanted.clients)
    )


def _without_kept(gone: set[Item], there: Items) -> tuple[set[Item], list[str]]:
    """Keep an API or client on which something hangs that stays: to take it away would take that away too."""
    notes = []
    for item in sorted(gone, key=order):
        if item[0] not in {model.API, model.CLIENT}:
            continue
        hanging = [each for each in there if hangs_on(each, item) and each[0] != model.MAY and each not in gone]
        if hanging or there[item].get("builtin"):
            gone = gone - {item}
            more = f" and {len(hanging) - 1} more" if len(hanging) > 1 else ""
            what = words.name(min(hanging, key=order)) if hanging else "the provider itself"
            notes.append(f"{words.name(item)} stays, since something hangs on it that stays: {what}{more}")
    return gone, notes


def _made(tx: Session, wanted: Declaration, there: Items) -> Iterator[Change]:
    for item in sorted(wanted.items, key=order):
        facts = wanted.items[item]
        if item not in there:
            if item[0] == model.CLIENT and wanted.client is None:
                raise Undeclarable(f"{words.name(item)} is not registered, and its key or secret is not at hand")
            gains = words.affected(tx, item) if item[0] == model.GRANTS else ()
            yield Change(what="add", item=item, text=words.added(item, facts), gains=gains)
        elif _differs(there[item], facts):
            yield _difference(item, there[item], facts)


def _differs(before: Facts, after: Facts) -> bool:
    return any(before.get(word) != value for word, value in after.items())


def _difference(item: Item, before: Facts, after: Facts) -> Change:
    was, now = before.get("scopes"), after.get("scopes")
    gains: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    if isinstance(was, list) and isinstance(now, list):
        gains, loses = (
            tuple(f"scope {scope}" for scope in sorted(set(a) - set(b))) for a, b in ((now, was), (was, now))
        )
    return Change(what="change", item=item, text=words.changed(item, before, after), gains=gains, loses=loses)


def _removed(tx: Session, gone: set[Item]) -> Iterator[Change]:
    for item in sorted(gone, key=order, reverse=True):
        # What a role grants goes with the role: one line for both.
        if item[0] != model.GRANTS or not any(hangs_on(item, other) for other in gone if other != item):
            yield Change(what="remove", item=item, text=words.name(item), loses=words.affected(tx, item))


def _closed(wanted: Declaration, there: Items) -> Iterator[str]:
    for client_id in sorted(wanted.clients):
        if not there.get((model.CLIENT, client_id), {}).get("open", True):
            yield f"client {client_id} is closed, and stays so: see `idp client enable`"


def _pairs(items: Items) -> list[tuple[Item, Facts]]:
    return sorted(((item, dict(sorted(facts.items()))) for item, facts in items.items()), key=lambda pair: pair[0])
