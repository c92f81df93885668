"""What is there, in the words of a declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.clients.client import TOKEN_EXCHANGE
from idp.clients.declaration import model
from idp.store import api, client, exchange_policy, role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from idp.clients.declaration.model import Facts, Items
    from idp.store.client import Client
    from idp.store.database import Session
    from idp.store.declared import Item
    from idp.store.exchange_policy import ExchangePolicy


def read(tx: Session, audiences: Collection[str], clients: Collection[str]) -> Items:
    """Read everything that is there of some APIs and clients."""
    found = dict(item for audience in audiences for item in _of_api(tx, audience))
    for client_id in clients:
        found.update(_of_client(tx, client_id))
    for policy, target in exchange_policy.listing(tx):
        if target.audience in audiences or policy.client_id in clients:
            found[model.EXCHANGE, target.audience, policy.client_id] = _exchange(policy)
    return found


def _of_api(tx: Session, audience: str) -> Iterator[tuple[Item, Facts]]:
    found = api.find(tx, audience)
    if found is None:
        return
    yield (model.API, audience), {"builtin": found.builtin}
    for scope in api.scopes(tx, found.id):
        yield (model.SCOPE, audience, scope.name), {}
    for each in role.listing(tx, found.id):
        yield (model.ROLE, audience, each.name), {}
        for name in role.scopes(tx, each.id):
            yield (model.GRANTS, audience, each.name, name), {}
    for client_id in api.resource_clients(tx, found.id):
        yield (model.SERVES, audience, client_id), {}


def _of_client(tx: Session, client_id: str) -> Iterator[tuple[Item, Facts]]:
    found = client.find(tx, client_id)
    if found is None:
        return
    yield (model.CLIENT, client_id), _client(found)
    if TOKEN_EXCHANGE in found.grant_types:
        yield (model.MAY, client_id, TOKEN_EXCHANGE), {}
    for audience in api.served_by(tx, client_id):
        yield (model.SERVES, audience, client_id), {}


def _client(row: Client) -> Facts:
    return {
        "auth_method": row.auth_method,
        "keys": key_names(row.jwks),
        "secret": None if row.secret_hash is None else row.secret_hash.hex(),
        "open": row.disabled_at is None,
    }


def key_names(jwks: Facts | None) -> list[str]:
    """Name public keys, as far as they have names."""
    keys = (jwks or {}).get("keys")
    return sorted(str(key.get("kid", "?")) for key in keys if isinstance(key, dict)) if isinstance(keys, list) else []


def _exchange(row: ExchangePolicy) -> Facts:
    return {
        "scopes": sorted(row.allowed_scopes),
        "max_ttl": row.max_ttl,
        "delegation": row.allow_delegation,
        "impersonation": row.allow_impersonation,
        "mode": row.mode,
    }
