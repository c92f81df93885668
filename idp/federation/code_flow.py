"""What the connectors that send the browser away share: leaving, coming back, and the code's way to a token.

RFC 6749 section 4.1 by Authlib's client, PKCE (RFC 7636), `state`, and `iss` in the answer (RFC 9207).
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from authlib.common.errors import AuthlibBaseError
from requests import RequestException, Response

from idp.federation import presets
from idp.federation.claims_map import ClaimsMap
from idp.federation.client_proof import proof
from idp.federation.connector import Handshake, Made, Misconfigured, NotSignedIn, Outcome, Pairs
from idp.federation.upstream import Line, Reach, UpstreamError, strict
from idp.federation.values import Values
from idp.jose.keys import ALGS, SigningKey
from idp.jose.strict import JoseError

SECRETS: Final = frozenset({"client_secret", "private_key"})
METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt", "apple", "none")
AT_ONCE: Final = 4  # of one connector in one process: a provider that hangs holds no more threads than that (F15)
_KNOWN: Final = frozenset({"code", "state", "iss", "error"})
_SAID_NO: Final = frozenset({"access_denied", "user_cancelled_login", "user_cancelled_authorize"})

Clock = Callable[[], float]


class Fresh(StrEnum):
    """What a provider does when it is asked for a sign-in of now."""

    PROVED = "proved"  # it says when people signed in, and is believed by that
    BELIEVED = "believed"  # it says nothing, and the operator knows that it asks people each time
    NEVER = "never"  # it may send back whoever signed in long ago


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The settings that both kinds have."""

    client_id: str
    client_secret: str | None = field(repr=False)
    signing_key: SigningKey | None
    team: str
    auth_method: str | None
    scope: tuple[str, ...]
    pkce: bool
    response_mode: str | None
    fresh: Fresh
    claims: ClaimsMap
    brand: str | None
    title: str
    reach: Reach

    @classmethod
    def read(cls, values: Values, made: Made, *, home: str, scope: tuple[str, ...], fresh: Fresh) -> Common:
        """Read them."""
        if not home.isascii() or not urlsplit(home).hostname:
            raise Misconfigured("issuer: write the whole address, https://...")
        brand = values.maybe("preset")
        preset = presets.PRESETS.get(brand or "")
        method = values.maybe("auth_method")
        if method is not None and method not in METHODS:
            raise Misconfigured(f"auth_method: write one of {', '.join(METHODS)}")
        secret, key = made.secrets.get("client_secret"), _key(values, made)
        if method in {"client_secret_basic", "client_secret_post"} and secret is None:
            raise Misconfigured("client_secret: this setting is needed, best as client_secret_file")
        if method in {"private_key_jwt", "apple"} and key is None:
            raise Misconfigured("private_key: this setting is needed, best as private_key_file")
        return cls(
            client_id=values.text("client_id"),
            client_secret=secret,
            signing_key=key,
            team=values.text("team_id") if method == "apple" else "",
            auth_method=method,
            scope=values.texts("scope", scope),
            pkce=values.flag("pkce", default=True),
            response_mode=values.choice("response_mode", "query", ("query", "form_post")),
            fresh=Fresh(values.choice("fresh", fresh, tuple(Fresh))),
            claims=ClaimsMap.parse(values.table("claims")),
            brand=brand,
            title=preset.title if preset else made.name,
            reach=Reach.of(
                home,
                seconds=values.seconds("timeout", 3.0, most=15.0),
                private_network=values.flag("private_network", default=False),
                ca_file=values.maybe("ca_file"),
            ),
        )


def public_keys(common: Common) -> list[dict[str, str]]:
    """Return what a provider needs to believe that it is us."""
    return [] if common.signing_key is None else [common.signing_key.public_jwk()]


def _key(values: Values, made: Made) -> SigningKey | None:
    pem = made.secrets.get("private_key")
    alg = values.choice("private_key_alg", "ES256", ALGS)
    kid = values.maybe("key_id")
    if pem is None:
        return None
    try:
        key = SigningKey.read_pem(pem.encode(), alg=alg)
    except JoseError:
        raise Misconfigured(f"private_key: this is not a private key for {alg}") from None
    return key if kid is None else replace(key, kid=kid)


class Slots:
    """How many sign-ins may wait for one provider at a time."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a slot, or say at once that the provider cannot be had."""
        if not self._free.acquire(timeout=0.2):
            raise UpstreamError("too many at once")
        try:
            yield
        finally:
            self._free.release()


def leave(
    common: Common,
    endpoint: str,
    redirect_uri: str,
    *,
    nonce: bool,
    fresh: bool,
    choose: bool,
    login_hint: str | None,
) -> Handshake:
    """Write the address to leave for, and what has to match on the way back."""
    kept = {"state": secrets.token_urlsafe(32), "redirect_uri": redirect_uri}
    asked: dict[str, str] = {}
    if common.pkce:
        kept["verifier"] = secrets.token_urlsafe(48)
    if nonce:
        kept["nonce"] = asked["nonce"] = secrets.token_urlsafe(32)
    if common.response_mode == "form_post":
        asked["response_mode"] = "form_post"
    if nonce:  # else it is OAuth 2.0, which has no words for these
        asked |= _wishes(common, fresh=fresh, choose=choose)
    if login_hint is not None:
        asked["login_hint"] = login_hint
    client = Line(common.reach).session(
        client_id=common.client_id,
        redirect_uri=redirect_uri,
        scope=" ".join(common.scope),
        code_challenge_method="S256",
    )
    url, _ = client.create_authorization_url(endpoint, state=kept["state"], code_verifier=kept.get("verifier"), **asked)
    return Handshake(url=url, kept=kept)


def _wishes(common: Common, *, fresh: bool, choose: bool) -> dict[str, str]:
    """Ask who signs in, and when (OpenID Connect Core section 3.1.2.1: with max_age comes auth_time)."""
    if fresh and common.fresh is Fresh.PROVED:
        return {"prompt": "login", "max_age": "0"}
    if fresh and common.fresh is Fresh.BELIEVED:
        return {"prompt": "login"}
    return {"prompt": "select_account"} if choose else {}


def code_of(answer: Pairs, kept: Mapping[str, str], redirect_uri: str, *, issuer: str | None, says_iss: bool) -> str:
    """Read the code out of an answer that is to this very question (RFC 6749 section 4.1.2, RFC 9207 section 2.4)."""
    values = {name: value for name, value in answer if name in _KNOWN}
    if len(values) != sum(name in _KNOWN for name, _ in answer):
        raise NotSignedIn(Outcome.UNTRUSTED, "a parameter came more than once")
    state, expected = values.get("state", ""), kept.get("state", "")
    if not expected or not hmac.compare_digest(state.encode(), expected.encode()):
        raise NotSignedIn(Outcome.UNTRUSTED, "state is another")
    if kept.get("redirect_uri") != redirect_uri:
        raise NotSignedIn(Outcome.UNTRUSTED, "redirect_uri is another")
    # RFC 9207 section 2.4: whoever says that it names itself must, and errors are checked as well.
    if issuer is not None and (says_iss or "iss" in values) and values.get("iss") != issuer:
        raise NotSignedIn(Outcome.UNTRUSTED, "iss of the answer is another")
    if "error" in values:
        said_no = values["error"] in _SAID_NO
        raise NotSignedIn(Outcome.DENIED if said_no else Outcome.UNTRUSTED, "provider answered with an error")
    if not values.get("code"):
        raise NotSignedIn(Outcome.UNTRUSTED, "no code")
    return values["code"]


def redeem(
    common: Common, line: Line, endpoint: str, code: str, kept: Mapping[str, str], *, method: str, now: float
) -> dict[str, Any]:
    """Exchange a code (RFC 6749 section 4.1.3)."""
    client = line.session(
        client_id=common.client_id,
        client_secret=common.client_secret,
        redirect_uri=kept["redirect_uri"],
        token_endpoint_auth_method=proof(common, method, endpoint, now),
    )
    # The body is read by our parser first: one of two members of a name would be read as the other one somewhere.
    client.register_compliance_hook("access_token_response", _one_reading)
    verifier = {"code_verifier": kept["verifier"]} if "verifier" in kept else {}
    try:
        return dict(client.fetch_token(endpoint, grant_type="authorization_code", code=code, **verifier))
    except AuthlibBaseError:
        raise UpstreamError("token endpoint refused the code") from None
    except (RequestException, ValueError, TypeError):
        raise UpstreamError("token endpoint cannot be understood") from None


def _one_reading(answer: Response) -> Response:
    strict(answer.content)
    return answer
