"""The one place where things are wired: settings in, application out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from idp import assets
from idp.accounts import connectors
from idp.accounts.connectors import Connectors
from idp.accounts.passwords import Passwords
from idp.accounts.sessions import Sessions
from idp.accounts.throttle import Limits, Throttle
from idp.audit.log import AuditLog
from idp.clients import assertion, issuer_api
from idp.clients.authentication import ClientAuthentication
from idp.clients.certificate import Authorities
from idp.clients.client import AUTH_METHODS, NONE, TLS, TLS_METHODS
from idp.clients.directory import ClientDirectory
from idp.endpoints import (
    authorize,
    discovery,
    events,
    federation,
    health,
    introspect,
    jwks,
    logout,
    own_password,
    revoke,
    userinfo,
    ways_in,
)
from idp.endpoints.token import registry
from idp.endpoints.token import views as token
from idp.jose import dpop
from idp.keys.rotation import Keyring
from idp.protocol.dpop import Nonces
from idp.protocol.metadata import ServerFacts
from idp.store import extension
from idp.store.sealed import load_master_key
from idp.web import assets as web_assets
from idp.web import cookies, csrf, errors, headers, logs
from idp.web.client_address import ClientAddress
from idp.web.client_certificate import ClientCertificate
from idp.web.proofs import Proofs
from idp.web.provider import Provider
from idp.web.server import AuthorizationServer
from idp.web.services import EXTENSION, Services
from idp.web.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

    from idp.settings import Settings
    from idp.store.database import Database
    from idp.store.sealed import Sealer

MAX_BODY: Final = 65_536
# One table of addresses: blueprints serve them, discovery tells them.
PATHS: Final[Mapping[str, str]] = {
    "authorize": "/authorize",
    "token": "/token",
    "userinfo": "/userinfo",
    "jwks": "/jwks",
    "introspect": "/introspect",
    "revoke": "/revoke",
    "end_session": "/end_session",
    "events": events.PATH,
}


def utcnow() -> datetime:
    """Return the time, aware and in UTC."""
    return datetime.now(UTC)


def create_app(settings: Settings, *, clock: Callable[[], datetime] = utcnow) -> Flask:
    """Return the provider as a WSGI application."""
    logs.configure(settings.log_level)
    app = Provider(
        issuer=settings.issuer,
        alias=settings.mtls_base_url,
        template_folder=str(assets.folder("templates")),
        static_folder=str(assets.folder("static")),
    )
    sealer = load_master_key(settings.master_key_file)
    _configure(app, sealer)
    db = extension.attach(app, settings.database_url)
    issuer_api.ensure(db, settings.issuer, clock())
    connectors.declare(db, sealer, settings.connectors, clock())
    held = app.extensions[EXTENSION] = _services(settings, db, sealer, clock)
    facts = server_facts(settings)
    errors.init_app(app)
    csrf.init_app(app)
    headers.init_app(app, https=settings.issuer.startswith("https:"))
    web_assets.init_app(app, product=settings.name)
    for blueprint in (
        *authorize.blueprints,
        token.blueprint,
        userinfo.blueprint,
        introspect.blueprint,
        revoke.blueprint,
        events.blueprint,
        jwks.blueprint,
        logout.blueprint,
        federation.blueprint,
        ways_in.blueprint,
        own_password.blueprint,
        health.blueprint,
        discovery.blueprint(facts),
    ):
        app.register_blueprint(blueprint)
    for path, source in {**discovery.sources(facts), PATHS["jwks"]: jwks.source(held)}.items():
        app.publish(path, source)
    return app


def server_facts(settings: Settings) -> ServerFacts:
    """Gather what the metadata tells from the registries that enforce it."""
    methods = tuple(method for method in AUTH_METHODS if method not in _without(settings))
    return ServerFacts(
        issuer=settings.issuer,
        paths=PATHS,
        grant_types=registry.GRANT_TYPES,
        auth_methods=methods,
        introspection_auth_methods=tuple(method for method in methods if method != NONE),
        assertion_algs=assertion.ALGS,
        id_token_algs=tuple(settings.signing_algs),
        dpop_algs=dpop.ALGS,
        certificates=settings.client_certificate_header is not None,
        mtls_base=settings.mtls_base_url,
    )


def _without(settings: Settings) -> frozenset[str]:
    """Name the methods that nobody can use here: no front hands on certificates, or no authority vouches for them."""
    if settings.client_certificate_header is None:
        return frozenset(TLS_METHODS)
    return frozenset({TLS}) if settings.client_ca_file is None else frozenset()


def _configure(app: Flask, sealer: Sealer) -> None:
    app.config.update(
        SECRET_KEY=sealer.derive("flask"),
        SESSION_COOKIE_NAME=cookies.FLOW,
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_MEMORY_SIZE=MAX_BODY,
        MAX_FORM_PARTS=100,
        PROPAGATE_EXCEPTIONS=False,
    )


def _services(settings: Settings, db: Database, sealer: Sealer, clock: Callable[[], datetime]) -> Services:
    clients = ClientDirectory(db, token_lifetime=settings.access_token_lifetime)
    server = AuthorizationServer()
    registry.register(server)
    address = ClientAddress(settings.trusted_proxies, settings.client_address_header)
    origins = tuple(filter(None, (settings.issuer, settings.mtls_base_url)))
    return Services(
        settings=settings,
        db=db,
        sealer=sealer,
        keyring=Keyring(db, sealer, settings),
        clients=clients,
        client_authentication=ClientAuthentication(
            clients,
            db,
            issuer=settings.issuer,
            token_endpoints=[origin + PATHS["token"] for origin in origins],
            authorities=Authorities(settings.client_ca_file),
        ),
        connectors=Connectors(db, sealer),
        passwords=Passwords.from_settings(settings),
        throttle=Throttle(Limits.from_settings(settings)),
        sessions=Sessions.from_settings(db, settings),
        clock=clock,
        server=server,
        audit=AuditLog(clock),
        client_address=address,
        client_certificate=ClientCertificate(address, settings.client_certificate_header),
        proofs=Proofs(Nonces(key=sealer.derive("dpop nonce")), demand_nonce=settings.dpop_nonce, origins=origins),
        tally=Tally(),
    )
