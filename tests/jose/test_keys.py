"""Keys: what is strong enough, what is shown, and which one a token gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from math import prod

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from idp.jose.jwk import thumbprint
from idp.jose.keys import ALGS, KeySet, SigningKey, UnknownKey, VerifyingKey
from idp.jose.strict import JoseError
from idp.jose.verify import verify
from tests.jose.forge import ALL, AT, CLAIMS, Workshop, b64, number

PUBLIC_MEMBERS = {
    "ES256": {"kty", "kid", "use", "alg", "crv", "x", "y"},
    "RS256": {"kty", "kid", "use", "alg", "n", "e"},
    "PS256": {"kty", "kid", "use", "alg", "n", "e"},
    "EdDSA": {"kty", "kid", "use", "alg", "crv", "x"},
}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(JoseError) as caught:
        call()
    return caught.value.reason


def pkcs8(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.attack("JO27")
@pytest.mark.spec("RFC 7517 section 9.2")
@pytest.mark.parametrize("alg", ALGS)
def test_shows_public_members_only(alg: str) -> None:
    key = SigningKey.generate(alg)
    jwk = key.public_jwk()
    assert set(jwk) == PUBLIC_MEMBERS[alg]
    assert (jwk["kid"], jwk["alg"], jwk["use"]) == (key.kid, alg, "sig")
    assert "PRIVATE" not in repr(key)


@pytest.mark.parametrize("alg", ALGS)
def test_a_key_survives_its_pem(alg: str) -> None:
    key = SigningKey.generate(alg)
    again = SigningKey.from_pem(key.private_pem(), alg=alg, kid=key.kid)
    assert again.public_jwk() == key.public_jwk()
    assert VerifyingKey.from_jwk(key.public_jwk()).verify(alg, b"a.b", again.sign(b"a.b"))


@pytest.mark.spec("RFC 7638 section 3.1")
def test_names_a_key_by_its_thumbprint() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    assert thumbprint("RSA", {"n": n, "e": "AQAB", "alg": "RS256"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_refuses_a_private_key_under_another_name() -> None:
    key = SigningKey.generate("ES256")
    assert (
        refused(lambda: SigningKey.from_pem(key.private_pem(), alg="ES256", kid="x")) == "private key has another kid"
    )


@pytest.mark.attack("JO17")
def test_refuses_private_keys_that_do_not_fit() -> None:
    edwards = ed448.Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    hidden = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    misfits = [
        ("ES256", pkcs8(ec.generate_private_key(ec.SECP384R1()))),
        ("ES256", pkcs8(ec.generate_private_key(ec.BrainpoolP256R1()))),
        ("ES256", pkcs8(ed25519.Ed25519PrivateKey.generate())),
        ("ES256", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        ("RS256", pkcs8(rsa.generate_private_key(65_537, 1024))),
        ("RS256", pkcs8(rsa.generate_private_key(3, 2048))),
        ("EdDSA", edwards),
        ("EdDSA", hidden),
        ("EdDSA", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("PS256", b""),
    ]
    for alg, pem in misfits:
        assert (
            refused(lambda alg=alg, pem=pem: SigningKey.from_pem(pem, alg=alg, kid="x"))
            != "private key has another kid"
        )


def roca_modulus() -> int:
    """A modulus of the form that CVE-2017-15361 made: both factors k*M + (65537**a mod M)."""
    primes = [p for p in range(2, 702) if all(p % q for q in range(2, p))][:126]
    modulus = prod(primes)
    factors = (k * modulus + pow(65_537, a, modulus) for k, a in ((2**55 + 1, 77), (2**55 + 9, 1234)))
    return prod(factors)


ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"


def wrong_keys(workshop: Workshop) -> dict[str, dict[str, object]]:
    e, n = workshop.jwk("ES256"), workshop.rsa.public_key().public_numbers().n
    r, o = workshop.jwk("RS256"), workshop.jwk("EdDSA")
    point = workshop.ec.public_key().public_numbers()
    montgomery = x25519.X25519PrivateKey.generate().public_key()
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    short = next(
        k for _ in count() if (k := ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()).x < 2**248
    )
    return {
        "RSA 1024": {**r, "n": number(rsa.generate_private_key(65_537, 1024).public_key().public_numbers().n)},
        "RSA 2047 bits": {**r, "n": number((n >> 1) | 1)},
        "RSA 16384 bits": {**r, "n": number(2**16_383 + 1)},
        "RSA n even": {**r, "n": number(n - 1)},
        "RSA n empty": {**r, "n": ""},
        "RSA n with stray bits": {**r, "n": str(r["n"])[:-1] + "B"},
        "RSA e=1": {**r, "e": "AQ"},
        "RSA e=3": {**r, "e": "Aw"},
        "RSA e even": {**r, "e": number(65_538)},
        "RSA e huge": {**r, "e": number(2**65 + 1)},
        "RSA e zero": {**r, "e": "AA"},
        "RSA ROCA": {**r, "n": number(roca_modulus())},
        "RSA n missing": {k: v for k, v in r.items() if k != "n"},
        "EC off the curve": {**e, "y": number(point.y ^ 1, 32)},
        "EC point (0,0)": {**e, "x": b64(bytes(32)), "y": b64(bytes(32))},
        "EC x not below p": {**e, "x": b64(b"\xff" * 32)},
        "EC x short": {**e, "x": number(short.x), "y": number(short.y, 32)},
        "EC x long": {**e, "x": number(point.x, 33)},
        "EC x padded": {**e, "x": str(e["x"]) + "="},
        "EC x a number": {**e, "x": point.x},
        "EC x not ASCII": {**e, "x": "\uff21" * 43},
        "EC P-384 under ES256": {**e, "crv": "P-384", "x": number(p384.x, 48), "y": number(p384.y, 48)},
        "EC says P-521": {**e, "crv": "P-521"},
        "EC secp256k1": {**e, "crv": "secp256k1"},
        "EC crv missing": {k: v for k, v in e.items() if k != "crv"},
        "OKP short": {**o, "x": b64(bytes(31))},
        "OKP Ed448": {**o, "crv": "Ed448", "x": b64(ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw())},
        "OKP X25519": {**o, "crv": "X25519", "x": b64(montgomery.public_bytes_raw())},
        "OKP order 1": {**o, "x": b64(b"\x01" + bytes(31))},
        "OKP order 1, sign bit": {**o, "x": b64(b"\x01" + bytes(30) + b"\x80")},
        "OKP order 2": {**o, "x": b64((2**255 - 20).to_bytes(32, "little"))},
        "OKP order 4": {**o, "x": b64(bytes(32))},
        "OKP order 8": {**o, "x": b64(bytes.fromhex(ORDER_8))},
        "OKP spelt above p": {**o, "x": b64((2**255 - 19 + 4).to_bytes(32, "little"))},
        "alg of another type": {**e, "alg": "RS256"},
        "alg of another size": {**e, "alg": "ES384"},
        "alg not text": {**e, "alg": ["ES256"]},
        "kty unknown": {**e, "kty": "LWE"},
        "kty a list": {**e, "kty": ["EC"]},
        "kty missing": {k: v for k, v in e.items() if k != "kty"},
        "kid a number": {**e, "kid": 7},
        "oct": {"kty": "oct", "k": b64(bytes(32)), "kid": "ES256", "alg": "HS256"},
        "oct, empty": {"kty": "oct", "k": "", "kid": "ES256", "alg": "HS256"},
        "use enc": {**e, "use": "enc"},
        "use a list": {**e, "use": ["sig"]},
        "key_ops without verify": {**e, "key_ops": ["encrypt"]},
        "key_ops empty": {**e, "key_ops": []},
        "key_ops text": {**e, "key_ops": "verify"},
        "key_ops null": {**e, "key_ops": None},
    }  # fmt: skip


WRONG = wrong_keys(Workshop())


@pytest.mark.attack("JO17")
@pytest.mark.attack("JO18")
@pytest.mark.parametrize("name", WRONG)
def test_refuses_a_wrong_key_among_our_own_and_drops_it_from_a_foreign_set(workshop: Workshop, name: str) -> None:
    assert refused(lambda: VerifyingKey.from_jwk(WRONG[name]))
    assert refused(lambda: KeySet.from_own([workshop.jwk("EdDSA"), WRONG[name]]))
    assert len(KeySet.from_remote({"keys": [workshop.jwk("EdDSA"), WRONG[name]]}).keys) == 1


@pytest.mark.attack("JO18")
@pytest.mark.parametrize("members", [{}, {"use": "sig"}, {"key_ops": ["verify"]}, {"key_ops": ["verify", "sign"]}])
def test_takes_a_key_that_is_for_verification(workshop: Workshop, members: dict[str, object]) -> None:
    jwk = workshop.jwk("ES256") | members
    assert KeySet.from_own([jwk]).keys[0].algs == {"ES256"}


@pytest.mark.attack("JO6")
@pytest.mark.spec("RFC 7517 section 4.5")
def test_refuses_two_own_keys_of_one_name(workshop: Workshop) -> None:
    twin = Workshop().jwk("ES256")
    assert refused(lambda: KeySet.from_own([workshop.jwk("ES256"), twin])) == "own keys need one kid each"
    nameless = {k: v for k, v in twin.items() if k != "kid"}
    assert refused(lambda: KeySet.from_own([nameless])) == "own keys need one kid each"


@pytest.mark.attack("JO6")
def test_refuses_a_secret_beside_own_public_keys(workshop: Workshop) -> None:
    assert refused(lambda: KeySet.from_own([workshop.jwk("RS256"), WRONG["oct"]]))


@pytest.mark.attack("JO6")
def test_selects_among_foreign_keys_of_one_name_by_algorithm(workshop: Workshop) -> None:
    keys = [workshop.jwk(alg, kid="same") for alg in ALGS]
    shared = KeySet.from_remote({"keys": keys})
    for alg in ALGS:
        token = workshop.token({"alg": alg, "typ": "at+jwt", "kid": "same"}, alg=alg)
        assert verify(token, shared, typ=AT, algs=ALL, foreign=True).claims == CLAIMS


@pytest.mark.attack("JO6")
def test_refuses_a_token_when_two_foreign_keys_fit(workshop: Workshop) -> None:
    ambiguous = KeySet.from_remote({"keys": [workshop.jwk("ES256"), Workshop().jwk("ES256")]})
    with pytest.raises(UnknownKey):
        verify(workshop.token(), ambiguous, typ=AT, algs=ALL, foreign=True)


@pytest.mark.attack("JO6")
@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_a_foreign_rsa_key_without_alg_serves_both_paddings(workshop: Workshop, alg: str) -> None:
    jwk = {k: v for k, v in workshop.jwk("RS256", kid=alg).items() if k != "alg"}
    keys = KeySet.from_remote(json.dumps({"keys": [jwk, WRONG["oct"], "text", None, {}]}).encode())
    assert verify(workshop.token(alg=alg), keys, typ=AT, algs=ALL, foreign=True).claims == CLAIMS


@pytest.mark.attack("JO20")
def test_a_key_refuses_to_verify_for_another_algorithm(workshop: Workshop) -> None:
    key = VerifyingKey.from_jwk(workshop.jwk("RS256"))
    assert refused(lambda: key.verify("PS256", b"a.b", b"")) == "key is for another alg"
    nameless = KeySet.from_remote({"keys": [{k: v for k, v in workshop.jwk("ES256").items() if k != "kid"}]})
    with pytest.raises(UnknownKey):
        nameless.select({"alg": "ES256", "kid": "ES256"}, ALL)


@pytest.mark.attack("JO26")
@pytest.mark.spec("RFC 8725 section 3.10")
def test_refuses_a_set_of_5_megabytes_unread() -> None:
    document = b'{"keys":[' + b" " * 5_000_000 + b"]}"
    assert refused(lambda: KeySet.from_remote(document)) == "key set is too long"


@pytest.mark.attack("JO26")
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_refuses_a_set_that_shows_private_numbers(workshop: Workshop, member: str) -> None:
    document = {"keys": [workshop.jwk("ES256"), workshop.jwk("RS256", **{member: "AQAB"})]}
    assert refused(lambda: KeySet.from_remote(document)) == "key set shows a private key"
    assert refused(lambda: KeySet.from_own(document["keys"])) == "key has private members"


@pytest.mark.attack("JO26")
@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"<html>", b'{"keys":[],"keys":[]}', {}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [{}]},
     {"keys": [{"kty": "oct", "k": "AAAA"}]}, {"keys": [{}] * 501}],
)  # fmt: skip
def test_refuses_a_set_without_a_usable_key_so_that_the_old_one_is_kept(document: bytes | dict[str, object]) -> None:
    assert refused(lambda: KeySet.from_remote(document))


@pytest.mark.parametrize("alg", ["none", "HS256", "Ed448", "", 7, None])
def test_makes_no_key_for_another_algorithm(alg: str) -> None:
    assert refused(lambda: SigningKey.generate(alg)) == "alg is not one of ours"
