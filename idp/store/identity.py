"""Identities: who an account is elsewhere, by what never changes there, and the roles that come from there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ForeignKey, UniqueConstraint, case, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store.account import Account
from idp.store.ids import new_id
from idp.store.types import Base, JsonObject

__all__ = ["Identity", "IdentityRole", "new_id"]

_LOCK: Final = 0x6964705F6964656E  # "idp_iden"
# Looking through everything that a session holds, for each of thousands, costs more than all the rest.
UNSEEN: Final = {"synchronize_session": False}


class Identity(Base):
    """One account at one connector. `groups` is what was last seen: [{"key", "name", "via"}] under "all"."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("connector_id", "external_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    connector_id: Mapped[str] = mapped_column(ForeignKey("connector.id", ondelete="CASCADE"))
    external_id: Mapped[str]
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    username: Mapped[str]
    username_key: Mapped[str] = mapped_column(index=True)
    email: Mapped[str | None]
    groups: Mapped[JsonObject]
    closed_at: Mapped[dt.datetime | None]  # since when this identity keeps the account closed, and may open it again
    created_at: Mapped[dt.datetime]
    seen_at: Mapped[dt.datetime]  # when the connector last said something of it
    last_login_at: Mapped[dt.datetime | None]


class IdentityRole(Base):
    """A role that a rule gives by an identity. It goes with the rule, and with the identity."""

    __tablename__ = "identity_role"

    identity_id: Mapped[str] = mapped_column(ForeignKey("identity.id", ondelete="CASCADE"), primary_key=True)
    rule_id: Mapped[str] = mapped_column(ForeignKey("connector_rule.id", ondelete="CASCADE"), primary_key=True)
    role_id: Mapped[str] = mapped_column(ForeignKey("role.id", ondelete="CASCADE"), index=True)


def alone(tx: Session) -> None:
    """Let people arrive one after the other: two first sign-ins of one person make one account."""
    if tx.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        tx.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def create(
    tx: Session,
    *,
    connector_id: str,
    external_id: str,
    account_id: str,
    username: str,
    username_key: str,
    email: str | None,
    now: dt.datetime,
) -> Identity:
    """Link an account to somebody elsewhere."""
    made = Identity(
        id=new_id(),
        connector_id=connector_id,
        external_id=external_id,
        account_id=account_id,
        username=username,
        username_key=username_key,
        email=email,
        groups={},
        created_at=now,
        seen_at=now,
    )
    tx.add(made)
    tx.flush()
    return made


def find(tx: Session, connector_id: str, external_id: str) -> Identity | None:
    """Return the link of somebody elsewhere."""
    chosen = select(Identity).where(Identity.connector_id == connector_id, Identity.external_id == external_id)
    return tx.scalars(chosen).one_or_none()


def with_account(tx: Session, connector_id: str, external_id: str) -> tuple[Identity, Account] | None:
    """Return the link of somebody elsewhere and the account it leads to."""
    joined = select(Identity, Account).join(Account, Account.id == Identity.account_id)
    row = tx.execute(joined.where(Identity.connector_id == connector_id, Identity.external_id == external_id)).first()
    return None if row is None else (row[0], row[1])


def of_account(tx: Session, account_id: str) -> Sequence[Identity]:
    """Return where else an account is somebody."""
    return tx.scalars(select(Identity).where(Identity.account_id == account_id).order_by(Identity.created_at)).all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A link, as far as a sync has to know all of them; `closed` says whether the account is, by whomever."""

    external_id: str
    username: str
    groups: JsonObject
    closed: bool


def roster(tx: Session, connector_id: str, *, after: str = "", limit: int = 1000) -> Sequence[Known]:
    """Return the links of a connector, a page at a time, by their external ids."""
    columns = select(Identity.external_id, Identity.username, Identity.groups, Account.disabled_at)
    joined = columns.join(Account, Account.id == Identity.account_id)
    chosen = joined.where(Identity.connector_id == connector_id, Identity.external_id > after)
    return [
        Known(external_id=row[0], username=row[1], groups=row[2], closed=row[3] is not None)
        for row in tx.execute(chosen.order_by(Identity.external_id).limit(limit))
    ]


def arrived(tx: Session, connector_id: str, since: dt.datetime) -> Sequence[JsonObject]:
    """Return the groups of whoever has come by a connector, or was linked to it, since a moment."""
    came = or_(Identity.last_login_at >= since, Identity.created_at >= since)
    return tx.scalars(select(Identity.groups).where(Identity.connector_id == connector_id, came)).all()


def among(tx: Session, connector_id: str, external_ids: Sequence[str]) -> dict[str, tuple[Identity, Account]]:
    """Return the links of these people with their accounts, in one statement."""
    joined = select(Identity, Account).join(Account, Account.id == Identity.account_id)
    chosen = joined.where(Identity.connector_id == connector_id, Identity.external_id.in_(external_ids))
    return {row[0].external_id: (row[0], row[1]) for row in tx.execute(chosen)}


def count(tx: Session, connector_id: str) -> int:
    """Return how many people are linked to a connector."""
    return tx.scalar(select(func.count()).select_from(Identity).where(Identity.connector_id == connector_id)) or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How many people of a connector have an open account, and how many were closed lately for being gone."""

    open: int
    gone: int


def census(tx: Session, connector_id: str, since: dt.datetime) -> Census:
    """Count who is open, and who was found to be gone since a moment (`vanished`)."""
    missed = (Identity.closed_at >= since) & (Identity.seen_at < Identity.closed_at)
    sums = select(
        func.coalesce(func.sum(case((Account.disabled_at.is_(None), 1), else_=0)), 0),
        func.coalesce(func.sum(case((missed, 1), else_=0)), 0),
    )
    joined = sums.select_from(Identity).join(Account, Account.id == Identity.account_id)
    row = tx.execute(joined.where(Identity.connector_id == connector_id)).one()
    return Census(open=row[0], gone=row[1])


def vanished(tx: Session, identity_id: str, now: dt.datetime) -> None:
    """Keep an account closed whose person is gone: the connector has said nothing of them, so that `seen_at` stays."""
    statement = update(Identity).where(Identity.id == identity_id).values(closed_at=now)
    tx.execute(statement, execution_options=UNSEEN)


def keeps_closed(tx: Session, account_id: str) -> bool:
    """Say whether an identity keeps an account closed; none does where an operator has."""
    kept = select(Identity.id).where(Identity.account_id == account_id, Identity.closed_at.is_not(None))
    return tx.scalar(kept.limit(1)) is not None


def lets_go(tx: Session, identity_id: str) -> bool:
    """Keep an account closed no longer; say whether the identity did."""
    kept = (Identity.id == identity_id, Identity.closed_at.is_not(None))
    freed = update(Identity).where(*kept).values(closed_at=None).returning(Identity.id)
    return tx.scalar(freed, execution_options={"synchronize_session": "fetch"}) is not None


def settled(tx: Session, account_id: str) -> None:
    """Forget who closed an account: somebody with more to say has said whether it is open."""
    statement = update(Identity).where(Identity.account_id == account_id, Identity.closed_at.is_not(None))
    tx.execute(statement.values(closed_at=None), execution_options=UNSEEN)


def accounts_of(tx: Session, connector_id: str) -> Sequence[str]:
    """Return the ids of all accounts that are linked to a connector."""
    return tx.scalars(select(Identity.account_id).where(Identity.connector_id == connector_id)).all()


def accounts_by_rule(tx: Session, rule_id: str) -> Sequence[str]:
    """Return the ids of the accounts to which a rule gives its role."""
    joined = select(Identity.account_id).join(IdentityRole, IdentityRole.identity_id == Identity.id)
    return tx.scalars(joined.where(IdentityRole.rule_id == rule_id)).all()


def unlink(tx: Session, identity_id: str) -> None:
    """Forget a link and the roles that came by it."""
    tx.execute(delete(Identity).where(Identity.id == identity_id))


def seen(tx: Session, identity_id: str, now: dt.datetime, **facts: object) -> None:
    """Write down what the connector says now."""
    statement = update(Identity).where(Identity.id == identity_id).values(seen_at=now, **facts)
    tx.execute(statement, execution_options=UNSEEN)


def seen_together(tx: Session, identity_ids: Sequence[str], now: dt.datetime) -> None:
    """Write down that the connector has said something of all these."""
    statement = update(Identity).where(Identity.id.in_(identity_ids)).values(seen_at=now)
    tx.execute(statement, execution_options=UNSEEN)


def roles_among(tx: Session, identity_ids: Sequence[str]) -> dict[str, frozenset[tuple[str, str]]]:
    """Return which rules give which roles by these identities, in one statement."""
    columns = select(IdentityRole.identity_id, IdentityRole.rule_id, IdentityRole.role_id)
    found: dict[str, set[tuple[str, str]]] = {each: set() for each in identity_ids}
    for identity_id, rule_id, role_id in tx.execute(columns.where(IdentityRole.identity_id.in_(identity_ids))):
        found[identity_id].add((rule_id, role_id))
    return {identity_id: frozenset(pairs) for identity_id, pairs in found.items()}


def roles(tx: Session, identity_id: str) -> frozenset[tuple[str, str]]:
    """Return which rules give which roles by an identity: (rule id, role id)."""
    chosen = select(IdentityRole.rule_id, IdentityRole.role_id).where(IdentityRole.identity_id == identity_id)
    return frozenset((row[0], row[1]) for row in tx.execute(chosen))


def set_roles(
    tx: Session,
    identity_id: str,
    wanted: Iterable[tuple[str, str]],
    there: frozenset[tuple[str, str]] | None = None,
) -> tuple[set[str], set[str]]:
    """Let exactly these rules give their roles; return the ids of roles that came and that went."""
    target = frozenset(wanted)
    there = roles(tx, identity_id) if there is None else there
    gone = [rule for rule, _ in there - target]
    if gone:
        matching = (IdentityRole.identity_id == identity_id, IdentityRole.rule_id.in_(gone))
        tx.execute(delete(IdentityRole).where(*matching), execution_options=UNSEEN)
    fresh = [{"identity_id": identity_id, "rule_id": rule, "role_id": role} for rule, role in target - there]
    if fresh:
        tx.execute(insert(IdentityRole), fresh)
    before, after = {role for _, role in there}, {role for _, role in target}
    return after - before, before - after
