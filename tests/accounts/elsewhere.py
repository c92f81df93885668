"""Somebody at a connector that is never asked: what it said is in the test."""

from __future__ import annotations

from typing import Any

from idp.accounts import federated
from idp.accounts.connectors import Ready
from idp.federation.connector import Identity, Kind
from idp.store import connector
from idp.store.account import Account
from idp.store.database import Database

ADA = Identity(connector="corp", external_id="guid-1", username="ada", email="ada@corp.test", email_verified=True)


class Elsewhere:
    """A connector that is never asked: what it said is in the test."""

    name = "corp"
    kind = Kind.LDAP

    def examine(self, _sample: str | None) -> Any:
        return iter(())

    def close(self) -> None:
        pass


def ready(row: connector.Connector) -> Ready:
    return Ready(
        id=row.id,
        version=1,
        name=row.name,
        label=row.label,
        domains=frozenset(),
        provisioning="open",
        allowed_domains=frozenset(),
        visible=True,
        connector=Elsewhere(),
    )


def arrive(db: Database, ready: Ready, who: Identity, clock: Any) -> Account:
    with db.write() as tx:
        return federated.arrive(tx, ready, who, clock()).account
