"""Discovery documents, built from what is registered (OpenID Connect Discovery section 3, RFC 8414 section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp.protocol import acr, claims, pkce, prompt, scope

# OpenID Connect Discovery section 3 and RFC 8414 section 2: names of the addresses, by our own endpoint names.
ENDPOINTS = {
    "authorize": "authorization_endpoint",
    "token": "token_endpoint",
    "userinfo": "userinfo_endpoint",
    "jwks": "jwks_uri",
    "introspect": "introspection_endpoint",
    "revoke": "revocation_endpoint",
    "end_session": "end_session_endpoint",
    # RFC 8936 names no member for it; RFC 8414 section 2 allows further ones.
    "events": "events_endpoint",
}
OPENID_ONLY = frozenset({"userinfo_endpoint", "end_session_endpoint"})
# RFC 8705 section 5: what clients, not people, ask.
ALIASED = ("token_endpoint", "introspection_endpoint", "revocation_endpoint", "userinfo_endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What this server has: each tuple comes from the registry that enforces it, so neither can drift."""

    issuer: str
    paths: Mapping[str, str]
    grant_types: tuple[str, ...]
    auth_methods: tuple[str, ...]
    introspection_auth_methods: tuple[str, ...]
    assertion_algs: tuple[str, ...]
    id_token_algs: tuple[str, ...]
    dpop_algs: tuple[str, ...] = ()
    certificates: bool = False  # a front hands on those of clients
    mtls_base: str | None = None  # where the front asks for them
    scopes: tuple[str, ...] = scope.OIDC


def oauth(facts: ServerFacts) -> dict[str, Any]:
    """Build the authorization server's metadata (RFC 8414 section 2)."""
    addresses = _addresses(facts, facts.issuer)
    return {
        "issuer": facts.issuer,
        **{name: address for name, address in addresses.items() if name not in OPENID_ONLY},
        "scopes_supported": list(facts.scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(facts.grant_types),
        "code_challenge_methods_supported": sorted(pkce.METHODS),
        # RFC 9207 section 3: clients may insist on iss in every authorization response.
        "authorization_response_iss_parameter_supported": True,
        **_authentication("token", facts.auth_methods, facts.assertion_algs),
        **_authentication("revocation", facts.auth_methods, facts.assertion_algs),
        **_authentication("introspection", facts.introspection_auth_methods, facts.assertion_algs),
        # RFC 9701 section 7: signed answers, by the algorithm of the asker's ID tokens.
        "introspection_signing_alg_values_supported": list(facts.id_token_algs),
        "dpop_signing_alg_values_supported": list(facts.dpop_algs),  # RFC 9449 section 5.1
        **_certificates(facts),
    }


def openid(facts: ServerFacts) -> dict[str, Any]:
    """Build the OpenID provider's metadata: all of the above, and what only OpenID knows."""
    only = {
        ENDPOINTS[name]: facts.issuer.rstrip("/") + path
        for name, path in facts.paths.items()
        if ENDPOINTS.get(name) in OPENID_ONLY
    }
    return {
        **oauth(facts),
        **only,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(facts.id_token_algs),
        "acr_values_supported": list(acr.SUPPORTED),
        "prompt_values_supported": list(prompt.VALUES),
        "display_values_supported": ["page"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*claims.PROTOCOL, *claims.STANDARD],
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        # OpenID Connect Discovery section 3: this one is true unless it says otherwise.
        "request_uri_parameter_supported": False,
    }


def _addresses(facts: ServerFacts, base: str) -> dict[str, str]:
    return {ENDPOINTS[name]: base.rstrip("/") + path for name, path in facts.paths.items() if name in ENDPOINTS}


def _certificates(facts: ServerFacts) -> dict[str, Any]:
    """RFC 8705 sections 3.3 and 5."""
    told: dict[str, Any] = {"tls_client_certificate_bound_access_tokens": True} if facts.certificates else {}
    if facts.mtls_base is not None:
        aliases = _addresses(facts, facts.mtls_base)
        told["mtls_endpoint_aliases"] = {name: aliases[name] for name in ALIASED if name in aliases}
    return told


def _authentication(endpoint: str, methods: tuple[str, ...], algs: tuple[str, ...]) -> dict[str, list[str]]:
    """RFC 8414 section 2: algorithms are told where assertions are accepted."""
    told = {f"{endpoint}_endpoint_auth_methods_supported": list(methods)}
    if "private_key_jwt" in methods:
        told[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] = list(algs)
    return told
