"""APIs (resource servers): their audience, scopes, and the clients that serve them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, bindparam, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import upsert
from idp.store.ids import new_id
from idp.store.types import MFA_CHOICES, Base


class Api(Base):
    """One audience. The built-in one is the issuer itself and owns the OpenID Connect scopes.

    `token_lifetime` is in seconds; None means the setting `access_token_lifetime`.
    """

    __tablename__ = "api"
    __table_args__ = (CheckConstraint(MFA_CHOICES, name="mfa"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    audience: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    builtin: Mapped[bool] = mapped_column(default=False)
    token_lifetime: Mapped[int | None]
    signing_alg: Mapped[str] = mapped_column(default="ES256")
    mfa: Mapped[str] = mapped_column(default="optional")
    created_at: Mapped[dt.datetime]


class ApiScope(Base):
    """A scope of one API; the same word at another API is another scope."""

    __tablename__ = "api_scope"
    __table_args__ = (UniqueConstraint("api_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    api_id: Mapped[str] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")


class ApiResourceClient(Base):
    """A client that serves this API: it may introspect and exchange the tokens it receives."""

    __tablename__ = "api_resource_client"

    api_id: Mapped[str] = mapped_column(ForeignKey("api.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[str] = mapped_column(
        ForeignKey("client.client_id", ondelete="CASCADE"), primary_key=True, index=True
    )


def create(
    tx: Session,
    *,
    audience: str,
    name: str,
    now: dt.datetime,
    builtin: bool = False,
    token_lifetime: int | None = None,
    signing_alg: str = "ES256",
    mfa: str = "optional",
) -> Api:
    """Insert an API."""
    api = Api(
        id=new_id(),
        audience=audience,
        name=name,
        builtin=builtin,
        token_lifetime=token_lifetime,
        signing_alg=signing_alg,
        mfa=mfa,
        created_at=now,
    )
    tx.add(api)
    tx.flush()
    return api


def find(tx: Session, audience: str) -> Api | None:
    """Return the API of an audience."""
    return tx.scalars(select(Api).where(Api.audience == audience)).one_or_none()


def listing(tx: Session) -> Sequence[Api]:
    """Return every API by audience."""
    return tx.scalars(select(Api).order_by(Api.audience)).all()


def remove(tx: Session, api_id: str) -> None:
    """Delete an API with its scopes, its roles and every permission for it."""
    tx.execute(delete(Api).where(Api.id == api_id))


def add_scope(tx: Session, api_id: str, name: str, description: str = "") -> ApiScope:
    """Insert a scope."""
    scope = ApiScope(id=new_id(), api_id=api_id, name=name, description=description)
    tx.add(scope)
    tx.flush()
    return scope


def scopes(tx: Session, api_id: str) -> Sequence[ApiScope]:
    """Return the scopes of an API by name."""
    return tx.scalars(select(ApiScope).where(ApiScope.api_id == api_id).order_by(ApiScope.name)).all()


def find_scope(tx: Session, api_id: str, name: str) -> ApiScope | None:
    """Return one scope of an API."""
    return tx.scalars(select(ApiScope).where(ApiScope.api_id == api_id, ApiScope.name == name)).one_or_none()


def remove_scope(tx: Session, scope_id: str) -> None:
    """Delete a scope; no role grants it and no client may ask for it any longer."""
    tx.execute(delete(ApiScope).where(ApiScope.id == scope_id))


# Built once: asked for each sign-in.
_KNOWN = (
    select(ApiScope.name, Api.audience, ApiScope.description)
    .join(Api, Api.id == ApiScope.api_id)
    .where(ApiScope.name.in_(bindparam("names", expanding=True)))
)


def known_scopes(tx: Session, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return, for each of these words that is a scope anywhere, its (audience, description) pairs."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, audience, description in tx.execute(_KNOWN, {"names": list(names)}):
        found.setdefault(name, []).append((audience, description))
    return found


def add_resource_client(tx: Session, api_id: str, client_id: str) -> None:
    """Let a client serve this API; twice is once."""
    row = {"api_id": api_id, "client_id": client_id}
    tx.execute(upsert.insert(tx, ApiResourceClient).values(row).on_conflict_do_nothing())


def remove_resource_client(tx: Session, api_id: str, client_id: str) -> None:
    """A client no longer serves this API."""
    matching = (ApiResourceClient.api_id == api_id, ApiResourceClient.client_id == client_id)
    tx.execute(delete(ApiResourceClient).where(*matching))


def resource_clients(tx: Session, api_id: str) -> Sequence[str]:
    """Return the clients that serve an API."""
    return tx.scalars(select(ApiResourceClient.client_id).where(ApiResourceClient.api_id == api_id)).all()


def serves(tx: Session, client_id: str, audience: str) -> bool:
    """Say whether a client is a resource client of the API with this audience."""
    joined = select(Api.id).join(ApiResourceClient, ApiResourceClient.api_id == Api.id)
    matching = (Api.audience == audience, ApiResourceClient.client_id == client_id)
    return tx.scalar(joined.where(*matching)) is not None


def served_by(tx: Session, client_id: str) -> frozenset[str]:
    """Return the audiences a client serves."""
    joined = select(Api.audience).join(ApiResourceClient, ApiResourceClient.api_id == Api.id)
    return frozenset(tx.scalars(joined.where(ApiResourceClient.client_id == client_id)))
