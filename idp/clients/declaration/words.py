"""Lines of a plan: what changes, and who gains or loses by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.audit.log import readable
from idp.clients.declaration import model
from idp.store import api, holders, role
from idp.store.exchange_policy import NARROW, REFUSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from idp.clients.declaration.model import Facts
    from idp.store.database import Session
    from idp.store.declared import Item
    from idp.store.role import Role

_NAMES: Final = {
    model.API: "API {0}",
    model.SCOPE: "scope {1} of {0}",
    model.ROLE: "role {1} of {0}",
    model.GRANTS: "role {1} of {0} grants {2}",
    model.CLIENT: "client {0}",
    model.MAY: "client {0} may exchange tokens",
    model.SERVES: "client {1} serves {0}: it may introspect its tokens and hear what is revoked",
    model.EXCHANGE: "client {1} may exchange tokens for {0}",
}

_LISTS: Final = {"keys": "key", "scopes": "for"}
_SWITCHES: Final = {
    "delegation": ("not named as the one who acts", "named as the one who acts"),
    "impersonation": ("never in the person's own name", "in the person's own name"),
}
# What holds for a new exchange unless something else is said.
_MODES: Final = {REFUSE: "refused what is beyond that", NARROW: "given less where more is asked"}


def name(item: Item) -> str:
    """Name a thing. What people chose is shown as text and never as something a terminal obeys."""
    kind, *names = map(readable, item)
    return _NAMES[kind].format(*names)


def added(item: Item, facts: Facts) -> str:
    """Name a thing that is to be made, with what is said of it."""
    said = [_fact(word, value) for word, value in facts.items() if value is not False and value != REFUSE]
    return ", ".join([name(item), *said])


def changed(item: Item, before: Facts, after: Facts) -> str:
    """Say how a thing differs from what is declared."""
    said = [
        "has another secret" if word == "secret" else f"{_fact(word, before.get(word))}, now {_fact(word, value)}"
        for word, value in after.items()
        if before.get(word) != value
    ]
    return f"{name(item)}: {'; '.join(said)}"


def _fact(word: str, value: object) -> str:
    if isinstance(value, bool):
        return _SWITCHES[word][value]
    if isinstance(value, list):
        return f"{_LISTS[word]} {' '.join(map(readable, value)) or 'none'}"
    if word == "mode":
        return _MODES[str(value)]
    if word == "max_ttl":
        return "no time limit of its own" if value is None else f"at most {value} s long"
    return f"proves itself by {value}" if word == "auth_method" else "with a secret"


def affected(tx: Session, item: Item) -> tuple[str, ...]:
    """Say who has what goes, or gets what comes."""
    return tuple(dict.fromkeys(_affected(tx, item)))


def _affected(tx: Session, item: Item) -> Iterator[str]:
    found = api.find(tx, item[1]) if item[0] in {model.SCOPE, model.ROLE, model.GRANTS} else None
    if found is None:
        return
    if item[0] == model.SCOPE:
        scope = api.find_scope(tx, found.id, item[2])
        if scope is not None:
            for each in holders.roles(tx, scope.id):
                yield f"role {readable(each.name)}"
                yield from _holders(tx, each)
            yield from (f"client {readable(client_id)}" for client_id in holders.clients(tx, scope.id))
        return
    held = role.find(tx, found.id, item[2])
    if held is not None:
        yield from _holders(tx, held)


def _holders(tx: Session, held: Role) -> Iterator[str]:
    for group, people in holders.groups(tx, held.id):
        yield f"group {readable(group)} ({people} {'person' if people == 1 else 'people'})"
    yield from (f"client {readable(client_id)}" for client_id in holders.services(tx, held.id))
