"""Whether an access token is still good here: tokens are not stored, what ends them is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cache
from typing import TypeGuard

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import event, upsert
from idp.store.account import Account
from idp.store.client import Client
from idp.store.grant import Grant
from idp.store.session import BrowserSession
from idp.store.types import Base, UtcDateTime


class RevokedToken(Base):
    """One access token revoked by itself; forgotten when it would have expired."""

    __tablename__ = "revoked_token"

    jti: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    revoked_at: Mapped[dt.datetime]


def revoke(tx: Session, jti: str, *, expires_at: dt.datetime, now: dt.datetime) -> None:
    """Revoke one access token, here and at gateways; twice is once (RFC 7009 section 2.1)."""
    if put(tx, jti, expires_at=expires_at, now=now):
        tell(tx, jti, expires_at=expires_at, now=now)


def put(tx: Session, jti: str, *, expires_at: dt.datetime, now: dt.datetime) -> bool:
    """Refuse one access token here from now on; say whether that is new."""
    row = {"jti": jti, "expires_at": expires_at, "revoked_at": now}
    statement = upsert.insert(tx, RevokedToken).values(row).on_conflict_do_nothing()
    return tx.scalar(statement.returning(RevokedToken.jti)) is not None


def tell(tx: Session, jti: str, *, expires_at: dt.datetime, now: dt.datetime) -> None:
    """Let gateways refuse it too."""
    event.tell(tx, "token", [jti], now, reason="token revoked", expires_at=expires_at)


def is_revoked(tx: Session, jti: str) -> bool:
    """Say whether a token was revoked by itself."""
    return tx.get(RevokedToken, jti) is not None


def is_live(tx: Session, claims: Mapping[str, object], now: dt.datetime) -> bool:
    """Say in one statement whether nothing has ended a token whose signature and times were checked before.

    A row that is missing ends it as well: what we cannot find we do not vouch for.
    """
    issued_at, jti = claims.get("iat"), claims.get("jti")
    parents = claims.get("parents", [])
    if not isinstance(jti, str) or not isinstance(issued_at, int | float) or not _are_links(parents):
        return False
    clients = {str(each["client_id"]) for each in parents}
    asked = {
        "asked_jti": jti,
        "asked_client": str(claims.get("client_id")),
        "asked_issued": dt.datetime.fromtimestamp(issued_at, dt.UTC),
        "asked_now": now,
        "asked_grant": str(claims.get("grant_id")),
        "asked_account": str(claims.get("sub")),
        "asked_session": str(claims.get("sid")),
        "parent_jtis": [str(each["jti"]) for each in parents],
        "parent_clients": sorted(clients),
        "parent_count": len(clients),
    }
    statement = _question(person="grant_id" in claims, session="sid" in claims, exchanged=bool(parents))
    return tx.connection().scalar(statement, asked) is not None


def _are_links(parents: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(parents, list) and all(
        isinstance(each, dict) and {"jti", "client_id"} <= each.keys() for each in parents
    )


@cache
def _question(*, person: bool, session: bool, exchanged: bool) -> Select[int]:
    """Build the statement for one shape of token. Built once: it is asked at each introspection and userinfo."""
    issued = bindparam("asked_issued", type_=UtcDateTime())
    now = bindparam("asked_now", type_=UtcDateTime())
    conditions: list[ColumnElement[bool]] = [
        ~exists().where(RevokedToken.jti == bindparam("asked_jti")),
        exists().where(Client.client_id == bindparam("asked_client"), *_client_stands(issued)),
    ]
    if person:
        grant = (Grant.id == bindparam("asked_grant"), Grant.revoked_at.is_(None), Grant.expires_at > now)
        account = (
            Account.id == bindparam("asked_account"),
            Account.disabled_at.is_(None),
            or_(Account.not_before.is_(None), Account.not_before <= issued),
        )
        conditions += [exists().where(*grant), exists().where(*account)]
    if session:
        still_open = BrowserSession.ended_at.is_(None)
        conditions.append(exists().where(BrowserSession.id == bindparam("asked_session"), still_open))
    if exchanged:
        # What a token was exchanged from takes it along (RFC 8693 section 5), and so do their clients.
        conditions.append(~exists().where(RevokedToken.jti.in_(bindparam("parent_jtis", expanding=True))))
        standing = select(func.count()).where(
            Client.client_id.in_(bindparam("parent_clients", expanding=True)), *_client_stands(issued)
        )
        conditions.append(standing.scalar_subquery() == bindparam("parent_count", type_=Integer))
    return select(literal_column("1", Integer)).where(*conditions)


def _client_stands(issued: BindParameter[dt.datetime]) -> tuple[ColumnElement[bool], ...]:
    return Client.disabled_at.is_(None), or_(Client.not_before.is_(None), Client.not_before <= issued)
