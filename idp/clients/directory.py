"""Finding clients: from the store, kept for a second, so that a busy client costs no statement."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from idp.clients import certificate
from idp.clients.client import SELF_SIGNED, Api, Client
from idp.jose.keys import KeySet
from idp.jose.strict import JoseError
from idp.store import api as api_store
from idp.store import client as client_store
from idp.store import role as role_store

if TYPE_CHECKING:
    from datetime import datetime

    from idp.store.database import Database, Session

KEPT: Final = timedelta(seconds=1)  # LG23: what is switched off is dead within a second, on every worker
MOST: Final = 10_000


class ClientDirectory:
    """Clients by their public identifier; disabled ones are not found."""

    def __init__(self, db: Database, *, token_lifetime: timedelta) -> None:
        self._db = db
        self._token_lifetime = token_lifetime
        self._kept: dict[str, tuple[datetime, Client]] = {}

    def find(self, client_id: str, now: datetime) -> Client | None:
        """Return a live client, at most a second old. Unknown names are asked for each time: none fill the memory."""
        kept = self._kept.get(client_id)
        if kept is not None and kept[0] <= now < kept[0] + KEPT:
            return kept[1]
        with self._db.read() as tx:
            found = load(tx, client_id, self._token_lifetime)
        if found is None:
            self._kept.pop(client_id, None)
            return None
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[client_id] = (now, found)
        return found

    def forget(self) -> None:
        """Read everything anew; for whoever has just changed a client."""
        self._kept.clear()


def load(tx: Session, client_id: str, token_lifetime: timedelta) -> Client | None:
    """Read a client with its APIs, scopes and roles."""
    row = client_store.find(tx, client_id)
    if row is None or row.disabled_at is not None:
        return None
    apis = _apis(tx, client_id, token_lifetime)
    return Client(
        id=row.id,
        client_id=row.client_id,
        name=row.name,
        auth_method=row.auth_method,
        grant_types=frozenset(row.grant_types),
        redirect_uris=tuple(row.redirect_uris),
        post_logout_redirect_uris=tuple(row.post_logout_redirect_uris),
        application_type=row.application_type,
        require_pkce=row.require_pkce,
        require_consent=row.require_consent,
        fapi2=row.fapi2,
        dpop_bound=row.dpop_bound,
        certificate_bound=row.certificate_bound,
        tls_subject=_tls_subject(row.tls_subject),
        certificates=certificate.registered(row.jwks) if row.auth_method == SELF_SIGNED else frozenset(),
        access_token_format=row.access_token_format,
        reviewed=row.reviewed,
        mfa=row.mfa,
        default_acr_values=tuple(row.default_acr_values),
        id_token_alg=row.id_token_alg,
        secret_hash=row.secret_hash,
        keys=_keys(row.jwks),
        client_uri=row.client_uri,
        logo_uri=row.logo_uri,
        policy_uri=row.policy_uri,
        tos_uri=row.tos_uri,
        version=row.version,
        apis=MappingProxyType(apis),
        own=MappingProxyType({name: tuple(sorted(api.scopes)) for name, api in apis.items() if not api.builtin}),
        serves=api_store.served_by(tx, client_id),
    )


def _apis(tx: Session, client_id: str, token_lifetime: timedelta) -> dict[str, Api]:
    scopes = client_store.scopes(tx, client_id)
    # One look for each of its few APIs: how many others there are makes no difference.
    rows = [row for audience in sorted(scopes) if (row := api_store.find(tx, audience)) is not None]
    return {
        row.audience: api_facts(
            row,
            scopes[row.audience],
            token_lifetime,
            roles=frozenset(name for name, _, _ in role_store.of_client(tx, client_id, row.audience)),
        )
        for row in rows
    }


def api_facts(
    row: api_store.Api, scopes: frozenset[str], token_lifetime: timedelta, *, roles: frozenset[str] = frozenset()
) -> Api:
    """Read an API as a client sees it; its own lifetime of tokens comes before the usual one."""
    return Api(
        audience=row.audience,
        name=row.name,
        builtin=row.builtin,
        token_lifetime=timedelta(seconds=row.token_lifetime) if row.token_lifetime else token_lifetime,
        signing_alg=row.signing_alg,
        mfa=row.mfa,
        scopes=scopes,
        roles=roles,
    )


def _tls_subject(kept: dict[str, object] | None) -> tuple[str, str] | None:
    return None if kept is None else next((name, str(value)) for name, value in kept.items())


def _keys(jwks: dict[str, object] | None) -> KeySet | None:
    if jwks is None:
        return None
    try:
        return KeySet.from_remote(jwks)
    except JoseError:
        # Registration refuses such a set; if one is there all the same, the client cannot authenticate.
        return None
