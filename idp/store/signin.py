"""Sign-ins: a frozen authorization request on its way through the pages, bound to one browser."""

from __future__ import annotations

import datetime as dt
from functools import cache

from sqlalchemy import ForeignKey, bindparam, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import rows
from idp.store.digests import digest
from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import Base, JsonObject


class Signin(Base):
    """One authorization request. `authenticated_at` and `password_at` are set by what happened inside it."""

    __tablename__ = "signin"

    id: Mapped[str] = mapped_column(primary_key=True)
    flow_hash: Mapped[bytes]
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id", ondelete="CASCADE"))
    request: Mapped[JsonObject]
    account_id: Mapped[str | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    session_id: Mapped[str | None] = mapped_column(ForeignKey("session.id", ondelete="SET NULL"), index=True)
    authenticated_at: Mapped[dt.datetime | None]
    password_at: Mapped[dt.datetime | None]
    consented_at: Mapped[dt.datetime | None]
    link_waits: Mapped[bool | None]  # somebody came from elsewhere, and may be linked once they signed in here
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    finished_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]


def create(
    tx: Session,
    *,
    flow_hash: bytes | None,
    client_id: str,
    request: JsonObject,
    now: dt.datetime,
    expires_at: dt.datetime,
) -> Signin:
    """Freeze a request. Without `flow_hash` it belongs to nobody until a browser takes it up."""
    signin_id = new_id()
    signin = Signin(
        id=signin_id,
        flow_hash=digest(signin_id) if flow_hash is None else flow_hash,
        client_id=client_id,
        request=request,
        created_at=now,
        expires_at=expires_at,
    )
    rows.insert(tx, signin)
    return signin


# Built once: asked at each step of a sign-in.
_MINE = Prepared(select(Signin).where(Signin.id == bindparam("id"), Signin.flow_hash == bindparam("flow_hash")), Signin)


def find_any(tx: Session, signin_id: str, flow_hash: bytes) -> Signin | None:
    """Return a sign-in of this browser even when it is finished or expired, to say so in words."""
    row = _MINE.one(tx, {"id": signin_id, "flow_hash": flow_hash})
    return None if row is None else row[0]


def take_up(tx: Session, signin_id: str, flow_hash: bytes, now: dt.datetime) -> Signin | None:
    """Bind a sign-in that belongs to nobody to the first browser that comes for it, and to no other."""
    nobodys = (Signin.id == signin_id, Signin.flow_hash == digest(signin_id), Signin.expires_at > now)
    statement = update(Signin).where(*nobodys).values(flow_hash=flow_hash).returning(Signin)
    return tx.scalars(statement, execution_options={"populate_existing": True}).one_or_none()


def find_elsewhere(tx: Session, signin_id: str) -> Signin | None:
    """Return a sign-in whatever browser asks: for answers that say nothing of anybody."""
    return tx.get(Signin, signin_id)


@cache
def _change(names: frozenset[str]) -> Prepared:
    waiting = (Signin.finished_at.is_(None), Signin.expires_at > bindparam("now"))
    changed = update(Signin).where(Signin.id == bindparam("key"), *waiting)
    return Prepared(changed.values({name: bindparam(name) for name in sorted(names)}).returning(Signin.id))


def change(tx: Session, signin_id: str, now: dt.datetime, **facts: object) -> bool:
    """Write down a step (`account_id`, `session_id`, `authenticated_at`, `password_at`, `consented_at`).

    Says whether the sign-in still waited: a step after the end changes nothing.
    """
    return _change(frozenset(facts)).one(tx, {**facts, "key": signin_id, "now": now}) is not None


_FINISH = Prepared(
    update(Signin)
    .where(Signin.id == bindparam("key"), Signin.finished_at.is_(None), Signin.expires_at > bindparam("now"))
    .values(finished_at=bindparam("now"))
    .returning(Signin),
    Signin,
)


def finish(tx: Session, signin_id: str, now: dt.datetime) -> Signin | None:
    """Claim the end of a sign-in: of two requests that both want to answer, one gets it."""
    row = _FINISH.one(tx, {"key": signin_id, "now": now})
    return None if row is None else row[0]
