"""The ways by which an account has its roles: for telling an operator why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from idp.store.api import Api
from idp.store.connector import Connector, ConnectorRule
from idp.store.group import Group, GroupMember, GroupRole
from idp.store.identity import Identity, IdentityRole
from idp.store.role import Role
from idp.store.types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A role of an API."""

    audience: str
    role_id: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByRule:
    """A rule of a connector that gives a role, and what was last seen of the person there."""

    held: Held
    connector: str
    match: str
    pattern: str
    groups: JsonObject
    seen_at: dt.datetime


def by_groups(tx: Session, account_id: str) -> Sequence[tuple[Held, str]]:
    """Return the roles of an account by its groups here: (role, name of the group)."""
    columns = select(Api.audience, Role.id, Role.name, Group.name)
    joined = columns.join(Role, Role.api_id == Api.id).join(GroupRole, GroupRole.role_id == Role.id)
    joined = joined.join(Group, Group.id == GroupRole.group_id).join(GroupMember, GroupMember.group_id == Group.id)
    chosen = joined.where(GroupMember.account_id == account_id).order_by(Api.audience, Role.name, Group.name)
    return [(Held(audience=row[0], role_id=row[1], role=row[2]), row[3]) for row in tx.execute(chosen)]


def by_rules(tx: Session, account_id: str) -> Sequence[ByRule]:
    """Return the roles of an account by who it is elsewhere."""
    columns = select(
        Api.audience,
        Role.id,
        Role.name,
        Connector.name,
        ConnectorRule.match,
        ConnectorRule.pattern,
        Identity.groups,
        Identity.seen_at,
    )
    joined = columns.join(Role, Role.api_id == Api.id).join(IdentityRole, IdentityRole.role_id == Role.id)
    joined = joined.join(Identity, Identity.id == IdentityRole.identity_id)
    joined = joined.join(ConnectorRule, ConnectorRule.id == IdentityRole.rule_id)
    joined = joined.join(Connector, Connector.id == Identity.connector_id)
    ordered = joined.where(Identity.account_id == account_id).order_by(
        Api.audience, Role.name, Connector.name, ConnectorRule.match, ConnectorRule.pattern
    )
    return [
        ByRule(
            held=Held(audience=row[0], role_id=row[1], role=row[2]),
            connector=row[3],
            match=row[4],
            pattern=row[5],
            groups=row[6],
            seen_at=row[7],
        )
        for row in tx.execute(ordered)
    ]
