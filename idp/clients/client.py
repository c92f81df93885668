"""A client as the rest of the provider sees it: frozen facts, read once from the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from idp.protocol import exchange, redirect_uri
from idp.protocol.params import ClientFacts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from idp.jose.keys import KeySet

BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
PRIVATE_KEY_JWT: Final = "private_key_jwt"
NONE: Final = "none"
TLS: Final = "tls_client_auth"  # by a certificate of an authority (RFC 8705 section 2.1)
SELF_SIGNED: Final = "self_signed_tls_client_auth"  # by a certificate that is registered (section 2.2)
TLS_METHODS: Final = (TLS, SELF_SIGNED)
AUTH_METHODS: Final = (BASIC, POST, PRIVATE_KEY_JWT, *TLS_METHODS, NONE)

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - a grant type
CLIENT_CREDENTIALS: Final = "client_credentials"
TOKEN_EXCHANGE: Final = exchange.GRANT_TYPE

JWT: Final = "jwt"  # an access token that says everything by itself (RFC 9068)
REFERENCE: Final = "reference"  # one that says nothing: whoever needs to know introspects it
ACCESS_TOKEN_FORMATS: Final = (JWT, REFERENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One resource server, and what this client may ask of it."""

    audience: str
    name: str
    builtin: bool
    token_lifetime: timedelta
    signing_alg: str
    mfa: str
    scopes: frozenset[str]
    roles: frozenset[str] = frozenset()  # its own, for when it acts for itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Everything the rules ask about a client (RFC 7591 section 2)."""

    id: str
    client_id: str
    name: str
    auth_method: str
    grant_types: frozenset[str]
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    application_type: str = "web"
    require_pkce: bool = True
    require_consent: bool = True
    fapi2: bool = False
    dpop_bound: bool = False  # dpop_bound_access_tokens (RFC 9449 section 5.2)
    certificate_bound: bool = False  # tls_client_certificate_bound_access_tokens (RFC 8705 section 3.4)
    tls_subject: tuple[str, str] | None = None  # which name of a certificate is its own, and what it says
    certificates: frozenset[str] = frozenset()  # thumbprints of its own, self-signed ones
    access_token_format: str = JWT
    reviewed: bool = True
    mfa: str = "optional"
    default_acr_values: tuple[str, ...] = ()
    id_token_alg: str = "RS256"  # noqa: S105 - an algorithm
    secret_hash: bytes | None = field(default=None, repr=False)
    keys: KeySet | None = field(default=None, repr=False)
    client_uri: str | None = None
    logo_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    version: int = 1
    apis: Mapping[str, Api] = field(default_factory=lambda: MappingProxyType({}))
    # What it may have in its own name (client_credentials): scopes by audience, sorted once when it is read.
    own: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    serves: frozenset[str] = frozenset()  # audiences it is a resource client of

    @property
    def public(self) -> bool:
        """Say whether the client cannot keep a secret (RFC 6749 section 2.1)."""
        return self.auth_method == NONE

    @property
    def asymmetric(self) -> bool:
        """Say whether it authenticates by a private key, which nobody who was shown anything can have."""
        return self.auth_method in {PRIVATE_KEY_JWT, *TLS_METHODS}

    @property
    def native(self) -> bool:
        """Say whether it runs on the person's device (RFC 8252)."""
        return self.application_type == "native"

    @property
    def pkce_required(self) -> bool:
        """Say whether a code challenge is demanded: always of public and fapi2 clients (RFC 9700 section 2.1.1)."""
        return self.require_pkce or self.public or self.fapi2

    @property
    def scopes(self) -> Mapping[str, frozenset[str]]:
        """Return what it may ask for, by audience."""
        return {audience: api.scopes for audience, api in self.apis.items()}

    @property
    def facts(self) -> ClientFacts:
        """Return what parsing an authorization request needs."""
        return ClientFacts(may_use_code=AUTHORIZATION_CODE in self.grant_types, require_pkce=self.pkce_required)

    def has_redirect_uri(self, presented: str) -> bool:
        """Say whether an answer may go there (OpenID Connect Core section 3.1.2.1)."""
        return redirect_uri.matches(self.redirect_uris, presented, native=self.native)
