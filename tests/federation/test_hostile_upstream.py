"""A provider that lies: every wrong answer in turn, and nobody is signed in by any of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from idp.federation.connector import NotSignedIn, Outcome
from idp.jose.keys import SigningKey
from tests.fixtures.elsewhere import BACK, connected, pairs, sign_in
from tests.services.upstream import CLIENT_ID, Claims, Upstream, compact

Bend = Callable[[Claims], Claims]


def without(name: str) -> Bend:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


def said(**wrong: Any) -> Bend:
    return lambda claims: {**claims, **wrong}


WRONG_CLAIMS: dict[str, Bend] = {
    "iss of another": said(iss="https://evil.example"),
    "iss with a slash": lambda claims: {**claims, "iss": claims["iss"] + "/"},
    "no iss": without("iss"),
    "aud of another": said(aud="another-client"),
    "aud of several, without azp": said(aud=[CLIENT_ID, "another-client"]),
    "aud of several, azp is ours": said(aud=[CLIENT_ID, "another-client"], azp=CLIENT_ID),
    "aud like ours": said(aud=CLIENT_ID.upper()),
    "no aud": without("aud"),
    "azp of another": said(azp="another-client"),
    "azp is a list": said(azp=[CLIENT_ID]),
    "no sub": without("sub"),
    "sub is empty": said(sub=""),
    "sub is a number": said(sub=1),
    "sub is too long": said(sub="x" * 256),
    "sub is not ASCII": said(sub="\u0430da"),
    "no iat": without("iat"),
    "iat of the future": said(iat=time.time() + 3600),
    "iat of long ago": said(iat=time.time() - 3600),
    "iat is text": said(iat="now"),
    "no exp": without("exp"),
    "exp has passed": said(exp=time.time() - 60),
    "exp is text": said(exp="never"),
    "nbf of the future": said(nbf=time.time() + 3600),
    "no nonce": without("nonce"),
    "nonce of another": said(nonce="another"),
    "nonce is a list": lambda claims: {**claims, "nonce": [claims["nonce"]]},
    "at_hash of another": said(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "at_hash is null": said(at_hash=None),
}


@pytest.mark.attack("FD17")
@pytest.mark.spec("OpenID Connect Core section 3.1.3.7")
@pytest.mark.parametrize("wrong", WRONG_CLAIMS)
def test_refuses_an_id_token_with_wrong_claims(upstream: Upstream, wrong: str) -> None:
    upstream.answers.id_token = WRONG_CLAIMS[wrong]

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.outcome is Outcome.UNTRUSTED


@pytest.mark.attack("FD11", "FD17")
@pytest.mark.parametrize("oid", [None, "", ["x"], True])
def test_refuses_an_id_token_without_the_claim_that_is_the_subject(upstream: Upstream, oid: object) -> None:
    upstream.answers.id_token = lambda claims: {**claims, "oid": oid}

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream, claims={"subject": "oid"}), upstream)

    assert refused.value.code == "the claim that is the subject is absent"


def _none(upstream: Upstream, claims: Claims) -> str:
    head, body, _ = upstream.sign(claims, alg="none").split(".")
    return f"{head}.{body}."


def _hs256(upstream: Upstream, claims: Claims) -> str:
    public = json.dumps(upstream.keys[0].public_jwk()).encode()
    header = {"alg": "HS256", "kid": upstream.keys[0].kid}
    return compact(header, claims, lambda signing_input: hmac.digest(public, signing_input, hashlib.sha256))


def _own_key(upstream: Upstream, claims: Claims) -> str:
    key = SigningKey.generate("ES256")
    header = {"alg": "ES256", "kid": key.kid, "jwk": key.public_jwk()}
    return compact(header, claims, key.sign)


def _stolen_kid(upstream: Upstream, claims: Claims) -> str:
    return compact({"alg": "ES256", "kid": upstream.keys[0].kid}, claims, SigningKey.generate("ES256").sign)


def _cut(upstream: Upstream, claims: Claims) -> str:
    return upstream.sign(claims)[:-4] + "AAAA"


def _changed(upstream: Upstream, claims: Claims) -> str:
    head, _, signature = upstream.sign(claims).split(".")
    body = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "admin"}).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


WRONG_SIGNATURES: dict[str, Callable[[Upstream, Claims], str]] = {
    "alg none": _none,
    "alg HS256 with the public key": _hs256,
    "alg of another kind": lambda upstream, claims: upstream.sign(claims, alg="RS256"),
    "kid of nobody": lambda upstream, claims: upstream.sign(claims, kid="nobody"),
    "kid of the provider, key of another": _stolen_kid,
    "a key the token brings": _own_key,
    "signature of something else": _cut,
    "payload changed": _changed,
    "typ of an access token": lambda upstream, claims: upstream.sign(claims, typ="at+jwt"),
    "typ of a logout token": lambda upstream, claims: upstream.sign(claims, typ="logout+jwt"),
    "crit that nobody knows": lambda upstream, claims: upstream.sign(claims, crit=["exp"]),
    "not a token": lambda _upstream, _claims: "hello",
}


@pytest.mark.attack("FD17")
@pytest.mark.spec("OpenID Connect Core section 3.1.3.7")
@pytest.mark.parametrize("wrong", WRONG_SIGNATURES)
def test_refuses_an_id_token_with_a_wrong_signature(upstream: Upstream, wrong: str) -> None:
    upstream.answers.sign = lambda claims: WRONG_SIGNATURES[wrong](upstream, claims)

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.outcome is Outcome.UNTRUSTED


@pytest.mark.attack("FD18")
@pytest.mark.spec("OpenID Connect Core section 5.3.2")
@pytest.mark.parametrize("sub", ["u-2", "U-1", "", None])
def test_refuses_user_info_about_somebody_else(upstream: Upstream, sub: str | None) -> None:
    upstream.answers.userinfo = said(sub=sub)

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.code == "userinfo is about somebody else"


@pytest.mark.attack("FD16")
@pytest.mark.spec("OpenID Connect Discovery section 4.3")
@pytest.mark.parametrize("issuer", ["https://evil.example", None, "with a slash"])
def test_refuses_the_metadata_of_another_issuer(upstream: Upstream, issuer: str | None) -> None:
    named = f"{upstream.issuer}/" if issuer == "with a slash" else issuer
    upstream.answers.discovery = said(issuer=named)

    with pytest.raises(NotSignedIn) as refused:
        connected(upstream).begin(BACK)

    assert refused.value.code == "discovery names another issuer"


@pytest.mark.attack("FD16")
@pytest.mark.spec("RFC 9207 section 2.4")
@pytest.mark.parametrize("iss", ["https://evil.example", ""])
def test_refuses_an_answer_of_another_provider(upstream: Upstream, iss: str) -> None:
    upstream.answers.redirect = lambda params: {**params, "iss": iss}

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.code == "iss of the answer is another"
    assert not [path for path, _ in upstream.asked if path == "/token"]


@pytest.mark.attack("FD16")
@pytest.mark.spec("RFC 9207 section 2.4")
def test_refuses_an_answer_without_iss_of_a_provider_that_always_says_it(upstream: Upstream) -> None:
    upstream.answers.redirect = without("iss")

    with pytest.raises(NotSignedIn):
        sign_in(connected(upstream), upstream)


@pytest.mark.attack("FD15")
@pytest.mark.parametrize("state", ["another", ""])
def test_refuses_an_answer_with_another_state(upstream: Upstream, state: str) -> None:
    upstream.answers.redirect = lambda params: {**params, "state": state}

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.code == "state is another"


@pytest.mark.attack("FD15")
def test_refuses_an_answer_that_says_something_twice(upstream: Upstream) -> None:
    connector = connected(upstream)
    handshake = connector.begin(BACK)
    answer = pairs(upstream.visit(handshake.url))

    with pytest.raises(NotSignedIn) as refused:
        connector.finish([*answer, ("code", "another")], handshake.kept, BACK)

    assert refused.value.code == "a parameter came more than once"


@pytest.mark.attack("AD8")
@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "userinfo_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize("address", ["http://169.254.169.254/", "http://10.0.0.1/", "file:///etc/passwd", "//x", 7])
def test_asks_no_address_that_is_not_by_tls(upstream: Upstream, name: str, address: object) -> None:
    upstream.answers.discovery = said(**{name: address})

    with pytest.raises(NotSignedIn) as refused:
        connected(upstream).begin(BACK)

    assert refused.value.outcome is Outcome.UNAVAILABLE


@pytest.mark.attack("AD8")
@pytest.mark.parametrize("address", ["https://169.254.169.254/", "https://10.0.0.1/", "https://[fd00::1]/"])
def test_asks_no_address_of_a_network_within(upstream: Upstream, address: str) -> None:
    upstream.answers.discovery = said(jwks_uri=address)

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.code in {"address may not be asked", "no such host"}


BROKEN = {
    "too large": b"{" + b" " * 300_000 + b"}",
    "no JSON": b"<html>",
    "a list": b"[]",
    "two of a name": b'{"access_token": "a", "access_token": "b", "id_token": "c"}',
    "empty": b"",
    "no token": b"{}",
    "an error": b'{"error": "invalid_grant"}',
}


@pytest.mark.attack("F15")
@pytest.mark.parametrize("body", BROKEN)
def test_a_broken_answer_of_the_token_endpoint_signs_nobody_in(upstream: Upstream, body: str) -> None:
    upstream.answers.token = lambda _answer: BROKEN[body]

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.outcome is Outcome.UNAVAILABLE


@pytest.mark.attack("F15")
@pytest.mark.parametrize("keys", [b"garbage", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AAAA"}]}'])
def test_garbage_instead_of_keys_signs_nobody_in(upstream: Upstream, keys: bytes) -> None:
    upstream.answers.jwks = lambda _document: keys

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.outcome is Outcome.UNAVAILABLE


@pytest.mark.attack("F15")
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"])
@pytest.mark.parametrize("status", [500, 302])
def test_a_provider_that_fails_or_sends_us_elsewhere_signs_nobody_in(
    upstream: Upstream, path: str, status: int
) -> None:
    upstream.answers.status = {path: status}

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.outcome is Outcome.UNAVAILABLE


@pytest.mark.attack("F15")
@pytest.mark.parametrize("path", ["/token", "/jwks", "/userinfo"])
def test_a_provider_that_hangs_is_given_up_in_time(upstream: Upstream, path: str) -> None:
    over = threading.Event()
    upstream.answers.before = lambda asked: over.wait(10) if asked == path else None
    connector = connected(upstream, timeout=0.4)
    began = time.monotonic()

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connector, upstream)
    over.set()

    assert refused.value.outcome is Outcome.UNAVAILABLE
    assert time.monotonic() - began < 9


@pytest.mark.attack("F15")
def test_a_provider_that_answers_a_drop_at_a_time_is_given_up_in_time(upstream: Upstream) -> None:
    upstream.answers.drip = {"/token": 0.1}
    connector = connected(upstream, timeout=0.6)
    began = time.monotonic()

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connector, upstream)

    assert refused.value.outcome is Outcome.UNAVAILABLE
    assert time.monotonic() - began < 15  # the whole takes a minute
