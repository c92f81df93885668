"""A provider whose people are in a directory."""

from __future__ import annotations

import time

from idp.accounts import connectors
from idp.accounts.connectors import Definition
from idp.store import api, connector, role
from tests.services.authority import Authority
from tests.services.provider import Provider
from tests.services.slapd import PEOPLE, READER, Slapd


def connect(provider: Provider, slapd: Slapd, authority: Authority, **changes: object) -> str:
    """Connect it as `corp`; return the connector's id."""
    table: dict[str, object] = {
        "kind": "ldap",
        "servers": [slapd.ldaps],
        "ca_file": str(authority.file),
        "bind_dn": READER[0],
        "bind_password": READER[1],
        "user_base": PEOPLE,
        **changes,
    }
    with provider.db.write() as tx:
        definition = Definition.parse("corp", table)
        made = connectors.save(tx, provider.sealer, definition, provider.clock(), declared=False)
        # As if it had just been read: the next look in the background is an interval away.
        connector.sync_began(tx, made.id, provider.clock())
    if provider.program is not None:
        time.sleep(connectors.KEPT.total_seconds())  # from now on every worker knows it
    return made.id


def give(provider: Provider, connector_id: str, pattern: str, audience: str, name: str) -> None:
    """Give a role to the groups of a name."""
    with provider.db.write() as tx:
        found = api.find(tx, audience)
        assert found is not None
        given = role.find(tx, found.id, name)
        assert given is not None
        rule = {"connector_id": connector_id, "match": "name", "pattern": pattern, "role_id": given.id}
        connector.add_rule(tx, **rule, now=provider.clock())
