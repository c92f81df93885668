"""Counters of failures: each change is one statement, so that parallel tries cannot share one."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import and_, case, delete, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.types import Base


class Counter(Base):
    """One counter; `key` is a digest, so that the table names nobody."""

    __tablename__ = "counter"

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    blocked_until: Mapped[dt.datetime | None]
    updated_at: Mapped[dt.datetime] = mapped_column(index=True)


def take(tx: Session, key: str, now: dt.datetime, *, limit: int, window: dt.timedelta) -> bool:
    """Take one of `limit` tries per window; false when none is left. The window starts with its first try."""
    opened = now - window
    fresh = Counter.updated_at <= opened
    statement = upsert.insert(tx, Counter).values(key=key, failures=1, blocked_until=None, updated_at=now)
    changed = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "failures": case((fresh, 1), else_=Counter.failures + 1),
            "updated_at": case((fresh, now), else_=Counter.updated_at),
        },
        where=or_(fresh, Counter.failures < limit),
    )
    return tx.scalar(changed.returning(Counter.failures)) is not None


def began(tx: Session, key: str) -> dt.datetime | None:
    """Return when the window of a key began."""
    return tx.scalar(select(Counter.updated_at).where(Counter.key == key))


def attempt(tx: Session, key: str, now: dt.datetime, *, ceiling: int) -> int | None:
    """Count a try before it is evaluated and return its number; None while the key must wait, or at the ceiling.

    The row stays locked until the commit: the wait that follows from the number is set before the next try looks.
    """
    statement = upsert.insert(tx, Counter).values(key=key, failures=1, blocked_until=None, updated_at=now)
    free = or_(Counter.blocked_until.is_(None), Counter.blocked_until <= now)
    changed = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={"failures": Counter.failures + 1, "updated_at": now},
        where=and_(free, Counter.failures < ceiling),
    )
    return tx.scalar(changed.returning(Counter.failures))


def give_back(tx: Session, key: str, blocked_until: dt.datetime | None = None) -> None:
    """Give a try back that was taken and turned out not to be a failure, and end the wait that it began."""
    begun = and_(Counter.blocked_until.is_not(None), Counter.blocked_until == blocked_until)
    tx.execute(
        update(Counter)
        .where(Counter.key == key, Counter.failures > 0)
        .values(failures=Counter.failures - 1, blocked_until=case((begun, None), else_=Counter.blocked_until))
    )


def block(tx: Session, key: str, until: dt.datetime) -> None:
    """Let the next try wait; a longer wait stands."""
    shorter = or_(Counter.blocked_until.is_(None), Counter.blocked_until < until)
    tx.execute(update(Counter).where(Counter.key == key, shorter).values(blocked_until=until))


def reset(tx: Session, key: str) -> None:
    """Forget a counter."""
    tx.execute(delete(Counter).where(Counter.key == key))
