"""Counters of failures: each change is one statement, so that parallel tries cannot share one."""

from __future__ import annotations

import datetime as dt
from functools import partial

from sqlalchemy import BindParameter, Integer, and_, bindparam, case, delete, or_, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.prepared import Prepared
from idp.store.types import Base


class Counter(Base):
    """One counter; `key` is a digest, so that the table names nobody."""

    __tablename__ = "counter"

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    blocked_until: Mapped[dt.datetime | None]
    updated_at: Mapped[dt.datetime] = mapped_column(index=True)


def _parameter(name: str) -> BindParameter[dt.datetime]:
    return bindparam(name, type_=Counter.__table__.c.updated_at.type)


def _first(insert: sqlite.Insert) -> sqlite.Insert:
    return insert.values(key=bindparam("of"), failures=1, blocked_until=None, updated_at=_parameter("now"))


def _take(insert: sqlite.Insert, *, from_last: bool) -> object:
    fresh = Counter.updated_at <= _parameter("opened")
    moved = _parameter("now") if from_last else case((fresh, _parameter("now")), else_=Counter.updated_at)
    changed = _first(insert).on_conflict_do_update(
        index_elements=["key"],
        set_={"failures": case((fresh, 1), else_=Counter.failures + 1), "updated_at": moved},
        where=or_(fresh, Counter.failures < bindparam("most", type_=Integer())),
    )
    return changed.returning(Counter.failures)


def _attempt(insert: sqlite.Insert) -> object:
    free = or_(Counter.blocked_until.is_(None), Counter.blocked_until <= _parameter("now"))
    changed = _first(insert).on_conflict_do_update(
        index_elements=["key"],
        set_={"failures": Counter.failures + 1, "updated_at": _parameter("now")},
        where=and_(free, Counter.failures < bindparam("most", type_=Integer())),
    )
    return changed.returning(Counter.failures)


# Built once: seven of these statements stand in the way of each sign-in.
_TAKE = upsert.PreparedInsert(Counter, partial(_take, from_last=False))
_TAKE_FROM_LAST = upsert.PreparedInsert(Counter, partial(_take, from_last=True))
_ATTEMPT = upsert.PreparedInsert(Counter, _attempt)
_BEGUN = and_(Counter.blocked_until.is_not(None), Counter.blocked_until == _parameter("until"))
_GIVE_BACK = Prepared(
    update(Counter)
    .where(Counter.key == bindparam("of"), Counter.failures > 0)
    .values(failures=Counter.failures - 1, blocked_until=case((_BEGUN, None), else_=Counter.blocked_until))
)
_RESET = Prepared(delete(Counter).where(Counter.key == bindparam("of")))


def take(tx: Session, key: str, now: dt.datetime, *, limit: int, window: dt.timedelta, from_last: bool = False) -> bool:
    """Take one of `limit` tries per window; false when none is left.

    The window starts with its first try; `from_last`: with each, so that it ends only after a quiet one.
    """
    values = {"of": key, "now": now, "opened": now - window, "most": limit}
    return (_TAKE_FROM_LAST if from_last else _TAKE).one(tx, values) is not None


def attempt(tx: Session, key: str, now: dt.datetime, *, ceiling: int) -> int | None:
    """Count a try before it is evaluated and return its number; None while the key must wait, or at the ceiling.

    The row stays locked until the commit: the wait that follows from the number is set before the next try looks.
    """
    row = _ATTEMPT.one(tx, {"of": key, "now": now, "most": ceiling})
    return None if row is None else int(row[0])


def give_back(tx: Session, key: str, blocked_until: dt.datetime | None = None) -> None:
    """Give a try back that was taken and turned out not to be a failure, and end the wait that it began."""
    _GIVE_BACK.run(tx, {"of": key, "until": blocked_until})


def block(tx: Session, key: str, until: dt.datetime) -> None:
    """Let the next try wait; a longer wait stands."""
    shorter = or_(Counter.blocked_until.is_(None), Counter.blocked_until < until)
    tx.execute(update(Counter).where(Counter.key == key, shorter).values(blocked_until=until))


def reset(tx: Session, key: str) -> None:
    """Forget a counter."""
    _RESET.run(tx, {"of": key})
