"""How an app signs people in with Gatehouse: Authlib's client, and the checks that it leaves to the app.

Authlib sends the requests (code, PKCE S256, client_secret_basic, refresh). Here stand state, nonce, the `iss` of the
answer (RFC 9207) and the ID token (OpenID Connect Core section 3.1.3.7).
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from requests import RequestException, Response

from idp.demo.facts import AUDIENCE, WEB, Facts
from idp.jose.keys import KeySet
from idp.jose.strict import JoseError
from idp.jose.verify import check_audience, check_issuer, check_times, verify

SCOPE = "openid profile email offline_access orders:read orders:write"
ALGS = frozenset({"RS256", "ES256", "PS256", "EdDSA"})
PATIENCE = 5
LEEWAY = 30


class NotSignedIn(Exception):
    """The answer was refused, by Gatehouse or by this app; the text is for the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What must come back unchanged, kept in the visit and never in the address."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    wanted: Mapping[str, str] = field(default_factory=dict)  # acr_values and max_age, where a call asked for them


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What one sign-in bought. Never printed."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    id_token: str = field(repr=False)
    id_claims: Mapping[str, Any]
    expires_at: float


class RelyingParty:
    """The web client `orders-desk`."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._issuer = facts.places.issuer

    @cached_property
    def endpoints(self) -> Mapping[str, Any]:
        """The provider's own description of itself; only the one that names our issuer is believed."""
        said: dict[str, Any] = (
            self._session().get(f"{self._issuer}/.well-known/openid-configuration", withhold_token=True).json()
        )
        if said.get("issuer") != self._issuer:
            raise NotSignedIn("the provider describes itself under another name")
        return said

    def begin(self, attempt: Attempt) -> str:
        """Return the address to which the browser is sent."""
        address, _ = self._session().create_authorization_url(
            self.endpoints["authorization_endpoint"],
            state=attempt.state,
            code_verifier=attempt.verifier,
            nonce=attempt.nonce,
            redirect_uri=self._facts.web_redirect,
            scope=SCOPE,
            resource=AUDIENCE,
            **attempt.wanted,
        )
        return str(address)

    def finish(self, attempt: Attempt | None, answer: Mapping[str, str]) -> Tokens:
        """Check the answer that the browser brought, and turn its code into tokens."""
        if attempt is None or not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise NotSignedIn("This answer does not belong to a sign-in that was begun in this browser.")
        # RFC 9207 section 2.4: an answer of another provider is no answer.
        if answer.get("iss") != self._issuer:
            raise NotSignedIn("This answer does not come from Gatehouse.")
        if "code" not in answer:
            raise NotSignedIn(_REASONS.get(answer.get("error", ""), "Gatehouse did not sign you in."))
        try:
            said = self._session().fetch_token(
                self.endpoints["token_endpoint"],
                grant_type="authorization_code",
                code=answer["code"],
                code_verifier=attempt.verifier,
                redirect_uri=self._facts.web_redirect,
            )
            claims = self._check_id_token(str(said["id_token"]), attempt.nonce)
        except (AuthlibBaseError, RequestException, JoseError, KeyError) as refused:
            raise NotSignedIn("Gatehouse answered, but not with tokens that this app believes.") from refused
        _check_strength(claims, attempt.wanted)
        return _tokens(said, str(said["id_token"]), claims)

    def refresh(self, tokens: Tokens) -> Tokens:
        """Trade the refresh token for new tokens; the old one is used up."""
        said = self._trade(tokens, resource=AUDIENCE)
        claims = dict(tokens.id_claims)
        id_token = tokens.id_token
        if "id_token" in said:
            id_token = str(said["id_token"])
            claims = self._check_id_token(id_token, None)
        return _tokens(said, id_token, claims)

    def profile(self, tokens: Tokens) -> tuple[Tokens, str, Response]:
        """Ask userinfo, with an access token for the provider itself: one refresh token, any consented audience."""
        said = self._trade(tokens, resource=self._issuer)
        token = str(said["access_token"])
        kept = Tokens(
            access=tokens.access,
            refresh=said.get("refresh_token", tokens.refresh),
            id_token=tokens.id_token,
            id_claims=tokens.id_claims,
            expires_at=tokens.expires_at,
        )
        return kept, token, self.userinfo(token)

    def userinfo(self, token: str) -> Response:
        """Call userinfo with a bearer token."""
        return self.call("GET", str(self.endpoints["userinfo_endpoint"]), token)

    def introspect(self, token: str) -> Response:
        """Ask the provider whether a token still lives (RFC 7662)."""
        session = self._session()
        endpoint = self.endpoints["introspection_endpoint"]
        answer: Response = session.introspect_token(endpoint, token=token)
        return answer

    def call(self, method: str, url: str, token: str, json: Mapping[str, object] | None = None) -> Response:
        """Call something with a bearer token in the header, never in the address."""
        headers = {"Authorization": f"Bearer {token}"}
        answer: Response = self._session().request(
            method, url, withhold_token=True, headers=headers, json=json, allow_redirects=False
        )
        return answer

    def farewell(self, tokens: Tokens, state: str) -> str:
        """Return where to send the browser so that Gatehouse ends its session too (RP-Initiated Logout section 2)."""
        asked = {
            "id_token_hint": tokens.id_token,
            "client_id": WEB,
            "post_logout_redirect_uri": self._facts.signed_out,
            "state": state,
        }
        return f"{self.endpoints['end_session_endpoint']}?{urlencode(asked)}"

    def _trade(self, tokens: Tokens, *, resource: str) -> dict[str, Any]:
        endpoint = self.endpoints["token_endpoint"]
        return dict(self._session().refresh_token(endpoint, refresh_token=tokens.refresh, resource=resource))

    def _check_id_token(self, token: str, nonce: str | None) -> dict[str, Any]:
        jwks = self._session().get(self.endpoints["jwks_uri"], withhold_token=True).content
        claims = verify(token, KeySet.from_remote(jwks), typ=frozenset({"jwt", ""}), algs=ALGS).claims
        check_issuer(claims, self._issuer)
        check_audience(claims, WEB, exactly_one=True)
        check_times(claims, time.time())
        if nonce is not None and claims.get("nonce") != nonce:
            raise JoseError("nonce is another")
        return claims

    def _session(self) -> OAuth2Session:
        session = OAuth2Session(WEB, self._facts.web_secret, code_challenge_method="S256", default_timeout=PATIENCE)
        # Neither a proxy nor a .netrc of the person's shell has a say in what happens on loopback.
        session.trust_env = False
        return session


def _check_strength(claims: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """OpenID Connect Core section 3.1.3.7: who asked for a strength or an age checks that it was given."""
    strong = "acr_values" not in wanted or claims.get("acr") in wanted["acr_values"].split()
    recent = "max_age" not in wanted or time.time() - claims.get("auth_time", 0) <= int(wanted["max_age"]) + LEEWAY
    if not (strong and recent):
        raise NotSignedIn("Gatehouse signed you in, but not as strongly as was asked.")


_REASONS = {
    "access_denied": "You said no, or your account has no access to the orders. Nothing was shared.",
    "temporarily_unavailable": "Gatehouse is too busy just now. Try again in a few seconds.",
}


def _tokens(said: Mapping[str, Any], id_token: str, claims: Mapping[str, Any]) -> Tokens:
    return Tokens(
        access=str(said["access_token"]),
        refresh=said.get("refresh_token"),
        id_token=id_token,
        id_claims=claims,
        expires_at=time.time() + float(said.get("expires_in", 0)),
    )
