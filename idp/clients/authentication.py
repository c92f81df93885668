"""Client authentication: secret, signed assertion, certificate, or none (RFC 6749 section 2.3, RFC 7523, RFC 8705).

Every failure is one refusal with one text: which part was wrong is for the log alone.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from idp.clients import assertion, certificate
from idp.clients.client import BASIC, NONE, POST, PRIVATE_KEY_JWT, TLS_METHODS
from idp.protocol.errors import InvalidClient, InvalidRequest
from idp.store.digests import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from idp.clients.certificate import Authorities
    from idp.clients.client import Client
    from idp.clients.directory import ClientDirectory
    from idp.store.database import Database

MAX_BASIC: Final = 4_096
_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# Compared against when there is nothing to compare with, so that unknown clients take as long.
_NO_SECRET: Final = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request brings to prove who is calling. Never printed: it holds secrets."""

    authorization: str | None = field(repr=False)
    values: Mapping[str, str] = field(repr=False)
    certificate: bytes | None = field(default=None, repr=False)  # DER, from a front that ends TLS


class ClientAuthentication:
    """Finds out which client is calling, for every endpoint that asks."""

    def __init__(
        self,
        clients: ClientDirectory,
        db: Database,
        *,
        issuer: str,
        token_endpoints: Iterable[str],
        authorities: Authorities,
    ) -> None:
        self._clients = clients
        self._db = db
        # RFC 7523 section 3: who an assertion may be meant for; fapi2 clients must name the issuer alone.
        self._issuer = issuer
        self._audiences = frozenset({issuer, *token_endpoints})
        self._authorities = authorities

    def authenticate(self, presented: Presented, now: datetime) -> Client:
        """Return the client, or refuse."""
        client_id, method, secret = _credential(presented)
        client = self._clients.find(client_id, now)
        if method in {BASIC, POST}:
            _check_secret(client, secret)
        if client is None:
            raise _refusal("unknown or disabled client")
        if client.auth_method in TLS_METHODS and method == NONE:
            # RFC 8705 section 2: client_id says who, the certificate of the connection proves it.
            certificate.check(client, presented.certificate, self._authorities, now)
            return client
        # RFC 7591 section 2: only the method it registered.
        if client.auth_method != method:
            raise _refusal("method is not the registered one")
        if method == PRIVATE_KEY_JWT:
            self._check_assertion(client, secret, now)
        return client

    def bearer(self, token: str, *, audience: str, now: datetime) -> Client:
        """Return the client whose assertion this is, for one address alone; good there until it ends.

        Nowhere else is it accepted, so it need not be used up: who asks often need not sign, nor we write, each time.
        """
        client = self._clients.find(assertion.subject(token), now)
        if client is None:
            raise _refusal("unknown or disabled client")
        if client.auth_method != PRIVATE_KEY_JWT:
            raise _refusal("method is not the registered one")
        assertion.verify(token, client, audiences=frozenset({audience}), now=now)
        return client

    def _check_assertion(self, client: Client, token: str, now: datetime) -> None:
        audiences = frozenset({self._issuer}) if client.fapi2 else self._audiences
        claim = assertion.verify(token, client, audiences=audiences, now=now)
        with self._db.write() as tx:
            if not assertion.spend(tx, client, claim, now):
                raise _refusal("assertion was used before")


def _credential(presented: Presented) -> tuple[str, str, str]:
    """Sort out the one method of a request; two are refused (RFC 6749 section 2.3)."""
    values = presented.values
    in_header = presented.authorization is not None
    in_body = "client_secret" in values
    asserted = "client_assertion" in values or "client_assertion_type" in values
    if in_header + in_body + asserted > 1:
        raise InvalidRequest("more than one client authentication method")
    client_id = values.get("client_id")
    if presented.authorization is not None:
        named, secret = _basic(presented.authorization)
        # RFC 6749 section 3.2.1: a client_id beside the header is no method, but it has to agree.
        if client_id is not None and client_id != named:
            raise _refusal("client_id is not the authenticated client")
        return named, BASIC, secret
    if asserted:
        if values.get("client_assertion_type") != assertion.TYPE or "client_assertion" not in values:
            raise _refusal("assertion type is unknown")
        token = values["client_assertion"]
        named = assertion.subject(token)
        if client_id is not None and client_id != named:
            raise _refusal("client_id is not the asserted client")
        return named, PRIVATE_KEY_JWT, token
    if client_id is None:
        raise _refusal("no client authentication")
    return (client_id, POST, values["client_secret"]) if in_body else (client_id, NONE, "")


def _basic(header: str) -> tuple[str, str]:
    """Read HTTP Basic; both halves are form-encoded first (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > MAX_BASIC:
        raise _refusal("header is not usable Basic")
    try:
        raw = b64decode(encoded.strip(" "), validate=True)
    except (Base64Error, ValueError):
        raise _refusal("header is not base64") from None
    name, colon, secret = raw.partition(b":")
    if not colon:
        raise _refusal("header has no colon")
    return _decoded(name), _decoded(secret)


def _decoded(raw: bytes) -> str:
    if _ESCAPE.search(raw):
        raise _refusal("header is badly escaped")
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise _refusal("header is not UTF-8") from None


def _check_secret(client: Client | None, secret: str) -> None:
    known = client.secret_hash if client is not None else None
    # Hash and compare whether or not there is a client, so that the clock tells nobody.
    if not hmac.compare_digest(digest(secret), known or _NO_SECRET) or known is None:
        raise _refusal("secret is wrong")


def _refusal(reason: str) -> InvalidClient:
    return InvalidClient("client authentication failed", reason=reason)
