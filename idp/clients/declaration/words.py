"""Lines of a plan: what changes, and who gains or loses by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.audit.log import readable
from idp.clients.declaration import model
from idp.store import api, holders, role

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


def name(item: Item) -> str:
    """Name a thing. What people chose is shown as text and never as something a terminal obeys."""
    kind, *names = map(readable, item)
    return _NAMES[kind].format(*names)


def added(item: Item, facts: Facts) -> str:
    """Name a thing that is to be made, with what is said of it."""
    said = [text for word, value in facts.items() if (text := _fact(word, value))]
    return ", ".join([name(item), *said])


def changed(item: Item, before: Facts, after: Facts) -> str:
    """Say how a thing differs from what is declared."""
    said = []
    for word, value in after.items():
        if before.get(word) != value:
            was, now = _fact(word, before.get(word)), _fact(word, value)
            said.append("has another secret" if word == "secret" else f"{was or 'unlimited'}, now {now or 'unlimited'}")
    return f"{name(item)}: {'; '.join(said)}"


def _fact(word: str, value: object) -> str:  # noqa: PLR0911 - one return for each fact
    match word, value:
        case "auth_method", str(method):
            return f"proves itself by {method}"
        case "keys", list(keys):
            return f"key {' '.join(keys)}" if keys else "no key"
        case "secret", str():
            return "with a secret"
        case "scopes", list(scopes):
            return f"for {' '.join(scopes)}"
        case "max_ttl", int(seconds):
            return f"at most {seconds} s long"
        case "delegation", bool(on):
            return "named as the one who acts" if on else "not named as the one who acts"
        case "impersonation", bool(on):
            return "in the person's own name" if on else ""
    return ""


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
