"""What was encrypted for us: opened when it is of our algorithms and whole, else refused with one word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from idp.jose.encrypted import MAX_ENCRYPTED, DecryptionKey
from idp.jose.strict import JoseError
from tests.jose.forge import Workshop
from tests.services.envelope import seal

SECRET = b'{"sub": "u-1"}'


def pem(key: Any) -> bytes:
    """Write a private key as operators have it."""
    plain: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return plain


@pytest.fixture(scope="module", params=["ec", "rsa"])
def key(request: pytest.FixtureRequest, workshop: Workshop) -> DecryptionKey:
    """A key of each kind."""
    return DecryptionKey.read_pem(pem(getattr(workshop, request.param)))


@pytest.fixture(scope="module")
def elliptic(workshop: Workshop) -> DecryptionKey:
    """One with which both sides agree on a key."""
    return DecryptionKey.read_pem(pem(workshop.ec))


def refusal(key: DecryptionKey, token: str) -> str:
    """Return why it is not opened."""
    with pytest.raises(JoseError) as refused:
        key.open(token)
    return refused.value.reason


@pytest.mark.spec("RFC 7516 section 5.2")
@pytest.mark.parametrize("enc", ["A256GCM", "A128CBC-HS256"])
@pytest.mark.parametrize("cty", ["JWT", "jwt", "application/json", None])
def test_opens_what_was_encrypted_to_it(key: DecryptionKey, enc: str, cty: str | None) -> None:
    assert key.open(seal(key.public_jwk(), SECRET, enc=enc, cty=cty)) == SECRET


def test_its_public_half_says_what_it_is_for_and_nothing_private(key: DecryptionKey) -> None:
    public = key.public_jwk()

    assert (public["use"], public["alg"], public["kid"]) == ("enc", key.alg, key.kid)
    assert public.keys().isdisjoint({"d", "p", "q"})
    assert "_key" not in repr(key)


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "another way to the key": ({"alg": "RSA1_5"}, "alg is another"),
    "a password": ({"alg": "PBES2-HS256+A128KW", "p2c": 10**9, "p2s": "AAAA"}, "alg is another"),
    "a shared key": ({"alg": "dir"}, "alg is another"),
    "no alg": ({"alg": None}, "alg is another"),
    "alg is a list": ({"alg": ["ECDH-ES"]}, "alg is another"),
    "an enc that is not ours": ({"enc": "A128GCM"}, "enc is not allowed here"),
    "no enc": ({"enc": "none"}, "enc is not allowed here"),
    "compressed": ({"zip": "DEF"}, "header has zip"),
    "compressed by nothing": ({"zip": ""}, "header has zip"),
    "an extension": ({"crit": ["exp"], "exp": 1}, "header has crit"),
    "kid is a number": ({"kid": 7}, "header is not text where it must be"),
    "apu is a list": ({"apu": []}, "header is not text where it must be"),
    "something else inside": ({"cty": "text/html"}, "cty is another"),
}


@pytest.mark.attack("FD17")
@pytest.mark.spec("RFC 8725 section 3.1")
@pytest.mark.parametrize("wrong", HEADERS)
def test_refuses_a_header_before_any_key_is_used(
    key: DecryptionKey, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    header, reason = HEADERS[wrong]
    token = seal(key.public_jwk(), SECRET, **{f"{name}_": value for name, value in header.items()})
    monkeypatch.setattr("idp.jose.encrypted.decrypt_compact", None)

    assert refusal(key, token) == reason


def part(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    """Change one of the five parts."""

    def bend(token: str) -> str:
        parts = token.split(".")
        parts[number] = change(parts[number])
        return ".".join(parts)

    return bend


def other(text: str) -> str:
    """Change the first letter."""
    return ("B" if text[0] == "A" else "A") + text[1:]


SHAPES: dict[str, tuple[Callable[[str], str], str]] = {
    "a signed token": (lambda token: ".".join(token.split(".")[:3]), "token is not encrypted"),
    "nothing": (lambda _token: "", "token is not encrypted"),
    "too long": (lambda token: token + "A" * MAX_ENCRYPTED, "encrypted token is too long"),
    "not ASCII": (lambda token: token + "\u0430", "token is not ASCII"),
    "a header that is no JSON": (part(0, lambda _head: "e30x"), "JSON is malformed"),
    "padding": (part(3, lambda text: text + "="), "not base64url"),
    "a short tag": (part(4, lambda text: text[:16]), "tag has another length"),
    "no tag": (part(4, lambda _text: ""), "tag has another length"),
    "another tag": (part(4, other), "cannot be decrypted"),
    "another text": (part(3, other), "cannot be decrypted"),
    "another vector": (part(2, other), "cannot be decrypted"),
    "a short vector": (part(2, lambda _text: "AAAA"), "cannot be decrypted"),
    "no text": (part(3, lambda _text: ""), "cannot be decrypted"),
}


@pytest.mark.attack("FD17")
@pytest.mark.spec("RFC 7516 section 5.2")
@pytest.mark.parametrize("enc", ["A256GCM", "A128CBC-HS256"])
@pytest.mark.parametrize("wrong", SHAPES)
def test_refuses_what_is_not_whole(key: DecryptionKey, enc: str, wrong: str) -> None:
    bend, reason = SHAPES[wrong]

    assert refusal(key, bend(seal(key.public_jwk(), SECRET, enc=enc))) == reason


@pytest.mark.attack("FD17")
def test_refuses_what_was_encrypted_to_another(key: DecryptionKey) -> None:
    elliptic = key.alg == "ECDH-ES"
    raw = ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa.generate_private_key(65_537, 2048)
    token = seal(DecryptionKey.read_pem(pem(raw)).public_jwk(), SECRET)

    assert refusal(key, token) == "cannot be decrypted"


@pytest.mark.attack("FD17")
def test_a_key_that_is_agreed_on_is_not_wrapped_as_well(elliptic: DecryptionKey) -> None:
    token = part(1, lambda _text: "AAAA")(seal(elliptic.public_jwk(), SECRET))

    assert refusal(elliptic, token) == "encrypted key is not empty"


POINT = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
EPHEMERAL: dict[str, tuple[object, str]] = {
    "none": (None, "epk is not a public key"),
    "text": ("EC", "epk is not a public key"),
    "of another kind": ({"kty": "OKP", "crv": "X25519", "x": POINT}, "epk is not a public key"),
    "of another curve": ({"kty": "EC", "crv": "P-384", "x": POINT, "y": POINT}, "key curve is not one of ours"),
    "not on the curve": ({"kty": "EC", "crv": "P-256", "x": POINT, "y": POINT}, "cannot be decrypted"),
    "private": ({"kty": "EC", "crv": "P-256", "x": POINT, "y": POINT, "d": POINT}, "epk is not a public key"),
    "too short": ({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": POINT}, "key coordinate has the wrong length"),
}


@pytest.mark.attack("FD17")
@pytest.mark.spec("RFC 7518 section 4.6")
@pytest.mark.parametrize("wrong", EPHEMERAL)
def test_refuses_to_agree_with_a_key_that_is_none(elliptic: DecryptionKey, wrong: str) -> None:
    jwk, reason = EPHEMERAL[wrong]

    assert refusal(elliptic, seal(elliptic.public_jwk(), SECRET, epk_=jwk)) == reason


WEAK: dict[str, Callable[[], bytes]] = {
    "another curve": lambda: pem(ec.generate_private_key(ec.SECP384R1())),
    "too short": lambda: pem(rsa.generate_private_key(65_537, 1024)),
    "no kind of ours": lambda: pem(ed25519.Ed25519PrivateKey.generate()),
    "no key": lambda: b"hello",
    "public": lambda: (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    ),
}


@pytest.mark.parametrize("wrong", WEAK)
def test_refuses_a_key_that_is_not_fit_for_it(wrong: str) -> None:
    with pytest.raises(JoseError):
        DecryptionKey.read_pem(WEAK[wrong]())
