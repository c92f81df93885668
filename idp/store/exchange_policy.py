"""Which client may exchange tokens for which API, and how far (RFC 8693 section 5): nothing is allowed by default."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Select, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.api import Api
from idp.store.ids import new_id
from idp.store.types import Base, JsonList

# What becomes of scopes beyond what may be had.
REFUSE: Final = "refuse"
NARROW: Final = "narrow"


class ExchangePolicy(Base):
    """One client and one target. `may_act` is who alone may act with the result; `max_ttl` is in seconds."""

    __tablename__ = "exchange_policy"
    __table_args__ = (
        UniqueConstraint("client_id", "api_id"),
        CheckConstraint("require_acr IN ('aal1', 'aal2', 'aal3')", name="require_acr"),
        CheckConstraint("max_ttl > 0", name="max_ttl"),
        CheckConstraint("mode IN ('refuse', 'narrow')", name="mode"),
        CheckConstraint("per_minute > 0", name="per_minute"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id", ondelete="CASCADE"))
    api_id: Mapped[str] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), index=True)
    allowed_scopes: Mapped[JsonList]
    allow_impersonation: Mapped[bool] = mapped_column(default=False)
    allow_delegation: Mapped[bool] = mapped_column(default=False)
    require_may_act: Mapped[bool] = mapped_column(default=False)
    may_act: Mapped[str | None]
    max_ttl: Mapped[int | None]
    require_acr: Mapped[str | None]
    mode: Mapped[str] = mapped_column(default=REFUSE)
    per_minute: Mapped[int | None]
    owner: Mapped[str | None]
    review_by: Mapped[dt.date | None]
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]

    def overdue(self, today: dt.date) -> bool:
        """Say whether its review is due."""
        return self.review_by is not None and self.review_by < today


def put(tx: Session, *, client_id: str, api_id: str, now: dt.datetime, **facts: object) -> None:
    """Write the policy of a client and a target; one that is there is replaced whole."""
    row = {"id": new_id(), "client_id": client_id, "api_id": api_id, "created_at": now, "updated_at": now, **facts}
    kept = {name: value for name, value in row.items() if name not in {"id", "client_id", "api_id", "created_at"}}
    statement = upsert.insert(tx, ExchangePolicy).values(row)
    tx.execute(statement.on_conflict_do_update(index_elements=["client_id", "api_id"], set_=kept))


def find(tx: Session, client_id: str, audience: str) -> ExchangePolicy | None:
    """Return the policy of a client for a target."""
    chosen = select(ExchangePolicy).join(Api, Api.id == ExchangePolicy.api_id)
    chosen = chosen.where(ExchangePolicy.client_id == client_id, Api.audience == audience)
    return tx.scalars(chosen.execution_options(populate_existing=True)).one_or_none()


def of_client(tx: Session, client_id: str) -> Sequence[tuple[ExchangePolicy, Api]]:
    """Return every policy of a client with its target, by audience."""
    return _rows(tx, _WITH_TARGET.where(ExchangePolicy.client_id == client_id))


def listing(tx: Session) -> Sequence[tuple[ExchangePolicy, Api]]:
    """Return every policy with its target, by client and audience."""
    return _rows(tx, _WITH_TARGET)


def remove(tx: Session, client_id: str, api_id: str) -> bool:
    """Take a policy away; say whether it was there."""
    gone = delete(ExchangePolicy).where(ExchangePolicy.client_id == client_id, ExchangePolicy.api_id == api_id)
    return tx.scalar(gone.returning(ExchangePolicy.id)) is not None


_WITH_TARGET = (
    select(ExchangePolicy, Api)
    .join(Api, Api.id == ExchangePolicy.api_id)
    .order_by(ExchangePolicy.client_id, Api.audience)
)


def _rows(tx: Session, chosen: Select[ExchangePolicy, Api]) -> Sequence[tuple[ExchangePolicy, Api]]:
    return [(row[0], row[1]) for row in tx.execute(chosen)]
