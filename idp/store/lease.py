"""Leases: of all workers one does the job, and another takes over when it is gone."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import delete, or_
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.types import Base


class Lease(Base):
    """Who does a job, and until when."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[dt.datetime]


def take(tx: Session, name: str, holder: str, now: dt.datetime, until: dt.datetime) -> bool:
    """Take or extend a lease; false while another holds it."""
    statement = upsert.insert(tx, Lease).values(name=name, holder=holder, until=until)
    taken = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": holder, "until": until},
        where=or_(Lease.holder == holder, Lease.until <= now),
    )
    return tx.scalar(taken.returning(Lease.name)) is not None


def give_back(tx: Session, name: str, holder: str) -> None:
    """End a lease early."""
    tx.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))
