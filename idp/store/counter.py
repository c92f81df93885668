"""Counters of failures: each change is one statement, so that parallel tries cannot share one."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ColumnElement, Integer, and_, bindparam, case, delete, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.prepared import Prepared
from idp.store.types import Base, PlainText, UtcDateTime


class Counter(Base):
    """One counter; `key` is a digest, so that the table names nobody."""

    __tablename__ = "counter"

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    blocked_until: Mapped[dt.datetime | None]
    updated_at: Mapped[dt.datetime] = mapped_column(index=True)


_KEY = bindparam("key", type_=PlainText())
_NOW = bindparam("now", type_=UtcDateTime())
_LIMIT = bindparam("limit", type_=Integer())
_OPENED = Counter.updated_at <= bindparam("opened")
_HAD = case((_OPENED, 1), else_=Counter.failures + 1)
_LEFT = or_(_OPENED, Counter.failures < _LIMIT)


def _prepared_take(moved: ColumnElement[dt.datetime]) -> Prepared:
    return upsert.prepared(
        Counter,
        lambda insert: (
            insert.values(key=_KEY, failures=1, blocked_until=None, updated_at=_NOW)
            .on_conflict_do_update(index_elements=["key"], set_={"failures": _HAD, "updated_at": moved}, where=_LEFT)
            .returning(Counter.failures)
        ),
    )


_TAKE = _prepared_take(case((_OPENED, _NOW), else_=Counter.updated_at))
_TAKE_FROM_LAST = _prepared_take(_NOW)


def take(tx: Session, key: str, now: dt.datetime, *, limit: int, window: dt.timedelta, from_last: bool = False) -> bool:
    """Take one of `limit` tries per window; false when none is left.

    The window starts with its first try; `from_last`: with each, so that it ends only after a quiet one.
    """
    values = {"key": key, "now": now, "limit": limit, "opened": now - window}
    return (_TAKE_FROM_LAST if from_last else _TAKE).one(tx, values) is not None


def began(tx: Session, key: str) -> dt.datetime | None:
    """Return when the window of a key began."""
    return tx.scalar(select(Counter.updated_at).where(Counter.key == key))


_FREE = or_(Counter.blocked_until.is_(None), Counter.blocked_until <= _NOW)
_ATTEMPT = upsert.prepared(
    Counter,
    lambda insert: (
        insert.values(key=_KEY, failures=1, blocked_until=None, updated_at=_NOW)
        .on_conflict_do_update(
            index_elements=["key"],
            set_={"failures": Counter.failures + 1, "updated_at": _NOW},
            where=and_(_FREE, Counter.failures < _LIMIT),
        )
        .returning(Counter.failures)
    ),
)


def attempt(tx: Session, key: str, now: dt.datetime, *, ceiling: int) -> int | None:
    """Count a try before it is evaluated and return its number; None while the key must wait, or at the ceiling.

    The row stays locked until the commit: the wait that follows from the number is set before the next try looks.
    """
    row = _ATTEMPT.one(tx, {"key": key, "now": now, "limit": ceiling})
    return None if row is None else row[0]


_BEGUN = and_(Counter.blocked_until.is_not(None), Counter.blocked_until == bindparam("begun"))
_GIVE_BACK = Prepared(
    update(Counter)
    .where(Counter.key == bindparam("counted"), Counter.failures > 0)
    .values(failures=Counter.failures - 1, blocked_until=case((_BEGUN, None), else_=Counter.blocked_until))
)


def give_back(tx: Session, key: str, blocked_until: dt.datetime | None = None) -> None:
    """Give a try back that was taken and turned out not to be a failure, and end the wait that it began."""
    _GIVE_BACK.run(tx, {"counted": key, "begun": blocked_until})


def block(tx: Session, key: str, until: dt.datetime) -> None:
    """Let the next try wait; a longer wait stands."""
    shorter = or_(Counter.blocked_until.is_(None), Counter.blocked_until < until)
    tx.execute(update(Counter).where(Counter.key == key, shorter).values(blocked_until=until))


_RESET = Prepared(delete(Counter).where(Counter.key == _KEY))


def reset(tx: Session, key: str) -> None:
    """Forget a counter."""
    _RESET.run(tx, {"key": key})
