"""Roles: of one API, granting its scopes, given to groups, by rules to people from elsewhere, and to clients."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, bindparam, delete, select, union
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.api import Api, ApiScope
from idp.store.group import GroupMember, GroupRole
from idp.store.identity import Identity, IdentityRole
from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import MFA_CHOICES, Base


class Role(Base):
    """A name for a set of scopes of one API."""

    __tablename__ = "role"
    __table_args__ = (UniqueConstraint("api_id", "name"), CheckConstraint(MFA_CHOICES, name="mfa"))

    id: Mapped[str] = mapped_column(primary_key=True)
    api_id: Mapped[str] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"))
    name: Mapped[str]
    mfa: Mapped[str] = mapped_column(default="optional")


class RoleScope(Base):
    """A scope that a role grants."""

    __tablename__ = "role_scope"

    role_id: Mapped[str] = mapped_column(ForeignKey("role.id", ondelete="CASCADE"), primary_key=True)
    scope_id: Mapped[str] = mapped_column(ForeignKey("api_scope.id", ondelete="CASCADE"), primary_key=True, index=True)


class ClientRole(Base):
    """A role that a service client has when it acts for itself."""

    __tablename__ = "client_role"

    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id", ondelete="CASCADE"), primary_key=True)
    role_id: Mapped[str] = mapped_column(ForeignKey("role.id", ondelete="CASCADE"), primary_key=True, index=True)


def create(tx: Session, *, api_id: str, name: str, mfa: str = "optional") -> Role:
    """Insert a role."""
    role = Role(id=new_id(), api_id=api_id, name=name, mfa=mfa)
    tx.add(role)
    tx.flush()
    return role


def find(tx: Session, api_id: str, name: str) -> Role | None:
    """Return a role of an API by name."""
    return tx.scalars(select(Role).where(Role.api_id == api_id, Role.name == name)).one_or_none()


def listing(tx: Session, api_id: str) -> Sequence[Role]:
    """Return the roles of an API by name."""
    return tx.scalars(select(Role).where(Role.api_id == api_id).order_by(Role.name)).all()


def remove(tx: Session, role_id: str) -> None:
    """Delete a role; no group and no client has it any longer."""
    tx.execute(delete(Role).where(Role.id == role_id))


def add_scope(tx: Session, role_id: str, scope_id: str) -> None:
    """Let a role grant a scope; twice is once."""
    row = {"role_id": role_id, "scope_id": scope_id}
    tx.execute(upsert.insert(tx, RoleScope).values(row).on_conflict_do_nothing())


def remove_scope(tx: Session, role_id: str, scope_id: str) -> None:
    """A role no longer grants a scope."""
    tx.execute(delete(RoleScope).where(RoleScope.role_id == role_id, RoleScope.scope_id == scope_id))


def scopes(tx: Session, role_id: str) -> frozenset[str]:
    """Return the names of the scopes a role grants."""
    joined = select(ApiScope.name).join(RoleScope, RoleScope.scope_id == ApiScope.id)
    return frozenset(tx.scalars(joined.where(RoleScope.role_id == role_id)))


def add_client(tx: Session, role_id: str, client_id: str) -> None:
    """Give a role to a service client; twice is once."""
    row = {"role_id": role_id, "client_id": client_id}
    tx.execute(upsert.insert(tx, ClientRole).values(row).on_conflict_do_nothing())


def remove_client(tx: Session, role_id: str, client_id: str) -> None:
    """Take a role from a service client."""
    tx.execute(delete(ClientRole).where(ClientRole.role_id == role_id, ClientRole.client_id == client_id))


Held = tuple[str, str, str | None]
"""(role name, role mfa, one scope it grants or None)."""


# What an account has: by the groups it is in here, and by who it is elsewhere.
HELD = union(
    select(GroupRole.role_id)
    .join(GroupMember, GroupMember.group_id == GroupRole.group_id)
    .where(GroupMember.account_id == bindparam("account_id")),
    select(IdentityRole.role_id)
    .join(Identity, Identity.id == IdentityRole.identity_id)
    .where(Identity.account_id == bindparam("account_id")),
).subquery()
# Built once: asked for each token of a person.
_OF_ACCOUNT = Prepared(
    select(Api.audience, Role.name, Role.mfa, ApiScope.name)
    .join(Api, Api.id == Role.api_id)
    .join(HELD, HELD.c.role_id == Role.id)
    .outerjoin(RoleScope, RoleScope.role_id == Role.id)
    .outerjoin(ApiScope, ApiScope.id == RoleScope.scope_id)
    .where(Api.audience.in_(bindparam("audiences", expanding=True)))
)


def of_account(tx: Session, account_id: str, audience: str) -> Sequence[Held]:
    """Return what an account has at one API, in one statement."""
    return at_apis(tx, account_id, [audience])[audience]


def at_apis(tx: Session, account_id: str, audiences: Sequence[str]) -> dict[str, list[Held]]:
    """Return what an account has at each of these APIs, in one statement."""
    held: dict[str, list[Held]] = {audience: [] for audience in audiences}
    for audience, name, mfa, scope in _OF_ACCOUNT.all(tx, {"account_id": account_id, "audiences": audiences}):
        held[audience].append((name, mfa, scope))
    return held


def of_client(tx: Session, client_id: str, audience: str) -> Sequence[Held]:
    """Return what a service client has for itself at one API, in one statement."""
    statement = (
        select(Role.name, Role.mfa, ApiScope.name)
        .join(Api, Api.id == Role.api_id)
        .join(ClientRole, ClientRole.role_id == Role.id)
        .outerjoin(RoleScope, RoleScope.role_id == Role.id)
        .outerjoin(ApiScope, ApiScope.id == RoleScope.scope_id)
        .where(ClientRole.client_id == client_id, Api.audience == audience)
    )
    return [(row[0], row[1], row[2]) for row in tx.execute(statement)]
