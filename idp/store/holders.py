"""Who has a role or a scope: for showing what a change gives or takes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from idp.store.client import ClientScope
from idp.store.group import Group, GroupMember, GroupRole
from idp.store.role import ClientRole, Role, RoleScope


def groups(tx: Session, role_id: str) -> Sequence[tuple[str, int]]:
    """Return the groups that have a role, by name, and how many people each holds."""
    count = select(func.count()).where(GroupMember.group_id == Group.id).scalar_subquery()
    joined = select(Group.name, count).join(GroupRole, GroupRole.group_id == Group.id)
    return [(row[0], row[1]) for row in tx.execute(joined.where(GroupRole.role_id == role_id).order_by(Group.name))]


def services(tx: Session, role_id: str) -> Sequence[str]:
    """Return the clients that have a role themselves."""
    chosen = select(ClientRole.client_id).where(ClientRole.role_id == role_id)
    return tx.scalars(chosen.order_by(ClientRole.client_id)).all()


def roles(tx: Session, scope_id: str) -> Sequence[Role]:
    """Return the roles that grant a scope."""
    joined = select(Role).join(RoleScope, RoleScope.role_id == Role.id)
    return tx.scalars(joined.where(RoleScope.scope_id == scope_id).order_by(Role.name)).all()


def clients(tx: Session, scope_id: str) -> Sequence[str]:
    """Return the clients that may ask for a scope."""
    chosen = select(ClientScope.client_id).where(ClientScope.scope_id == scope_id)
    return tx.scalars(chosen.order_by(ClientScope.client_id)).all()
