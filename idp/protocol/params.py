"""Requests at /authorize and /token, parsed once into frozen values (RFC 6749, OpenID Connect Core section 3.1.2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlsplit

from idp.protocol import dpop, exchange, form, pkce, prompt, scope
from idp.protocol.claims import ClaimsRequest
from idp.protocol.errors import (
    InvalidRequest,
    InvalidTarget,
    RegistrationNotSupported,
    RequestNotSupported,
    RequestUriNotSupported,
    UnsupportedResponseType,
)
from idp.protocol.form import Pairs

__all__ = [
    "AuthorizeRequest",
    "AuthorizeTarget",
    "ClientFacts",
    "Pairs",
    "TokenRequest",
]

RESPONSE_MODES = frozenset({"query"})
DISPLAYS = frozenset({"page", "popup", "touch", "wap"})
SECONDS = re.compile(r"[0-9]{1,9}")
MAX_RESOURCES = 10
# RFC 8693 section 2.1: what else may come more than once, by grant type.
MANY: Mapping[str, frozenset[str]] = {exchange.GRANT_TYPE: frozenset({"audience"})}
# OpenID Connect Core sections 6.1, 6.2 and 7.2.1: each has its own refusal.
UNSUPPORTED = (
    ("request", RequestNotSupported("request objects are not supported")),
    ("request_uri", RequestUriNotSupported("request_uri is not supported")),
    ("registration", RegistrationNotSupported("registration is not supported")),
)
KNOWN = frozenset({
    "acr_values", "audience", "claims", "client_id", "code_challenge", "code_challenge_method", "display",
    "dpop_jkt", "id_token_hint", "login_hint", "max_age", "nonce", "prompt", "redirect_uri", "response_mode",
    "response_type", "scope", "state", "ui_locales",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeTarget:
    """Where an answer would go: what decides between an error page and a redirect."""

    client_id: str
    redirect_uri: str
    state: str | None

    @classmethod
    def parse(cls, pairs: Pairs) -> AuthorizeTarget:
        """Read the target alone; whatever raises here must end on a page (RFC 6749 section 4.1.2.1)."""
        again = form.repeated(pairs)
        if again & {"client_id", "redirect_uri"}:
            raise InvalidRequest("client_id and redirect_uri may come only once")
        values = form.single(pairs)
        client_id, redirect_uri = values.get("client_id"), values.get("redirect_uri")
        if client_id is None:
            raise InvalidRequest("client_id is missing")
        if redirect_uri is None:
            raise InvalidRequest("redirect_uri is missing")
        form.refuse_misfits(values, frozenset({"client_id", "redirect_uri"}))
        state = values.get("state")
        # A state that is repeated or unfit is not echoed: there is no one value to echo.
        usable = state is not None and form.fits("state", state)
        return cls(
            client_id=client_id,
            redirect_uri=redirect_uri,
            state=state if usable else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """What the rules need to know of a client."""

    may_use_code: bool
    require_pkce: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeRequest:
    """An authorization request whose every value is known to be well formed."""

    client_id: str
    redirect_uri: str
    response_type: str
    response_mode: str
    scope: tuple[str, ...]
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None
    dpop_jkt: str | None = None  # the key to which the code is bound (RFC 9449 section 10)
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str | None = None
    id_token_hint: str | None = None
    acr_values: tuple[str, ...] = ()
    ui_locales: tuple[str, ...] = ()
    display: str | None = None
    claims: ClaimsRequest = field(default_factory=ClaimsRequest)
    resources: tuple[str, ...] = ()
    audience: str | None = None
    # Whom a verified id_token_hint names; never a parameter. The hint itself is not kept.
    subject: str | None = None

    @classmethod
    def parse(cls, pairs: Pairs, client: ClientFacts) -> AuthorizeRequest:
        """Read everything; whatever raises here may go back to the registered URI."""
        if form.repeated(pairs):
            # RFC 6749 section 3.1: parameters must not come more than once.
            raise InvalidRequest("a parameter came more than once")
        values = form.single(pairs)
        form.refuse_misfits(values, KNOWN)
        for name, refusal in UNSUPPORTED:
            if name in values:
                raise type(refusal)(refusal.description)
        _check_response(values, client)
        pkce.check_request(
            values.get("code_challenge"),
            values.get("code_challenge_method"),
            required=client.require_pkce,
        )
        return cls(
            client_id=values["client_id"],
            redirect_uri=values["redirect_uri"],
            response_type=values["response_type"],
            response_mode="query",
            scope=scope.parse(values.get("scope")),
            state=values.get("state"),
            nonce=values.get("nonce"),
            code_challenge=values.get("code_challenge"),
            code_challenge_method=values.get("code_challenge_method"),
            dpop_jkt=_thumbprint(values.get("dpop_jkt")),
            prompt=prompt.parse(values.get("prompt")),
            max_age=_seconds(values.get("max_age")),
            login_hint=values.get("login_hint"),
            id_token_hint=values.get("id_token_hint"),
            acr_values=_words(values.get("acr_values")),
            ui_locales=_words(values.get("ui_locales")),
            display=_display(values.get("display")),
            claims=ClaimsRequest.parse(values.get("claims")),
            resources=_resources(form.every(pairs, "resource")),
            audience=values.get("audience"),
        )

    def targets(self) -> frozenset[str]:
        """Name the APIs asked for, by RFC 8707 resource or by audience: two spellings of one wish."""
        return frozenset({*self.resources, *([self.audience] if self.audience else [])})

    def naming(self, subject: str | None) -> AuthorizeRequest:
        """Trade the hint for the person it names, once its signature was checked."""
        return replace(self, id_token_hint=None, subject=subject)

    def to_json(self) -> dict[str, Any]:
        """Write plain JSON for the sign-in row."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        listed = {name: list(value) for name, value in plain.items() if isinstance(value, tuple)}
        return {
            **plain,
            **listed,
            "prompt": sorted(self.prompt),
            "claims": self.claims.to_json(),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> AuthorizeRequest:
        """Read back what `to_json` wrote."""
        listed = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
        claims = ClaimsRequest.from_json(row["claims"])
        return cls(**{**row, **listed, "prompt": frozenset(row["prompt"]), "claims": claims})


def _check_response(values: Mapping[str, str], client: ClientFacts) -> None:
    if "response_type" not in values:
        raise InvalidRequest("response_type is missing")
    # RFC 9700 section 2.1.2: no token ever leaves this endpoint, so code is the one response type.
    if values["response_type"] != "code" or not client.may_use_code:
        raise UnsupportedResponseType("response_type must be code")
    if values.get("response_mode", "query") not in RESPONSE_MODES:
        raise InvalidRequest("response_mode must be query")


def _thumbprint(text: str | None) -> str | None:
    if text is not None and dpop.JKT.fullmatch(text) is None:
        raise InvalidRequest("dpop_jkt is not the thumbprint of a key")
    return text


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    if SECONDS.fullmatch(text) is None:
        raise InvalidRequest("max_age must be a number of seconds")
    return int(text)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((text or "").split()))


def _display(text: str | None) -> str | None:
    """OpenID Connect Core section 15.1: a value we do not know is no reason to refuse."""
    return text if text in DISPLAYS else None


def _resources(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is not an absolute URI without fragment (RFC 8707 section 2)."""
    if len(values) > MAX_RESOURCES or not all(_is_absolute(value) for value in values):
        raise InvalidTarget("resource must be an absolute URI without fragment")
    return values


def _is_absolute(uri: str) -> bool:
    if "#" in uri or not form.fits("resource", uri):
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return bool(parts.scheme) and bool(parts.netloc or parts.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A token request: every value at most once (RFC 6749 section 3.2). Never printed: it holds secrets."""

    grant_type: str
    values: Mapping[str, str] = field(repr=False)
    resources: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()

    @classmethod
    def parse(cls, pairs: Pairs) -> TokenRequest:
        """Read the form; which values a grant needs is the grant's to say."""
        values = form.single(pairs)
        if form.repeated(pairs) - MANY.get(values.get("grant_type", ""), frozenset()):
            raise InvalidRequest("a parameter came more than once")
        form.refuse_misfits(values, frozenset(values))
        audiences = form.every(pairs, "audience")
        if not all(form.fits("audience", value) for value in audiences):
            raise InvalidTarget("audience is too long or holds a NUL")
        if "grant_type" not in values:
            raise InvalidRequest("grant_type is missing")
        resources = _resources(form.every(pairs, "resource"))
        return cls(grant_type=values["grant_type"], values=values, resources=resources, audiences=audiences)

    def get(self, name: str) -> str | None:
        """Give a value, or None when it was absent or empty."""
        return self.values.get(name)

    def require(self, name: str) -> str:
        """Give a value the grant cannot do without."""
        if name not in self.values:
            # Parameter names are ours: only constants are passed here.
            raise InvalidRequest(f"{name} is missing")
        return self.values[name]

    def scope(self) -> tuple[str, ...]:
        """Give the scope asked for; empty when none was."""
        return scope.parse(self.get("scope"))

    def targets(self) -> frozenset[str]:
        """Name the APIs asked for, by RFC 8707 resource or by audience."""
        return frozenset({*self.resources, *self.audiences})
