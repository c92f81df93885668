"""Groups: which people, and through them which roles."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import CheckConstraint, ForeignKey, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.ids import new_id
from idp.store.types import MFA_CHOICES, Base


class Group(Base):
    """A set of accounts with its own second-factor policy."""

    __tablename__ = "account_group"
    __table_args__ = (CheckConstraint(MFA_CHOICES, name="mfa"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    mfa: Mapped[str] = mapped_column(default="optional")


class GroupMember(Base):
    """An account in a group."""

    __tablename__ = "group_member"

    group_id: Mapped[str] = mapped_column(ForeignKey("account_group.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True, index=True)


class GroupRole(Base):
    """A role that every member of a group has."""

    __tablename__ = "group_role"

    group_id: Mapped[str] = mapped_column(ForeignKey("account_group.id", ondelete="CASCADE"), primary_key=True)
    role_id: Mapped[str] = mapped_column(ForeignKey("role.id", ondelete="CASCADE"), primary_key=True, index=True)


def create(tx: Session, *, name: str, mfa: str = "optional") -> Group:
    """Insert a group."""
    group = Group(id=new_id(), name=name, mfa=mfa)
    tx.add(group)
    tx.flush()
    return group


def find(tx: Session, name: str) -> Group | None:
    """Return a group by name."""
    return tx.scalars(select(Group).where(Group.name == name)).one_or_none()


def listing(tx: Session) -> Sequence[Group]:
    """Return every group by name."""
    return tx.scalars(select(Group).order_by(Group.name)).all()


def members(tx: Session, group_id: str) -> Sequence[str]:
    """Return the account ids of a group."""
    return tx.scalars(select(GroupMember.account_id).where(GroupMember.group_id == group_id)).all()


def of_account(tx: Session, account_id: str) -> Sequence[Group]:
    """Return the groups an account is in."""
    joined = select(Group).join(GroupMember, GroupMember.group_id == Group.id)
    return tx.scalars(joined.where(GroupMember.account_id == account_id).order_by(Group.name)).all()


def add_member(tx: Session, group_id: str, account_id: str) -> None:
    """Put an account in a group; twice is once."""
    row = {"group_id": group_id, "account_id": account_id}
    tx.execute(upsert.insert(tx, GroupMember).values(row).on_conflict_do_nothing())


def remove_member(tx: Session, group_id: str, account_id: str) -> None:
    """Take an account out of a group."""
    matching = (GroupMember.group_id == group_id, GroupMember.account_id == account_id)
    tx.execute(delete(GroupMember).where(*matching))


def add_role(tx: Session, group_id: str, role_id: str) -> None:
    """Give a role to a group; twice is once."""
    row = {"group_id": group_id, "role_id": role_id}
    tx.execute(upsert.insert(tx, GroupRole).values(row).on_conflict_do_nothing())


def remove_role(tx: Session, group_id: str, role_id: str) -> None:
    """Take a role from a group."""
    tx.execute(delete(GroupRole).where(GroupRole.group_id == group_id, GroupRole.role_id == role_id))
