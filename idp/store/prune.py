"""Forgetting what can no longer matter, a small batch at a time, so that no sign-in waits for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from idp.store.audit import AuditCheckpoint
from idp.store.code import Code
from idp.store.counter import Counter
from idp.store.database import Database
from idp.store.device import Device
from idp.store.event import Event, Stream
from idp.store.grant import Grant
from idp.store.handshake import Handshake
from idp.store.invitation import Invitation
from idp.store.reference_token import ReferenceToken
from idp.store.refresh_token import RefreshToken
from idp.store.session import BrowserSession
from idp.store.signin import Signin
from idp.store.token import RevokedToken
from idp.store.totp import Totp
from idp.store.types import Base
from idp.store.used_jti import UsedJti

BATCH = 1000
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
FEW_FAILURES = 5

Rule = tuple[type[Base], InstrumentedAttribute[Any], ColumnElement[bool]]


def prune(db: Database, now: dt.datetime, *, stop: int) -> dict[str, int]:
    """Delete what is long over; return how many rows went, by table. At `stop` failures a counter stands."""
    gone = {table.__tablename__: _drain(db, table, key, old) for table, key, old in rules(now, stop=stop)}
    return gone | {AuditCheckpoint.__tablename__: _thin_checkpoints(db, now)}


def rules(now: dt.datetime, *, stop: int) -> tuple[Rule, ...]:
    """Say what is long over. A day is kept beyond the end, so that people can still be told what happened."""
    day, hour = now - DAY, now - HOUR
    over = or_(BrowserSession.ended_at < day, BrowserSession.expires_at < day, BrowserSession.idle_expires_at < day)
    return (
        # An hour more than any leeway: an id is forgotten only when its assertion is dead everywhere.
        (UsedJti, UsedJti.key, UsedJti.expires_at < hour),
        (RevokedToken, RevokedToken.jti, RevokedToken.expires_at < hour),
        (ReferenceToken, ReferenceToken.token_hash, ReferenceToken.expires_at < hour),
        # Anybody can begin a sign-in: those that nobody went on with take no room for a day.
        (Signin, Signin.id, or_(Signin.expires_at < day, and_(Signin.account_id.is_(None), Signin.expires_at < hour))),
        (Handshake, Handshake.id, Handshake.expires_at < hour),
        (Invitation, Invitation.account_id, Invitation.expires_at < day),
        (Code, Code.id, Code.expires_at < day),
        # Used ones stay while they could be replayed: they are how a stolen family is noticed.
        (RefreshToken, RefreshToken.id, RefreshToken.idle_expires_at < day),
        (Grant, Grant.id, or_(Grant.expires_at < day, Grant.revoked_at < day)),
        # A session outlives its grants: what was issued in it is live only while it is there and not ended.
        (BrowserSession, BrowserSession.id, and_(over, ~exists().where(Grant.session_id == BrowserSession.id))),
        # No access token lives for a day: what waits longer concerns nobody any more, nor who has not asked since.
        (Event, Event.id, Event.at < day - HOUR),
        (Stream, Stream.id, Stream.seen_at < day),
        (Device, Device.id, Device.last_seen_at < now - 400 * DAY),
        (Totp, Totp.id, and_(Totp.confirmed_at.is_(None), Totp.created_at < day)),
        (Counter, Counter.key, _quiet(now, stop)),
    )


def _quiet(now: dt.datetime, stop: int) -> ColumnElement[bool]:
    few = and_(Counter.failures < FEW_FAILURES, Counter.updated_at < now - 7 * DAY)
    # Where it closes an account, it stands until a person resets it.
    return and_(Counter.failures < stop, or_(few, Counter.updated_at < now - 90 * DAY))


def _drain(db: Database, table: type[Base], key: InstrumentedAttribute[Any], old: ColumnElement[bool]) -> int:
    total = 0
    while True:
        with db.read() as tx:
            keys: Sequence[Any] = tx.scalars(select(key).where(old).limit(BATCH)).all()
        if not keys:
            return total
        with db.write() as tx:
            # Asked again: between the two statements a row may have been touched and be alive.
            total += len(tx.scalars(delete(table).where(key.in_(keys), old).returning(key)).all())
        if len(keys) < BATCH:
            return total


def _thin_checkpoints(db: Database, now: dt.datetime) -> int:
    """Keep the last checkpoint of each hour once it is a day old."""
    mark = AuditCheckpoint
    with db.read() as tx:
        found = tx.scalars(select(mark).where(mark.at < now - DAY, mark.at > now - 3 * DAY).order_by(mark.seq)).all()
    last = {each.at.replace(minute=0, second=0, microsecond=0): each.seq for each in found}
    spare = sorted({each.seq for each in found} - set(last.values()))
    for start in range(0, len(spare), BATCH):
        with db.write() as tx:
            tx.execute(delete(mark).where(mark.seq.in_(spare[start : start + BATCH])))
    return len(spare)
