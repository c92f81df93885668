"""Clients: the applications. Everywhere else `client_id` is the public identifier kept here, never `client.id`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, delete, false, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import event, upsert
from idp.store.api import Api, ApiScope
from idp.store.ids import new_id
from idp.store.types import MFA_CHOICES, Base, JsonList, JsonObject

# A worker that still holds its copy of a client issues tokens by it for a second more.
CACHED: Final = dt.timedelta(seconds=3)


class Client(Base):
    """One application and everything it is allowed. `version` grows with every change."""

    __tablename__ = "client"
    __table_args__ = (
        CheckConstraint("application_type IN ('web', 'native')", name="application_type"),
        CheckConstraint(MFA_CHOICES, name="mfa"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    auth_method: Mapped[str]
    secret_hash: Mapped[bytes | None]
    redirect_uris: Mapped[JsonList] = mapped_column(default=list)
    post_logout_redirect_uris: Mapped[JsonList] = mapped_column(default=list)
    grant_types: Mapped[JsonList] = mapped_column(default=list)
    require_pkce: Mapped[bool] = mapped_column(default=True)
    application_type: Mapped[str] = mapped_column(default="web")
    jwks: Mapped[JsonObject | None]
    jwks_uri: Mapped[str | None]
    id_token_alg: Mapped[str] = mapped_column(default="RS256")
    require_consent: Mapped[bool] = mapped_column(default=True)
    access_token_format: Mapped[str] = mapped_column(default="jwt", server_default="jwt")
    mfa: Mapped[str] = mapped_column(default="optional")
    default_acr_values: Mapped[JsonList] = mapped_column(default=list)
    fapi2: Mapped[bool] = mapped_column(default=False)
    dpop_bound: Mapped[bool] = mapped_column(default=False, server_default=false())
    certificate_bound: Mapped[bool] = mapped_column(default=False, server_default=false())
    tls_subject: Mapped[JsonObject | None]
    reviewed: Mapped[bool] = mapped_column(default=True)
    logo_uri: Mapped[str | None]
    policy_uri: Mapped[str | None]
    tos_uri: Mapped[str | None]
    client_uri: Mapped[str | None]
    disabled_at: Mapped[dt.datetime | None]
    not_before: Mapped[dt.datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


class ClientScope(Base):
    """A scope that a client may ask for; OpenID Connect's own belong to the built-in API."""

    __tablename__ = "client_scope"

    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id", ondelete="CASCADE"), primary_key=True)
    scope_id: Mapped[str] = mapped_column(ForeignKey("api_scope.id", ondelete="CASCADE"), primary_key=True, index=True)


def create(tx: Session, *, client_id: str, name: str, auth_method: str, now: dt.datetime, **facts: object) -> Client:
    """Insert a client; `facts` are further columns, validated by whoever registers it."""
    client = Client(
        id=new_id(),
        client_id=client_id,
        name=name,
        auth_method=auth_method,
        created_at=now,
        updated_at=now,
        **facts,
    )
    tx.add(client)
    tx.flush()
    return client


def find(tx: Session, client_id: str) -> Client | None:
    """Return a client by its public identifier, disabled or not."""
    return tx.scalars(select(Client).where(Client.client_id == client_id)).one_or_none()


def listing(tx: Session) -> Sequence[Client]:
    """Return every client by its public identifier."""
    return tx.scalars(select(Client).order_by(Client.client_id)).all()


def change(tx: Session, client_id: str, now: dt.datetime, facts: Mapping[str, object]) -> bool:
    """Change some columns; say whether the client is there."""
    statement = update(Client).where(Client.client_id == client_id)
    values = {**facts, "updated_at": now, "version": Client.version + 1}
    return tx.scalar(statement.values(values).returning(Client.id)) is not None


def disable(tx: Session, client_id: str, now: dt.datetime) -> bool:
    """Close a client: its tokens are no longer live."""
    tell(tx, client_id, now, reason="client disabled")
    return change(tx, client_id, now, {"disabled_at": now, "not_before": now.replace(microsecond=0)})


def enable(tx: Session, client_id: str, now: dt.datetime) -> bool:
    """Open a client again; tokens of before stay void."""
    return change(tx, client_id, now, {"disabled_at": None})


def void(tx: Session, client_id: str, now: dt.datetime, *, reason: str) -> None:
    """Void the tokens that a client has by now, here and at gateways."""
    tell(tx, client_id, now, reason=reason)
    change(tx, client_id, now, {"not_before": now.replace(microsecond=0) + CACHED})


def remove(tx: Session, client_id: str, now: dt.datetime) -> bool:
    """Delete a client and everything that hangs on it."""
    tell(tx, client_id, now, reason="client removed")
    return tx.scalar(delete(Client).where(Client.client_id == client_id).returning(Client.id)) is not None


def allow_scope(tx: Session, client_id: str, scope_id: str) -> None:
    """Let a client ask for a scope; twice is once."""
    row = {"client_id": client_id, "scope_id": scope_id}
    tx.execute(upsert.insert(tx, ClientScope).values(row).on_conflict_do_nothing())


def refuse_scope(tx: Session, client_id: str, scope_id: str) -> bool:
    """A client may no longer ask for a scope; say whether it could. `taking` tells gateways as well."""
    gone = delete(ClientScope).where(ClientScope.client_id == client_id, ClientScope.scope_id == scope_id)
    return tx.scalar(gone.returning(ClientScope.scope_id)) is not None


def scopes(tx: Session, client_id: str) -> dict[str, frozenset[str]]:
    """Return what a client may ask for, by audience, in one statement."""
    statement = (
        select(Api.audience, ApiScope.name)
        .join(ApiScope, ApiScope.api_id == Api.id)
        .join(ClientScope, ClientScope.scope_id == ApiScope.id)
        .where(ClientScope.client_id == client_id)
    )
    found: dict[str, set[str]] = {}
    for audience, name in tx.execute(statement):
        found.setdefault(audience, set()).add(name)
    return {audience: frozenset(names) for audience, names in found.items()}


def tell(tx: Session, client_id: str, now: dt.datetime, *, reason: str) -> None:
    """Let gateways refuse the tokens of a client that it has by now, whoever they are about."""
    moment = now.replace(microsecond=0) + CACHED
    event.tell(tx, "client", [client_id], now, reason=reason, not_before=moment)
