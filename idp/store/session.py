"""Browser sessions. `session.id` is the `sid` of tokens; the cookie holds a secret of which this keeps the digest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ForeignKey, bindparam, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import event, rows
from idp.store.account import Account
from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import Base, JsonList

UNPROVED: Final = dt.datetime.fromtimestamp(0, dt.UTC)


class BrowserSession(Base):
    """One signed-in browser, with how and when its person signed in.

    `auth_time` is UNPROVED where another provider did not say when: long ago for every rule that asks.
    """

    __tablename__ = "session"

    id: Mapped[str] = mapped_column(primary_key=True)
    cookie_hash: Mapped[bytes] = mapped_column(unique=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    auth_time: Mapped[dt.datetime]
    acr: Mapped[str]
    amr: Mapped[JsonList]
    created_at: Mapped[dt.datetime]
    last_seen_at: Mapped[dt.datetime]
    idle_expires_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    ended_at: Mapped[dt.datetime | None]
    user_agent: Mapped[str | None]
    ip: Mapped[str | None]

    def live(self, now: dt.datetime) -> bool:
        """Say whether the session still counts."""
        return self.ended_at is None and now < self.idle_expires_at and now < self.expires_at


def create(
    tx: Session,
    *,
    cookie_hash: bytes,
    account_id: str,
    acr: str,
    amr: JsonList,
    now: dt.datetime,
    idle_expires_at: dt.datetime,
    expires_at: dt.datetime,
    auth_time: dt.datetime | None = None,
    user_agent: str | None = None,
    ip: str | None = None,
) -> BrowserSession:
    """Insert a session that begins now, by a sign-in of now unless it is said to be older."""
    session = rows.fresh(
        BrowserSession,
        id=new_id(),
        cookie_hash=cookie_hash,
        account_id=account_id,
        auth_time=auth_time or now,
        acr=acr,
        amr=amr,
        created_at=now,
        last_seen_at=now,
        idle_expires_at=idle_expires_at,
        expires_at=expires_at,
        user_agent=user_agent,
        ip=ip,
    )
    rows.insert(tx, session)
    return session


def find(tx: Session, session_id: str) -> BrowserSession | None:
    """Return a session by id, live or not."""
    return tx.get(BrowserSession, session_id)


# Built once: asked for each code.
_HELD = Prepared(
    select(BrowserSession).where(BrowserSession.id == bindparam("id")).with_for_update(read=True), BrowserSession
)


def hold(tx: Session, session_id: str, now: dt.datetime) -> BrowserSession | None:
    """Return a live session that nobody ends before this transaction does: its end then finds what was made here."""
    row = _HELD.one(tx, {"id": session_id})
    found: BrowserSession | None = None if row is None else row[0]
    return found if found is not None and found.live(now) else None


# Built once: asked at each step of a sign-in.
_BY_COOKIE = select(BrowserSession).where(
    BrowserSession.cookie_hash == bindparam("cookie_hash"),
    BrowserSession.ended_at.is_(None),
    BrowserSession.idle_expires_at > bindparam("now"),
    BrowserSession.expires_at > bindparam("now"),
)
_WITH_ACCOUNT = Prepared(
    _BY_COOKIE.add_columns(Account)
    .join(Account, Account.id == BrowserSession.account_id)
    .where(Account.disabled_at.is_(None)),
    BrowserSession,
    Account,
)


def find_by_cookie(tx: Session, cookie_hash: bytes, now: dt.datetime) -> BrowserSession | None:
    """Return the live session of a cookie."""
    return tx.scalars(_BY_COOKIE, {"cookie_hash": cookie_hash, "now": now}).one_or_none()


def signed_in(tx: Session, cookie_hash: bytes, now: dt.datetime) -> tuple[BrowserSession, Account] | None:
    """Return the live session of a cookie and whose it is, if the account is open."""
    row = _WITH_ACCOUNT.one(tx, {"cookie_hash": cookie_hash, "now": now})
    return None if row is None else (row[0], row[1])


def of_account(tx: Session, account_id: str, now: dt.datetime) -> Sequence[BrowserSession]:
    """Return the live sessions of an account, newest first."""
    live = (BrowserSession.ended_at.is_(None), BrowserSession.idle_expires_at > now, BrowserSession.expires_at > now)
    found = select(BrowserSession).where(BrowserSession.account_id == account_id, *live)
    return tx.scalars(found.order_by(BrowserSession.id.desc())).all()


def touch(tx: Session, session_id: str, now: dt.datetime, idle_expires_at: dt.datetime) -> None:
    """Move the idle limit; an ended session stays ended."""
    _change(tx, session_id, last_seen_at=now, idle_expires_at=idle_expires_at)


def step_up(
    tx: Session, session_id: str, *, cookie_hash: bytes, auth_time: dt.datetime, acr: str, amr: JsonList
) -> bool:
    """Write down a new or stronger sign-in of the same person, under a new cookie."""
    return _change(tx, session_id, cookie_hash=cookie_hash, auth_time=auth_time, acr=acr, amr=amr)


def end(tx: Session, session_id: str, now: dt.datetime) -> bool:
    """End a session; say whether it was still open. Its grants are revoked by `grant.revoke_session`."""
    ended = _change(tx, session_id, ended_at=now)
    if ended:
        event.tell(tx, "session", [session_id], now, reason="session ended")
    return ended


def end_account(tx: Session, account_id: str, now: dt.datetime, *, keep: str | None = None) -> Sequence[str]:
    """End every session of an account, but perhaps the one in use; return their ids."""
    which = update(BrowserSession).where(BrowserSession.account_id == account_id, BrowserSession.ended_at.is_(None))
    if keep is not None:
        which = which.where(BrowserSession.id != keep)
    ended = which.values(ended_at=now).returning(BrowserSession.id)
    ids = tx.scalars(ended, execution_options={"synchronize_session": "fetch"}).all()
    for each in ids:
        event.tell(tx, "session", [each], now, reason="session ended")
    return ids


def _change(tx: Session, session_id: str, **facts: object) -> bool:
    still_open = (BrowserSession.id == session_id, BrowserSession.ended_at.is_(None))
    changed = update(BrowserSession).where(*still_open).values(**facts).returning(BrowserSession.id)
    return tx.scalar(changed, execution_options={"synchronize_session": "fetch"}) is not None
