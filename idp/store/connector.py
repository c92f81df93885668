"""Connectors: where people come from elsewhere, the rules from groups to roles, and how far the last sync got."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.ids import new_id
from idp.store.role import Role
from idp.store.types import Base, JsonList, JsonObject

PROVISIONING = ("open", "domains", "linked")
MATCHES = ("key", "name", "claim")


class Connector(Base):
    """One connector. `secrets_sealed` is JSON, bound to ("connector", "secrets_sealed", id)."""

    __tablename__ = "connector"
    __table_args__ = (CheckConstraint("provisioning IN ('open', 'domains', 'linked')", name="provisioning"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    label: Mapped[str]  # what people read on the sign-in page
    config: Mapped[JsonObject]
    secrets_sealed: Mapped[bytes | None]
    domains: Mapped[JsonList]  # home realm: user names that end so come here
    provisioning: Mapped[str] = mapped_column(default="open")
    allowed_domains: Mapped[JsonList]  # of verified e-mail, where provisioning is "domains"
    position: Mapped[int] = mapped_column(default=0)
    visible: Mapped[bool] = mapped_column(default=True)
    declared: Mapped[bool] = mapped_column(default=False)  # stands in the settings file, which alone changes it
    disabled_at: Mapped[dt.datetime | None]
    version: Mapped[int] = mapped_column(default=1)  # whoever holds a connection made from an older one makes it anew
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


class ConnectorRule(Base):
    """A role that a group over there gives here. `pattern` is a DN, a name with `*`, or claim=value."""

    __tablename__ = "connector_rule"
    __table_args__ = (
        UniqueConstraint("connector_id", "match", "pattern", "role_id"),
        CheckConstraint("match IN ('key', 'name', 'claim')", name="match"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    connector_id: Mapped[str] = mapped_column(ForeignKey("connector.id", ondelete="CASCADE"))
    match: Mapped[str]
    pattern: Mapped[str]
    role_id: Mapped[str] = mapped_column(ForeignKey("role.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[dt.datetime]


class ConnectorSync(Base):
    """How far the last sync of a connector got."""

    __tablename__ = "connector_sync"

    connector_id: Mapped[str] = mapped_column(ForeignKey("connector.id", ondelete="CASCADE"), primary_key=True)
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
    full_at: Mapped[dt.datetime | None]  # when everybody was last looked at
    trouble: Mapped[str | None]
    counts: Mapped[JsonObject]
    state: Mapped[JsonObject | None]  # from where the next look goes on; written with the last of what was applied


def put(
    tx: Session,
    *,
    name: str,
    now: dt.datetime,
    connector_id: str | None = None,
    **facts: object,
) -> Connector:
    """Insert a connector, or replace what one of this name says; its people stay."""
    found = find(tx, name)
    if found is None:
        defaults: dict[str, object] = {"domains": [], "allowed_domains": [], "secrets_sealed": None}
        made = Connector(
            id=connector_id or new_id(), name=name, created_at=now, updated_at=now, **{**defaults, **facts}
        )
        tx.add(made)
        tx.flush()
        return made
    values = {**facts, "updated_at": now, "version": Connector.version + 1}
    tx.execute(update(Connector).where(Connector.id == found.id).values(values))
    tx.refresh(found)
    return found


def find(tx: Session, name: str) -> Connector | None:
    """Return a connector by name, disabled or not."""
    return tx.scalars(select(Connector).where(Connector.name == name)).one_or_none()


def listing(tx: Session) -> Sequence[Connector]:
    """Return every connector in the order of the sign-in page."""
    return tx.scalars(select(Connector).order_by(Connector.position, Connector.name)).all()


def disable(tx: Session, connector_id: str, now: dt.datetime) -> None:
    """Sign nobody in by it any more."""
    values = {"disabled_at": now, "updated_at": now, "version": Connector.version + 1}
    tx.execute(update(Connector).where(Connector.id == connector_id).values(values))


def enable(tx: Session, connector_id: str, now: dt.datetime) -> None:
    """Sign people in by it again."""
    values = {"disabled_at": None, "updated_at": now, "version": Connector.version + 1}
    tx.execute(update(Connector).where(Connector.id == connector_id).values(values))


def remove(tx: Session, connector_id: str) -> None:
    """Delete a connector with its rules and identities; closing who has no way in is the caller's decision."""
    tx.execute(delete(Connector).where(Connector.id == connector_id))


def add_rule(tx: Session, *, connector_id: str, match: str, pattern: str, role_id: str, now: dt.datetime) -> None:
    """Let a group over there give a role here; twice is once."""
    row = {
        "id": new_id(),
        "connector_id": connector_id,
        "match": match,
        "pattern": pattern,
        "role_id": role_id,
        "created_at": now,
    }
    tx.execute(upsert.insert(tx, ConnectorRule).values(row).on_conflict_do_nothing())


def find_rule(tx: Session, *, connector_id: str, match: str, pattern: str, role_id: str) -> ConnectorRule | None:
    """Return a rule by all it says."""
    chosen = select(ConnectorRule).where(
        ConnectorRule.connector_id == connector_id,
        ConnectorRule.match == match,
        ConnectorRule.pattern == pattern,
        ConnectorRule.role_id == role_id,
    )
    return tx.scalars(chosen).one_or_none()


def remove_rule(tx: Session, rule_id: str) -> None:
    """Take a rule away, and with it every role it gave."""
    tx.execute(delete(ConnectorRule).where(ConnectorRule.id == rule_id))


def rules(tx: Session, connector_id: str) -> Sequence[tuple[ConnectorRule, Role]]:
    """Return the rules of a connector with their roles."""
    joined = select(ConnectorRule, Role).join(Role, Role.id == ConnectorRule.role_id)
    chosen = joined.where(ConnectorRule.connector_id == connector_id)
    ordered = chosen.order_by(ConnectorRule.match, ConnectorRule.pattern, Role.name)
    return [(row[0], row[1]) for row in tx.execute(ordered)]


def sync(tx: Session, connector_id: str) -> ConnectorSync | None:
    """Return how far the last sync got."""
    return tx.get(ConnectorSync, connector_id, populate_existing=True)


def sync_began(tx: Session, connector_id: str, now: dt.datetime) -> None:
    """Write that a sync is at work."""
    row = {"connector_id": connector_id, "started_at": now, "counts": {}}
    statement = upsert.insert(tx, ConnectorSync).values(row)
    tx.execute(statement.on_conflict_do_update(index_elements=["connector_id"], set_={"started_at": now}))


def sync_ended(
    tx: Session, connector_id: str, now: dt.datetime, *, counts: JsonObject, trouble: str | None, **facts: object
) -> None:
    """Write how a sync ended. `full`: everybody was looked at; `state`: the next look goes on from there."""
    values: dict[str, object] = {"finished_at": now, "counts": counts, "trouble": trouble}
    if facts.pop("full", False):
        values["full_at"] = ConnectorSync.started_at
    values |= facts
    tx.execute(update(ConnectorSync).where(ConnectorSync.connector_id == connector_id).values(values))
