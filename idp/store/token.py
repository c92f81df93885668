"""Whether an access token is still good here: tokens are not stored, what ends them is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.account import Account
from idp.store.client import Client
from idp.store.grant import Grant
from idp.store.session import BrowserSession
from idp.store.types import Base


class RevokedToken(Base):
    """One access token revoked by itself; forgotten when it would have expired."""

    __tablename__ = "revoked_token"

    jti: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    revoked_at: Mapped[dt.datetime]


def revoke(tx: Session, jti: str, *, expires_at: dt.datetime, now: dt.datetime) -> None:
    """Revoke one access token; twice is once (RFC 7009 section 2.1)."""
    row = {"jti": jti, "expires_at": expires_at, "revoked_at": now}
    tx.execute(upsert.insert(tx, RevokedToken).values(row).on_conflict_do_nothing())


def is_live(tx: Session, claims: Mapping[str, object], now: dt.datetime) -> bool:
    """Say in one statement whether nothing has ended a token whose signature and times were checked before.

    A row that is missing ends it as well: what we cannot find we do not vouch for.
    """
    issued_at = claims.get("iat")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not isinstance(issued_at, int | float):
        return False
    issued = dt.datetime.fromtimestamp(issued_at, dt.UTC)
    conditions: list[ColumnElement[bool]] = [
        ~exists().where(RevokedToken.jti == jti),
        exists().where(
            Client.client_id == str(claims.get("client_id")),
            Client.disabled_at.is_(None),
            or_(Client.not_before.is_(None), Client.not_before <= issued),
        ),
    ]
    if "grant_id" in claims:
        conditions += _person(claims, issued, now)
    if "sid" in claims:
        conditions.append(exists().where(BrowserSession.id == str(claims["sid"]), BrowserSession.ended_at.is_(None)))
    return tx.scalar(select(1).where(*conditions)) is not None


def _person(claims: Mapping[str, object], issued: dt.datetime, now: dt.datetime) -> list[ColumnElement[bool]]:
    return [
        exists().where(
            Grant.id == str(claims["grant_id"]),
            Grant.revoked_at.is_(None),
            Grant.expires_at > now,
        ),
        exists().where(
            Account.id == str(claims.get("sub")),
            Account.disabled_at.is_(None),
            or_(Account.not_before.is_(None), Account.not_before <= issued),
        ),
    ]
