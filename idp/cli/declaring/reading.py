"""gateway.toml as a declaration: APIs, scopes, roles, what the gateway is and may do at the provider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from idp.cli.api import AUDIENCE
from idp.clients.client import BASIC, PRIVATE_KEY_JWT, TOKEN_EXCHANGE
from idp.clients.declaration import model
from idp.clients.declaration.model import Declaration, Undeclarable
from idp.clients.declaration.present import key_names
from idp.clients.registration import MIN_SECRET, Registration
from idp.gateway.client import Key, Secret, Unusable
from idp.gateway.config import ClientConfig, Config, IssuerConfig, Route
from idp.gateway.exchange.model import Exchange
from idp.gateway.policy.model import Condition, Not, RoleAll, RoleAny, Scope, parts
from idp.protocol.scope import OIDC, TOKEN
from idp.store.declared import Item
from idp.store.digests import digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A declaration, and what could not become part of it."""

    declaration: Declaration
    notes: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Api:
    """What the routes of one audience name."""

    scopes: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)


def read(config: Config, *, provider: str, name: str | None, jwks: Mapping[str, object] | None) -> Read:
    """Read what a file declares for one provider. Undeclarable, with everything that is wrong."""
    issuers = [issuer for issuer in config.issuers if issuer.issuer == provider]
    if not issuers:
        raise Undeclarable(f"the file believes no tokens of this provider, {provider}")
    names = {issuer.name for issuer in issuers}
    routes = [route for route in config.routes if route.issuer in names]
    client = _client(issuers)
    called = name or (client.id if client else None)
    if called is None:
        raise Undeclarable("the file names no client of its own: say by --name under which name it is remembered")
    apis = _apis(config, routes)
    unsaid = {route.exchange.audience for route in routes if route.exchange is not None and not route.exchange.scopes}
    foreign = [f'route "{route.id}" is for another provider' for route in config.routes if route.issuer not in names]
    open_ended = [f"an exchange for {audience} names no scope: none is allowed by it" for audience in sorted(unsaid)]
    notes = (*foreign, *open_ended, *_unplaced(config, apis))
    _check(apis, provider)
    items: dict[Item, Mapping[str, object]] = {}
    for audience, api in apis.items():
        items.update({item: {} for item in _items(config, audience, api)})
    registration = None
    if client is not None:
        facts, registration = _registration(client, jwks)
        items[model.CLIENT, client.id] = facts
        items.update({(model.SERVES, route.audience, client.id): {} for route in routes})
        items.update(_exchanges(client.id, routes))
    return Read(declaration=Declaration(name=called, items=items, client=registration), notes=notes)


def _client(issuers: Iterable[IssuerConfig]) -> ClientConfig | None:
    found = {issuer.client.id: issuer.client for issuer in issuers if issuer.client is not None}
    if len(found) > 1:
        raise Undeclarable("the file has several clients at this provider")
    return next(iter(found.values()), None)


def _apis(config: Config, routes: Iterable[Route]) -> dict[str, _Api]:
    """Gather what is asked for at each audience; a role belongs where a route names it or one of its scopes."""
    apis: dict[str, _Api] = {}
    for route in routes:
        api = apis.setdefault(route.audience, _Api())
        api.scopes |= route.require.scopes
        api.roles |= route.require.role_any | route.require.role_all
        for condition in _asked(route.when):
            if isinstance(condition, Scope):
                api.scopes |= condition.names
            elif isinstance(condition, RoleAny | RoleAll):
                api.roles |= condition.names
        if route.exchange is not None:
            apis.setdefault(route.exchange.audience, _Api()).scopes |= route.exchange.scopes
    for role, scopes in config.roles.items():
        for api in apis.values():
            if api.scopes & scopes:
                api.roles.add(role)
        named = [api for api in apis.values() if role in api.roles]
        if len(named) == 1:  # a scope that no route names belongs where its role does, if that is one place
            known = {scope for api in apis.values() for scope in api.scopes}
            named[0].scopes |= scopes - known
    return apis


def _exchanges(client_id: str, routes: Iterable[Route]) -> dict[Item, Mapping[str, object]]:
    """Say which exchanges the gateway needs: one permission for each target, wide enough for all its routes."""
    wanted: dict[str, list[Exchange]] = {}
    for route in routes:
        if route.exchange is not None:
            wanted.setdefault(route.exchange.audience, []).append(route.exchange)
    items: dict[Item, Mapping[str, object]] = {}
    for audience, exchanges in wanted.items():
        items[model.EXCHANGE, audience, client_id] = {
            "scopes": sorted({scope for each in exchanges for scope in each.scopes}),
            "max_ttl": max(ceil(each.ttl) for each in exchanges),
            "delegation": any(each.actor == "gateway" for each in exchanges),
            "impersonation": any(each.actor == "none" for each in exchanges),
            "mode": "narrow" if any(each.mode == "narrow" for each in exchanges) else "refuse",
        }
    if items:
        items[model.MAY, client_id, TOKEN_EXCHANGE] = {}
    return items


def _asked(conditions: Iterable[Condition]) -> Iterator[Condition]:
    for condition in conditions:
        if not isinstance(condition, Not):  # what somebody must not have need not exist
            yield condition
            yield from _asked(parts(condition))


def _unplaced(config: Config, apis: Mapping[str, _Api]) -> Iterator[str]:
    known = {scope for api in apis.values() for scope in api.scopes}
    for role, scopes in config.roles.items():
        if not any(role in api.roles for api in apis.values()):
            yield f"role {role} belongs to no API: no route names it or one of its scopes"
        for scope in sorted(scopes - known):
            yield f"scope {scope} of role {role} belongs to no single API: name it in a route"


def _check(apis: Mapping[str, _Api], provider: str) -> None:
    wrong = []
    for audience, api in apis.items():
        if not AUDIENCE.fullmatch(audience) or "#" in audience:
            wrong.append(f"audience {audience}: the provider takes an absolute URI without fragment")
        wrong += [f"scope {scope} of {audience}: no scope" for scope in api.scopes if not TOKEN.fullmatch(scope)]
        if audience != provider:
            wrong += [
                f"scope {scope} of {audience}: belongs to the provider"
                for scope in sorted(api.scopes.intersection(OIDC))
            ]
    if wrong:
        raise Undeclarable("\n".join(wrong))


def _items(config: Config, audience: str, api: _Api) -> Iterator[Item]:
    yield model.API, audience
    yield from ((model.SCOPE, audience, scope) for scope in api.scopes)
    for role in api.roles:
        yield model.ROLE, audience, role
        granted = config.roles.get(role, frozenset()) & api.scopes
        yield from ((model.GRANTS, audience, role, scope) for scope in granted)


def _registration(
    client: ClientConfig, jwks: Mapping[str, object] | None
) -> tuple[dict[str, object], Registration | None]:
    """Say how the gateway proves itself, as far as the file with its key or secret can be read here."""
    facts: dict[str, Any] = {"auth_method": BASIC if client.key_file is None else PRIVATE_KEY_JWT}
    file = client.key_file or client.secret_file
    if jwks is None and (file is None or not file.exists()):
        return facts, None  # what proves it is on another machine: then that is not compared
    secret = None
    try:
        if client.secret_file is not None:
            secret = Secret.read(client.id, client.secret_file).secret
        elif client.key_file is not None and jwks is None:
            jwks = {"keys": [Key.read(client.id, client.key_file, client.alg).key.public_jwk()]}
    except Unusable as unusable:
        raise Undeclarable(str(unusable)) from None
    if client.key_file is not None:
        facts["keys"] = key_names(jwks)
    elif secret is not None:
        if len(secret) < MIN_SECRET:
            raise Undeclarable(f"{client.secret_file}: the provider takes secrets of at least {MIN_SECRET} characters")
        facts["secret"] = digest(secret).hex()
    registration = Registration(
        client_id=client.id,
        name=client.id,
        auth_method=facts["auth_method"],
        grant_types=(),
        jwks=jwks if client.key_file is not None else None,
        secret=secret,
    )
    return facts, registration
