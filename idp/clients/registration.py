"""What a client must be to be registered (RFC 7591 section 2, RFC 8252, RFC 9700 section 2.6).

Every rule is looked at, and all that is wrong is told at once, in words for whoever registers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from idp.clients import certificate
from idp.clients.client import (
    ACCESS_TOKEN_FORMATS,
    AUTH_METHODS,
    AUTHORIZATION_CODE,
    BASIC,
    CLIENT_CREDENTIALS,
    JWT,
    NONE,
    POST,
    PRIVATE_KEY_JWT,
    REFRESH_TOKEN,
    SELF_SIGNED,
    TLS,
    TLS_METHODS,
    TOKEN_EXCHANGE,
)
from idp.jose.keys import ALGS, KeySet
from idp.jose.strict import JoseError
from idp.protocol import redirect_uri
from idp.store import client as store
from idp.store.digests import digest, new_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from idp.store.database import Session

GRANT_TYPES: Final = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, TOKEN_EXCHANGE)
APPLICATION_TYPES: Final = ("web", "native")
MIN_SECRET: Final = 32
MAX_NAME: Final = 100
# RFC 6749 appendix A.1: VSCHAR; a colon would end the name in HTTP Basic unless every client encodes it.
_CLIENT_ID: Final = re.compile(r"[!-9;-~]{1,100}")
# Accounts are named so in `sub`; a client of that shape could be taken for a person (RFC 9700 section 4.15).
_ACCOUNT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LINKS: Final = ("client_uri", "logo_uri", "policy_uri", "tos_uri")
_SECRET_METHODS: Final = frozenset({BASIC, POST})


class Unregistrable(ValueError):
    """The client cannot be registered; `problems` says all that is wrong, one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A client that somebody wants to register."""

    client_id: str
    name: str
    auth_method: str = BASIC
    grant_types: tuple[str, ...] = (AUTHORIZATION_CODE,)
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    application_type: str = "web"
    require_pkce: bool = True
    require_consent: bool = True
    jwks: Mapping[str, object] | None = None
    id_token_alg: str = "RS256"  # noqa: S105 - an algorithm
    mfa: str = "optional"
    fapi2: bool = False
    dpop_bound: bool = False
    certificate_bound: bool = False
    tls_subject: tuple[str, str] | None = None  # which name of its certificate, and what it says
    access_token_format: str = JWT
    client_uri: str | None = None
    logo_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    # A chosen secret; None lets one be made. Conformance clients may bring weak ones: `any_secret` says so.
    secret: str | None = field(default=None, repr=False)
    any_secret: bool = False

    @property
    def has_secret(self) -> bool:
        """Say whether it proves itself by a secret."""
        return self.auth_method in _SECRET_METHODS


def registered(row: store.Client) -> Registration:
    """Return a client as it would be registered now, to see whether it may be changed."""
    same = ("client_id", "name", "auth_method", "application_type", "require_pkce", "require_consent", "jwks", "mfa")
    more = ("id_token_alg", "fapi2", "dpop_bound", "certificate_bound", "access_token_format")
    lists = ("grant_types", "redirect_uris", "post_logout_redirect_uris")
    facts: dict[str, Any] = {name: getattr(row, name) for name in (*same, *more, *_LINKS)}
    facts |= {name: tuple(getattr(row, name)) for name in lists}
    subject = None if row.tls_subject is None else next((name, str(said)) for name, said in row.tls_subject.items())
    return Registration(tls_subject=subject, **facts)


def problems(wanted: Registration) -> tuple[str, ...]:
    """Return everything that is wrong, in words; nothing when the client may be registered."""
    found = (
        *_names(wanted),
        *_methods(wanted),
        *_certificates(wanted),
        *_grants(wanted),
        *_addresses(wanted),
        *_secret(wanted),
    )
    return tuple(dict.fromkeys(found))


def register(tx: Session, wanted: Registration, now: datetime) -> str | None:
    """Write the client and return its secret, which nobody can read again; None if it has none."""
    wrong = problems(wanted)
    if wrong:
        raise Unregistrable(wrong)
    if store.find(tx, wanted.client_id) is not None:
        raise Unregistrable(("client_id: there is a client of this name already",))
    secret = (wanted.secret or new_secret()) if wanted.has_secret else None
    store.create(
        tx,
        client_id=wanted.client_id,
        name=wanted.name,
        auth_method=wanted.auth_method,
        now=now,
        secret_hash=None if secret is None else digest(secret),
        grant_types=list(wanted.grant_types),
        redirect_uris=list(wanted.redirect_uris),
        post_logout_redirect_uris=list(wanted.post_logout_redirect_uris),
        application_type=wanted.application_type,
        # RFC 9700 section 2.1.1: never off for a client that keeps no secret.
        require_pkce=wanted.require_pkce or wanted.auth_method == NONE or wanted.fapi2,
        require_consent=wanted.require_consent,
        jwks=None if wanted.jwks is None else dict(wanted.jwks),
        id_token_alg=wanted.id_token_alg,
        mfa=wanted.mfa,
        fapi2=wanted.fapi2,
        dpop_bound=wanted.dpop_bound,
        certificate_bound=wanted.certificate_bound,
        tls_subject=None if wanted.tls_subject is None else dict([wanted.tls_subject]),
        access_token_format=wanted.access_token_format,
        client_uri=wanted.client_uri,
        logo_uri=wanted.logo_uri,
        policy_uri=wanted.policy_uri,
        tos_uri=wanted.tos_uri,
    )
    return secret


def _names(wanted: Registration) -> Iterator[str]:
    if _CLIENT_ID.fullmatch(wanted.client_id) is None:
        yield "client_id: write 1 to 100 letters, digits or signs, without space or colon"
    if _ACCOUNT_ID.fullmatch(wanted.client_id):
        yield "client_id: this is how accounts are named; choose another"
    if not 0 < len(wanted.name) <= MAX_NAME or not wanted.name.isprintable():
        yield "name: write 1 to 100 characters that can be shown on a page"


def _methods(wanted: Registration) -> Iterator[str]:
    if wanted.auth_method not in AUTH_METHODS:
        yield f"auth_method: write one of {', '.join(AUTH_METHODS)}"
    if wanted.application_type not in APPLICATION_TYPES:
        yield f"application_type: write one of {', '.join(APPLICATION_TYPES)}"
    if wanted.access_token_format not in ACCESS_TOKEN_FORMATS:
        yield f"access_token_format: write one of {', '.join(ACCESS_TOKEN_FORMATS)}"
    if wanted.id_token_alg not in ALGS:
        yield f"id_token_alg: write one of {', '.join(ALGS)}"
    if wanted.auth_method == PRIVATE_KEY_JWT and wanted.jwks is None:
        yield "jwks: private_key_jwt needs the client's public keys"
    if wanted.jwks is not None and wanted.auth_method != SELF_SIGNED and not _usable(wanted.jwks):
        yield "jwks: write a JWK Set of public keys for RS256, PS256, ES256 or EdDSA"
    if wanted.fapi2 and wanted.auth_method not in {PRIVATE_KEY_JWT, *TLS_METHODS}:
        # FAPI 2.0 Security Profile section 5.3.2.1.
        yield "auth_method: a fapi2 client proves itself by private_key_jwt or a certificate"


def _certificates(wanted: Registration) -> Iterator[str]:
    """RFC 8705 sections 2.1.2 and 2.2.2: one name of an authority's certificate, or the certificates themselves."""
    if (wanted.tls_subject is not None) is not (wanted.auth_method == TLS):
        yield "tls_subject: tls_client_auth, and nothing else, needs one name of the client's certificate"
    elif wanted.tls_subject is not None:
        wrong = certificate.problem(*wanted.tls_subject)
        if wrong is not None:
            yield f"tls_subject: {wrong}"
    if wanted.auth_method == SELF_SIGNED and not certificate.registered(wanted.jwks):
        yield "jwks: self_signed_tls_client_auth needs the client's certificate as x5c of a key"


def _usable(jwks: Mapping[str, object]) -> bool:
    try:
        KeySet.from_remote(jwks)
    except JoseError:
        return False
    return True


def _grants(wanted: Registration) -> Iterator[str]:
    if not set(wanted.grant_types) <= set(GRANT_TYPES):
        yield f"grant_types: write some of {', '.join(GRANT_TYPES)}"
    if CLIENT_CREDENTIALS in wanted.grant_types and wanted.auth_method == NONE:
        # RFC 6749 section 4.4.
        yield "grant_types: client_credentials needs a client that can prove itself"
    if TOKEN_EXCHANGE in wanted.grant_types and wanted.auth_method == NONE:
        # RFC 8693 section 5: whoever swaps tokens has to be known.
        yield "grant_types: token exchange needs a client that can prove itself"
    if REFRESH_TOKEN in wanted.grant_types and AUTHORIZATION_CODE not in wanted.grant_types:
        yield "grant_types: refresh_token comes with authorization_code"
    if AUTHORIZATION_CODE in wanted.grant_types and not wanted.redirect_uris:
        yield "redirect_uris: authorization_code needs one at least"


def _addresses(wanted: Registration) -> Iterator[str]:
    native = wanted.application_type == "native"
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in getattr(wanted, name):
            wrong = redirect_uri.problem(uri, native=native)
            if wrong is not None:
                yield f"{name}: {wrong}"
    for name in _LINKS:
        uri = getattr(wanted, name)
        if uri is not None and not _is_web(uri):
            yield f"{name}: write an https address"


def _is_web(uri: str) -> bool:
    # Shown as links and images: javascript: and data: would run in our pages.
    return redirect_uri.problem(uri, native=False) is None and urlsplit(uri).scheme in {"https", "http"}


def _secret(wanted: Registration) -> Iterator[str]:
    if wanted.secret is None:
        return
    if not wanted.has_secret:
        yield "secret: this auth_method has none"
    elif not wanted.any_secret and len(set(wanted.secret)) < MIN_SECRET // 2:
        yield "secret: too easy to guess; leave it out and one is made"
    elif not wanted.any_secret and len(wanted.secret) < MIN_SECRET:
        yield f"secret: write at least {MIN_SECRET} characters, or leave it out and one is made"
