"""Each kind of thing: how it comes into the store, and how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from idp.clients.declaration import model
from idp.clients.declaration.model import Moved
from idp.store import api, client, holders, role, taking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from idp.clients.declaration.model import Facts
    from idp.store.api import Api
    from idp.store.database import Session
    from idp.store.declared import Item


def _put_api(tx: Session, item: Item, _facts: Facts, now: datetime) -> None:
    # Shown to people when they consent, until somebody gives it a better name.
    api.create(tx, audience=item[1], name=urlsplit(item[1]).netloc or item[1], now=now)


def _put_scope(tx: Session, item: Item, _facts: Facts, _now: datetime) -> None:
    api.add_scope(tx, _api(tx, item), item[2])


def _put_role(tx: Session, item: Item, _facts: Facts, _now: datetime) -> None:
    role.create(tx, api_id=_api(tx, item), name=item[2])


def _put_grants(tx: Session, item: Item, _facts: Facts, _now: datetime) -> None:
    role.add_scope(tx, _role(tx, item), _scope(tx, item[1], item[3]))


def _put_may(tx: Session, item: Item, _facts: Facts, now: datetime) -> None:
    _change_grants(tx, item[1], now, add=item[2])


def _put_serves(tx: Session, item: Item, _facts: Facts, _now: datetime) -> None:
    api.add_resource_client(tx, _api(tx, item), item[2])


def _put_exchange(tx: Session, item: Item, facts: Facts, now: datetime) -> None:
    columns = {"scopes": "allowed_scopes", "delegation": "allow_delegation", "impersonation": "allow_impersonation"}
    policy = {columns.get(word, word): value for word, value in facts.items()}
    taking.exchange_of_client(tx, item[2], _found_api(tx, item), now, policy)


def _remove_api(tx: Session, item: Item, now: datetime) -> None:
    taking.whole_api(tx, _api(tx, item), now)


def _remove_scope(tx: Session, item: Item, now: datetime) -> None:
    scope_id = _scope(tx, item[1], item[2])
    for client_id in holders.clients(tx, scope_id):
        client.change(tx, client_id, now, {})  # the version tells every worker that its copy is old
    taking.whole_scope(tx, scope_id, now)


def _remove_role(tx: Session, item: Item, now: datetime) -> None:
    taking.whole_role(tx, _role(tx, item), now)


def _remove_grants(tx: Session, item: Item, now: datetime) -> None:
    taking.scope_from_role(tx, _role(tx, item), _scope(tx, item[1], item[3]), now)


def _remove_client(tx: Session, item: Item, now: datetime) -> None:
    client.remove(tx, item[1], now)


def _remove_may(tx: Session, item: Item, now: datetime) -> None:
    _change_grants(tx, item[1], now, remove=item[2])


def _remove_serves(tx: Session, item: Item, _now: datetime) -> None:
    api.remove_resource_client(tx, _api(tx, item), item[2])


def _remove_exchange(tx: Session, item: Item, now: datetime) -> None:
    taking.exchange_from_client(tx, item[2], _api(tx, item), now)


def _change_grants(tx: Session, client_id: str, now: datetime, *, add: str = "", remove: str = "") -> None:
    found = client.find(tx, client_id)
    if found is None:
        raise Moved
    kept = [each for each in found.grant_types if each not in {add, remove}]
    client.change(tx, client_id, now, {"grant_types": [*kept, add] if add else kept})


def _api(tx: Session, item: Item) -> str:
    return _found_api(tx, item).id


def _found_api(tx: Session, item: Item) -> Api:
    found = api.find(tx, item[1])
    if found is None:
        raise Moved
    return found


def _scope(tx: Session, audience: str, name: str) -> str:
    found = api.find_scope(tx, _api(tx, (model.API, audience)), name)
    if found is None:
        raise Moved
    return found.id


def _role(tx: Session, item: Item) -> str:
    found = role.find(tx, _api(tx, item), item[2])
    if found is None:
        raise Moved
    return found.id


PUT: Final[Mapping[str, Callable[[Session, Item, Facts, datetime], None]]] = {
    model.API: _put_api,
    model.SCOPE: _put_scope,
    model.ROLE: _put_role,
    model.GRANTS: _put_grants,
    model.MAY: _put_may,
    model.SERVES: _put_serves,
    model.EXCHANGE: _put_exchange,
}
REMOVE: Final[Mapping[str, Callable[[Session, Item, datetime], None]]] = {
    model.API: _remove_api,
    model.SCOPE: _remove_scope,
    model.ROLE: _remove_role,
    model.GRANTS: _remove_grants,
    model.CLIENT: _remove_client,
    model.MAY: _remove_may,
    model.SERVES: _remove_serves,
    model.EXCHANGE: _remove_exchange,
}
