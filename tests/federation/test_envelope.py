"""Answers that come encrypted to us, signed, or both: opened as agreed, and believed in no other form."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from idp.federation.connector import Made, Misconfigured, NotSignedIn, Outcome
from idp.federation.oidc import Oidc
from idp.jose.encrypted import DecryptionKey
from idp.jose.keys import SigningKey
from tests.fixtures.elsewhere import sign_in
from tests.services.envelope import seal
from tests.services.upstream import CLIENT_ID, Claims, Upstream, compact

PEMS = {name: SigningKey.generate(alg).private_pem() for name, alg in (("ec", "ES256"), ("rsa", "RS256"))}
OURS = {name: DecryptionKey.read_pem(pem).public_jwk() for name, pem in PEMS.items()}
STRANGER = DecryptionKey.read_pem(SigningKey.generate("ES256").private_pem()).public_jwk()


def agreed(upstream: Upstream, *, kind: str = "ec", **more: object) -> Oidc:
    """Connect, having agreed on what comes encrypted to our key, or to keys, the one in use first."""
    settings = {"issuer": upstream.issuer, "client_id": CLIENT_ID, **more}
    pem = "".join(PEMS[each].decode() for each in kind.split())
    secrets = {"client_secret": upstream.settings()["client_secret"], "decryption_key": pem}
    if not more.get("encrypted"):
        secrets.pop("decryption_key")
    return Oidc.make(Made(name="elsewhere", config=settings, secrets=secrets))


def refusal(connector: Oidc, upstream: Upstream) -> str:
    """Return why nobody is signed in."""
    with pytest.raises(NotSignedIn) as refused:
        sign_in(connector, upstream)
    assert refused.value.outcome is Outcome.UNTRUSTED
    return refused.value.code


@pytest.mark.spec("OpenID Connect Core section 10.2")
@pytest.mark.parametrize("enc", ["A256GCM", "A128CBC-HS256"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_an_encrypted_id_token_is_opened_and_then_believed(upstream: Upstream, kind: str, enc: str) -> None:
    upstream.answers.sign = lambda claims: seal(OURS[kind], upstream.sign(claims).encode(), enc=enc)

    who = sign_in(agreed(upstream, kind=kind, encrypted=["id_token"]), upstream)

    assert (who.external_id, who.email) == ("u-1", "ada@elsewhere.example")


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("ours", ["ec rsa", "rsa ec"])
def test_while_keys_change_both_open(upstream: Upstream, kind: str, ours: str) -> None:
    upstream.answers.sign = lambda claims: seal(OURS[kind], upstream.sign(claims).encode())
    connector = agreed(upstream, kind=ours, encrypted=["id_token"])

    assert sign_in(connector, upstream).external_id == "u-1"
    assert [each["kid"] for each in connector.public_keys()] == [OURS[each]["kid"] for each in ours.split()]


def test_while_keys_change_a_strangers_opens_as_little(upstream: Upstream) -> None:
    upstream.answers.sign = lambda claims: seal(STRANGER, upstream.sign(claims).encode())

    assert refusal(agreed(upstream, kind="ec rsa", encrypted=["id_token"]), upstream) == "cannot be decrypted"


def signed_info(upstream: Upstream, **changes: object) -> Callable[[Claims], bytes]:
    """Say who somebody is in a signed token."""
    return lambda claims: upstream.sign({"iss": upstream.issuer, "aud": CLIENT_ID, **claims, **changes}).encode()


def sealed(inner: Callable[[Claims], bytes]) -> Callable[[Claims], bytes]:
    """Encrypt it to us as well."""
    return lambda claims: seal(OURS["ec"], inner(claims)).encode()


def plain(claims: Claims) -> bytes:
    """Say it in JSON."""
    return json.dumps(claims).encode()


@pytest.mark.spec("OpenID Connect Core section 5.3.2")
def test_user_info_may_come_signed_encrypted_or_both(upstream: Upstream) -> None:
    upstream.answers.userinfo = signed_info(upstream, name="signed")
    assert sign_in(agreed(upstream, signed_userinfo=True), upstream).claims["name"] == "signed"
    upstream.answers.userinfo = sealed(plain)
    assert sign_in(agreed(upstream, encrypted=["userinfo"]), upstream).claims["name"] == "Ada Lovelace"
    upstream.answers.userinfo = sealed(signed_info(upstream, name="both"))
    both = agreed(upstream, encrypted=["userinfo"], signed_userinfo=True)
    assert sign_in(both, upstream).claims["name"] == "both"


ID_TOKENS: dict[str, tuple[Callable[[Upstream, Claims], str], str]] = {
    "without the envelope": (lambda up, claims: up.sign(claims), "token is not encrypted"),
    "to another key": (lambda up, claims: seal(STRANGER, up.sign(claims).encode()), "cannot be decrypted"),
    "compressed": (lambda up, claims: seal(OURS["ec"], up.sign(claims).encode(), zip_="DEF"), "header has zip"),
    "too large": (lambda up, claims: seal(OURS["ec"], up.sign(claims).encode() * 80), "encrypted token is too long"),
    "not signed inside": (lambda _up, claims: seal(OURS["ec"], plain(claims)), "token has not three parts"),
    "alg none inside": (
        lambda _up, claims: seal(OURS["ec"], compact({"alg": "none"}, claims, lambda _: b"x").encode()),
        "alg is not one of ours",
    ),
    "an envelope in an envelope": (
        lambda up, claims: seal(OURS["ec"], seal(OURS["ec"], up.sign(claims).encode()).encode()),
        "token has not three parts",
    ),
    "signed by another inside": (
        lambda up, claims: seal(
            OURS["ec"],
            compact({"alg": "ES256", "kid": up.keys[0].kid}, claims, SigningKey.generate("ES256").sign).encode(),
        ),
        "signature is wrong",
    ),
    "for another inside": (
        lambda up, claims: seal(OURS["ec"], up.sign({**claims, "aud": "another"}).encode()),
        "aud is another",
    ),
    "not text inside": (lambda _up, _claims: seal(OURS["ec"], b"\xff"), "token is not ASCII"),
}


@pytest.mark.attack("FD17")
@pytest.mark.parametrize("wrong", ID_TOKENS)
def test_an_id_token_that_is_not_as_agreed_signs_nobody_in(upstream: Upstream, wrong: str) -> None:
    make, reason = ID_TOKENS[wrong]
    upstream.answers.sign = lambda claims: make(upstream, claims)

    assert refusal(agreed(upstream, encrypted=["id_token"]), upstream) == reason


INFOS: dict[str, tuple[Callable[[Upstream], Callable[[Claims], bytes]], str]] = {
    "plain": (lambda _up: plain, "token is not encrypted"),
    "signed alone": (signed_info, "token is not encrypted"),
    "encrypted alone": (lambda _up: sealed(plain), "token has not three parts"),
    "to another": (lambda up: lambda claims: seal(STRANGER, signed_info(up)(claims)).encode(), "cannot be decrypted"),
    "of another issuer": (lambda up: sealed(signed_info(up, iss="https://evil.example")), "iss is another"),
    "for another client": (lambda up: sealed(signed_info(up, aud="another")), "aud is another"),
    "for nobody": (lambda up: sealed(signed_info(up, aud=None)), "aud is not text"),
    "expired": (lambda up: sealed(signed_info(up, exp=time.time() - 600)), "token has expired"),
    "about somebody else": (lambda up: sealed(signed_info(up, sub="u-2")), "userinfo is about somebody else"),
    "of another kind": (
        lambda up: sealed(lambda claims: up.sign(claims, typ="at+jwt").encode()),
        "typ is another",
    ),
    "not text": (lambda _up: lambda _claims: b"\xff\xff", "token is not ASCII"),
}


@pytest.mark.attack("FD17", "FD18")
@pytest.mark.parametrize("wrong", INFOS)
def test_user_info_that_is_not_as_agreed_signs_nobody_in(upstream: Upstream, wrong: str) -> None:
    make, reason = INFOS[wrong]
    upstream.answers.userinfo = make(upstream)

    assert refusal(agreed(upstream, encrypted=["userinfo"], signed_userinfo=True), upstream) == reason


@pytest.mark.attack("FD17")
def test_encrypted_user_info_about_somebody_else_signs_nobody_in(upstream: Upstream) -> None:
    upstream.answers.userinfo = sealed(lambda claims: plain({**claims, "sub": "u-2"}))

    assert refusal(agreed(upstream, encrypted=["userinfo"]), upstream) == "userinfo is about somebody else"


@pytest.mark.attack("FD17")
@pytest.mark.spec("OpenID Connect Back-Channel Logout section 2.6")
def test_a_logout_token_comes_as_id_tokens_do(upstream: Upstream) -> None:
    connector = agreed(upstream, encrypted=["id_token"])
    event = {"http://schemas.openid.net/event/backchannel-logout": {}}
    said = {"iss": upstream.issuer, "aud": CLIENT_ID, "iat": int(time.time()), "jti": "j", "sub": "u-1"}
    token = upstream.sign({**said, "events": event}, typ="logout+jwt")

    assert connector.signed_out(seal(OURS["ec"], token.encode())).external_id == "u-1"
    with pytest.raises(NotSignedIn, match="token is not encrypted"):
        connector.signed_out(token)


WRONG: list[tuple[dict[str, object], dict[str, str]]] = [
    ({"encrypted": ["id_token"]}, {}),
    ({}, {"decryption_key": PEMS["ec"].decode()}),
    ({"encrypted": ["everything"]}, {"decryption_key": PEMS["ec"].decode()}),
    ({"encrypted": ["id_token"]}, {"decryption_key": "hello"}),
    ({"encrypted": ["id_token"]}, {"decryption_key": PEMS["ec"].decode() * 5}),
    ({"encrypted": ["id_token"]}, {"decryption_key": PEMS["rsa"].decode() + "-----BEGIN X-----\n-----END X-----"}),
    (
        {"encrypted": ["id_token"]},
        {"decryption_key": PEMS["rsa"].decode() + PEMS["ec"].decode(), "private_key": PEMS["ec"].decode()},
    ),
    ({"encrypted": ["id_token"]}, {"decryption_key": PEMS["ec"].decode(), "private_key": PEMS["ec"].decode() + "\n"}),
]


@pytest.mark.parametrize(("config", "secrets"), WRONG)
def test_refuses_an_agreement_that_makes_no_sense(config: dict[str, object], secrets: dict[str, str]) -> None:
    with pytest.raises(Misconfigured):
        Oidc.make(
            Made(
                name="elsewhere",
                config={"issuer": "https://op.example", "client_id": "x", **config},
                secrets={"client_secret": "s", **secrets},
            )
        )


def test_tells_the_keys_that_the_provider_needs(upstream: Upstream) -> None:
    signing = SigningKey.generate("ES256")
    config = {"issuer": upstream.issuer, "client_id": CLIENT_ID, "encrypted": ["id_token", "userinfo"], "key_id": "k"}
    secrets = {"private_key": signing.private_pem().decode(), "decryption_key": PEMS["rsa"].decode()}

    told = Oidc.make(Made(name="elsewhere", config=config, secrets=secrets)).public_keys()

    assert [(each["use"], each["alg"]) for each in told] == [("sig", "ES256"), ("enc", "RSA-OAEP-256")]
    assert told[0]["kid"] == "k"
    assert not {"d", "p", "q"} & {name for each in told for name in each}


@pytest.mark.parametrize(
    ("offered", "passed", "words"),
    [(["ECDH-ES"], True, "offers"), (["RSA-OAEP"], False, "does not offer"), (None, True, "says nothing")],
)
def test_a_test_says_whether_the_provider_encrypts_as_agreed(
    upstream: Upstream, offered: list[str] | None, *, passed: bool, words: str
) -> None:
    upstream.answers.discovery = lambda document: {**document, "id_token_encryption_alg_values_supported": offered}

    *_, last = agreed(upstream, encrypted=["id_token"]).examine(None)

    assert (last.step, last.passed) == ("encryption", passed)
    assert words in last.words
