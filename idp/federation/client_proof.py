"""Which client asks at a token endpoint, and how it proves that (OpenID Connect Core section 9)."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from idp.federation.connector import Misconfigured
from idp.jose.sign import sign

if TYPE_CHECKING:
    from idp.federation.code_flow import Common
    from idp.jose.keys import SigningKey

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE: Final = 60


def method_of(common: Common, offered: frozenset[str]) -> str:
    """Choose how we prove who we are: as configured, else the strongest that both sides have."""
    if common.auth_method is not None:
        return common.auth_method
    if common.signing_key is not None:
        return "private_key_jwt"
    if common.client_secret is None:
        return "none"
    only_post = bool(offered) and "client_secret_basic" not in offered
    return "client_secret_post" if only_post else "client_secret_basic"


def proof(common: Common, method: str, endpoint: str, now: float) -> object:
    """Return what Authlib's client puts into the request, or the name of a way that it has itself."""
    if method == "client_secret_basic":
        return _basic
    if method == "private_key_jwt":
        return _assertion(common, endpoint, now)
    if method == "apple":
        return _apple(common, now)
    return method


def _basic(client: Any, _method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """Encode before joining (RFC 6749 section 2.3.1); Authlib's own leaves that out."""
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret or '', safe='')}"
    headers["Authorization"] = "Basic " + b64encode(pair.encode("ascii")).decode("ascii")
    return uri, headers, body


def _in_body(members: Mapping[str, str]) -> Callable[..., tuple[str, Any, Any]]:
    def prepare(_client: Any, _method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
        given = body.decode("ascii") if isinstance(body, bytes) else body
        whole = f"{given}&{urlencode(members)}"
        headers["Content-Length"] = str(len(whole))
        return uri, headers, whole

    return prepare


def _assertion(common: Common, endpoint: str, now: float) -> object:
    claims = {
        "iss": common.client_id,
        "sub": common.client_id,
        "aud": endpoint,
        "jti": secrets.token_urlsafe(24),
        "iat": int(now),
        "exp": int(now) + _ASSERTION_LIFE,
    }
    signed = sign(claims, _signing(common), typ="JWT")
    return _in_body({"client_id": common.client_id, "client_assertion_type": _ASSERTION, "client_assertion": signed})


def _apple(common: Common, now: float) -> object:
    """Make the secret that Apple takes: a JWT of the team, signed anew for each sign-in."""
    claims = {
        "iss": common.team,
        "sub": common.client_id,
        "aud": "https://appleid.apple.com",
        "iat": int(now),
        "exp": int(now) + _ASSERTION_LIFE,
    }
    signed = sign(claims, _signing(common), typ="JWT")
    return _in_body({"client_id": common.client_id, "client_secret": signed})


def _signing(common: Common) -> SigningKey:
    if common.signing_key is None:
        raise Misconfigured("private_key: this setting is needed, best as private_key_file")
    return common.signing_key
