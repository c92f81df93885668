"""Authlib's authorization server as dispatcher of our grants: form-only, constant refusals, nothing cached.

What Authlib would do otherwise, and why it is overridden here:
- it reads parameters from the query too: `TokenCall` holds the body alone (RFC 6749 section 2.3.1);
- it checks the request's own URL for https, which a Host header decides: settings check the issuer instead;
- it quotes the unknown grant type back: our refusals are constant texts;
- its hooks are unordered sets and its signals carry tokens: none are registered, none are sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from authlib.oauth2.rfc6749 import AuthorizationServer as AuthlibServer
from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request
from flask import request as flask_request

from idp.clients.authentication import Presented
from idp.protocol.errors import (
    InvalidClient,
    InvalidRequest,
    ProtocolError,
    TemporarilyUnavailable,
    TooManyRequests,
    UnsupportedGrantType,
    UseDpopNonce,
)
from idp.protocol.form import refuse_misfits, repeated, single
from idp.protocol.params import TokenRequest
from idp.web import form
from idp.web.answer import Answer, answer
from idp.web.proofs import HEADER, NONCE
from idp.web.services import services

if TYPE_CHECKING:
    from collections.abc import Mapping
    from wsgiref.types import WSGIEnvironment

    from flask import Request

    from idp.clients.client import Client

RETRY_AFTER: Final = 2
BASIC_CHALLENGE: Final = 'Basic realm="gatehouse", charset="UTF-8"'


class TokenPayload(OAuth2Payload):  # type: ignore[misc]  # Authlib is untyped
    """What Authlib's dispatcher asks of a request: the grant type."""

    def __init__(self, parsed: TokenRequest) -> None:
        self.parsed = parsed

    @property
    def grant_type(self) -> str:
        """Name the grant (RFC 6749 section 4)."""
        return self.parsed.grant_type


class TokenCall(OAuth2Request):  # type: ignore[misc]  # Authlib is untyped
    """One POST to the token endpoint, parsed once. It holds no Flask request."""

    def __init__(self, presented: Presented, parsed: TokenRequest, proof: str | None) -> None:
        # Authlib's constructor checks the request's URL for https; the Host header is not to decide that.
        self.method = "POST"
        self.presented = presented
        self.proof = proof
        self.parsed = parsed
        self.payload = TokenPayload(parsed)
        self.client: Client | None = None


class AuthorizationServer(AuthlibServer):  # type: ignore[misc]  # Authlib is untyped
    """Dispatches token requests to grants and turns every refusal into RFC 6749 section 5.2 JSON."""

    def create_oauth2_request(self, request: Request | None) -> TokenCall:
        """Parse the present request once (RFC 6749 section 3.2)."""
        environ = (request or flask_request).environ
        parsed = TokenRequest.parse(form.take(environ))
        return TokenCall(_presented(environ, parsed.values), parsed, environ.get(HEADER))

    def get_token_grant(self, request: TokenCall) -> Any:
        """Find the grant; an unknown one is refused without quoting it."""
        for grant, _ in self._token_grants:
            if request.parsed.grant_type == grant.GRANT_TYPE:
                return grant(request, self)
        raise UnsupportedGrantType("this grant type is not supported")

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        """Write a JSON answer that nobody stores; every one has the same headers, and few have others."""
        made = answer(body, status)
        for name, value in headers:
            made.headers[name] = value
        return made

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Tell nobody: Authlib's signals carry tokens."""

    def query_client(self, client_id: str) -> None:
        """Not asked: clients are authenticated by `idp.clients.authentication`."""
        raise NotImplementedError

    def save_token(self, token: object, request: object) -> None:
        """Not asked: a grant stores what it issues in the transaction that claims what pays for it."""
        raise NotImplementedError


def refusal(error: ProtocolError, *, status: int | None = None, basic: bool = False) -> Answer:
    """Write a refusal (RFC 6749 section 5.2). `basic` says the caller tried the Authorization header."""
    response = answer(error_body(error), status or error.status)
    if isinstance(error, InvalidClient) and basic:
        response.headers["WWW-Authenticate"] = BASIC_CHALLENGE
    if isinstance(error, UseDpopNonce):
        response.headers[NONCE] = error.nonce
    if isinstance(error, TemporarilyUnavailable | TooManyRequests):
        response.headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_AFTER))
    return response


def error_body(error: ProtocolError) -> dict[str, str]:
    """Return error and constant description, as every endpoint tells them."""
    return {"error": error.error, **({"error_description": error.description} if error.description else {})}


def presented(request: Request) -> tuple[Presented, Mapping[str, str]]:
    """Parse a form for an endpoint that authenticates clients: what proves who calls, and the values."""
    pairs = form.take(request.environ)
    if repeated(pairs):
        raise InvalidRequest("a parameter came more than once")
    values = single(pairs)
    refuse_misfits(values, frozenset(values))
    return _presented(request.environ, values), values


def _presented(environ: WSGIEnvironment, values: Mapping[str, str]) -> Presented:
    return Presented(
        authorization=environ.get("HTTP_AUTHORIZATION"),
        values=values,
        certificate=services().client_certificate(environ),
    )
