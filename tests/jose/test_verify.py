"""Verification: the key is ours, the alg is the key's, and every claim means one thing."""

from __future__ import annotations

import hmac
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from idp.jose.keys import KeySet, UnknownKey
from idp.jose.strict import JoseError, b64encode, split
from idp.jose.verify import check_audience, check_issuer, check_times, media_type, verify
from tests.jose.forge import ALL, AT, AUDIENCE, CLAIMS, ISSUER, NOW, Workshop, b64, segment

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def reason(token: str, keys: KeySet, *, algs: frozenset[str] = ALL, foreign: bool = False) -> str:
    with pytest.raises(JoseError) as caught:
        verify(token, keys, typ=AT, algs=algs, foreign=foreign)
    return caught.value.reason


@pytest.mark.parametrize("alg", sorted(ALL))
def test_verifies_a_token_of_every_algorithm(workshop: Workshop, own: KeySet, alg: str) -> None:
    verified = verify(workshop.token(alg=alg), own, typ=AT, algs=frozenset({alg}))
    assert verified.claims == CLAIMS
    assert verified.header["kid"] == alg


@pytest.mark.attack("JO1")
@pytest.mark.spec("RFC 8725 section 3.1")
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "none ", " none", "n\u043ene", "none\x00", ""])
@pytest.mark.parametrize("signature", ["", "AA", "signed"])
def test_refuses_alg_none(workshop: Workshop, own: KeySet, alg: str, signature: str) -> None:
    token = workshop.token({"alg": alg, "typ": "at+jwt", "kid": "ES256"})
    if signature != "signed":
        token = token.rpartition(".")[0] + "." + signature
    assert reason(token, own, algs=ALL | {alg})


@pytest.mark.attack("JO2")
@pytest.mark.parametrize("allowed", [ALL, ALL | {"HS256"}], ids=["HS256 not allowed", "HS256 allowed"])
@pytest.mark.parametrize("form", ["pem", "der", "jwk", "n", "empty"])
def test_refuses_a_mac_keyed_by_a_public_key(
    workshop: Workshop, own: KeySet, form: str, allowed: frozenset[str]
) -> None:
    public = workshop.rsa.public_key()
    secret = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(workshop.jwk("RS256")).encode(),
        "n": public.public_numbers().n.to_bytes(256),
        "empty": b"",
    }[form]
    signing_input = f"{segment({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'RS256'})}.{segment(CLAIMS)}"
    token = f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), 'sha256'))}"
    assert reason(token, own, algs=allowed) == "alg is not one of ours"


def embedded(stranger: Workshop) -> dict[str, Any]:
    return {
        "jwk": stranger.jwk("ES256"),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "x5c": [b64(b"certificate")],
    }


@pytest.fixture
def no_packets(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Give what this thread asks of the network; what another test left running may go on asking."""
    sent: list[object] = []
    me = threading.get_ident()

    def noting(original: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*given: Any, **options: Any) -> Any:
            if threading.get_ident() == me:
                sent.append(given)
            return original(*given, **options)

        return ask

    monkeypatch.setattr(socket.socket, "__init__", noting(socket.socket.__init__))
    monkeypatch.setattr(socket, "getaddrinfo", noting(socket.getaddrinfo))
    return sent


def test_the_watch_sees_a_socket_of_this_thread(no_packets: list[object]) -> None:
    socket.socket().close()
    assert len(no_packets) == 1


@pytest.mark.attack("JO3")
@pytest.mark.attack("JO4")
@pytest.mark.spec("RFC 8725 section 3.10")
@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_refuses_own_tokens_that_carry_a_key(
    workshop: Workshop, own: KeySet, name: str, no_packets: list[object]
) -> None:
    token = workshop.with_header(**{name: embedded(Workshop())[name]})
    assert reason(token, own) == "header carries a key"
    assert no_packets == []


@pytest.mark.attack("JO3")
@pytest.mark.attack("JO4")
@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_ignores_a_key_in_a_foreign_token(workshop: Workshop, own: KeySet, name: str, no_packets: list[object]) -> None:
    stranger = Workshop()
    header = {name: embedded(stranger)[name]}
    assert verify(workshop.with_header(**header), own, typ=AT, algs=ALL, foreign=True).claims == CLAIMS
    assert reason(stranger.with_header(**header), own, foreign=True) == "signature is wrong"
    assert no_packets == []


@pytest.mark.attack("JO5")
@pytest.mark.parametrize(
    "kid",
    ["../../../../dev/null", "' OR 1=1 --", "ES256\x00", "es256", "ES256 ", "", "x" * 10_000, "\u212a", "__class__"],
)
def test_an_odd_kid_is_only_a_miss(workshop: Workshop, own: KeySet, kid: str) -> None:
    with pytest.raises(UnknownKey):
        verify(workshop.with_header(kid=kid), own, typ=AT, algs=ALL)


@pytest.mark.attack("JO5")
def test_a_kid_of_100_kilobytes_is_refused_for_its_length(workshop: Workshop, own: KeySet) -> None:
    assert reason(workshop.with_header(kid="x" * 100_000), own) == "token is too long"


@pytest.mark.attack("JO16")
def test_the_high_s_twin_has_the_same_jti_so_a_denylist_by_jti_holds(workshop: Workshop, own: KeySet) -> None:
    token = workshop.token()
    signing_input, _, signature = token.rpartition(".")
    raw = split(token).signature
    twin_s = P256_ORDER - int.from_bytes(raw[32:])
    twin = f"{signing_input}.{b64(raw[:32] + twin_s.to_bytes(32))}"
    assert twin != token
    assert verify(twin, own, typ=AT, algs=ALL).claims["jti"] == CLAIMS["jti"]
    assert signature


@pytest.mark.attack("JO20")
@pytest.mark.parametrize("kid", sorted(ALL))
@pytest.mark.parametrize("alg", sorted(ALL))
def test_a_key_serves_its_own_algorithm_only(workshop: Workshop, own: KeySet, alg: str, kid: str) -> None:
    token = workshop.token({"alg": alg, "typ": "at+jwt", "kid": kid}, alg=alg)
    if alg == kid:
        assert verify(token, own, typ=AT, algs=ALL)
        return
    assert reason(token, own) == "no single key fits the token"


@pytest.mark.attack("JO20")
def test_refuses_an_algorithm_the_caller_does_not_allow(workshop: Workshop, own: KeySet) -> None:
    assert reason(workshop.token(), own, algs=frozenset({"RS256"})) == "alg is not allowed here"
    assert reason(workshop.token(), own, algs=frozenset()) == "alg is not allowed here"


@pytest.mark.attack("JO20")
@pytest.mark.spec("RFC 9864 section 2.2")
def test_ed25519_and_eddsa_are_one_algorithm(workshop: Workshop, own: KeySet) -> None:
    token = workshop.token({"alg": "Ed25519", "typ": "at+jwt", "kid": "EdDSA"}, alg="EdDSA")
    assert verify(token, own, typ=AT, algs=frozenset({"EdDSA"})).claims == CLAIMS
    fully_named = KeySet.from_own([workshop.jwk("EdDSA", alg="Ed25519")])
    assert verify(workshop.token(alg="EdDSA"), fully_named, typ=AT, algs=frozenset({"EdDSA"}))


@pytest.mark.attack("JO20")
@pytest.mark.parametrize(
    "alg",
    [
        "Ed448",
        "ES384",
        "ES512",
        "ES256K",
        "RS1",
        "RS384",
        "RS512",
        "PS384",
        "PS512",
        "HS256",
        "dir",
        "RSA-OAEP",
        "es256",
        "ES256 ",
        "EDDSA",
        "ed25519",
    ],
)
def test_refuses_every_other_algorithm(workshop: Workshop, own: KeySet, alg: str) -> None:
    token = workshop.token({"alg": alg, "typ": "at+jwt", "kid": "ES256"})
    assert reason(token, own, algs=ALL | {alg}) == "alg is not one of ours"


@pytest.mark.attack("JO21")
@pytest.mark.spec("RFC 7519 section 4.1.4")
@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None},
        {"exp": str(NOW + 600)},
        {"exp": True},
        {"exp": [NOW + 600]},
        {"exp": {"a": 1}},
        {"exp": 1e30},
        {"exp": 10**20},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": -1},
        {"exp": NOW - 30},
        {"exp": NOW - 600},
        {"exp": 0},
        {"nbf": NOW + 61},
        {"nbf": NOW + 31},
        {"nbf": "0"},
        {"nbf": False},
        {"iat": NOW + 61},
        {"iat": NOW + 31},
        {"iat": "0"},
        {"iat": [1]},
        {"iat": None},
    ],
)
def test_refuses_wrong_times(changed: dict[str, object]) -> None:
    claims = {**CLAIMS, **changed}
    if changed == {"exp": None}:
        del claims["exp"]
    with pytest.raises(JoseError):
        check_times(claims, NOW)


@pytest.mark.attack("JO21")
@pytest.mark.parametrize("changed", [{"exp": NOW - 29}, {"exp": NOW + 0.5}, {"nbf": NOW + 30}, {"iat": NOW + 30}])
def test_accepts_times_within_the_leeway(changed: dict[str, object]) -> None:
    check_times({**CLAIMS, **changed}, NOW)


@pytest.mark.attack("JO21")
def test_no_setting_makes_the_leeway_longer_than_a_minute() -> None:
    with pytest.raises(JoseError):
        check_times({**CLAIMS, "nbf": NOW + 61}, NOW, leeway=3_600)
    check_times({**CLAIMS, "nbf": NOW + 60}, NOW, leeway=3_600)


@pytest.mark.attack("JO21")
def test_a_proof_or_event_may_have_no_exp_but_a_wrong_one_still_counts() -> None:
    check_times({"iat": NOW}, NOW, require_exp=False)
    with pytest.raises(JoseError):
        check_times({"iat": NOW, "exp": NOW - 60}, NOW, require_exp=False)


@pytest.mark.attack("JO22")
@pytest.mark.spec("RFC 7519 section 4.1.3")
@pytest.mark.parametrize(
    "aud",
    [
        None, "", [], {}, {AUDIENCE: 1}, 1, True, AUDIENCE[:-1], AUDIENCE + "/", AUDIENCE.upper(), [AUDIENCE + "x"],
        [AUDIENCE, 1], [AUDIENCE, None], [[AUDIENCE]], f"{AUDIENCE} https://other.example",
    ],
)  # fmt: skip
def test_refuses_a_wrong_audience(aud: object) -> None:
    with pytest.raises(JoseError):
        check_audience({"aud": aud}, AUDIENCE)


@pytest.mark.attack("JO22")
def test_refuses_an_absent_audience() -> None:
    with pytest.raises(JoseError):
        check_audience({}, AUDIENCE)


@pytest.mark.attack("JO22")
@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["https://other.example", AUDIENCE]])
def test_accepts_the_audience_whole(aud: object) -> None:
    check_audience({"aud": aud}, AUDIENCE)
    check_audience({"aud": aud}, frozenset({"https://third.example", AUDIENCE}))


@pytest.mark.attack("JO22")
def test_can_demand_exactly_one_audience() -> None:
    check_audience({"aud": [AUDIENCE]}, AUDIENCE, exactly_one=True)
    with pytest.raises(JoseError):
        check_audience({"aud": [AUDIENCE, "https://other.example"]}, AUDIENCE, exactly_one=True)
    with pytest.raises(JoseError):
        check_audience({"aud": [AUDIENCE, AUDIENCE]}, AUDIENCE, exactly_one=True)


def test_an_empty_set_of_audiences_refuses() -> None:
    with pytest.raises(JoseError):
        check_audience({"aud": AUDIENCE}, frozenset())


@pytest.mark.attack("JO22")
@pytest.mark.spec("RFC 8725 section 3.8")
@pytest.mark.parametrize("iss", [None, "", ISSUER[:-1], ISSUER + "/", ISSUER.upper(), [ISSUER], {ISSUER: 1}, 1])
def test_refuses_a_wrong_issuer(iss: object) -> None:
    with pytest.raises(JoseError):
        check_issuer({"iss": iss}, ISSUER)


@pytest.mark.attack("JO23")
@pytest.mark.spec("RFC 9068 section 4")
@pytest.mark.parametrize(
    "typ",
    [
        "JWT",
        "jwt",
        "",
        "logout+jwt",
        "at+jwt ",
        "at",
        "text/at+jwt",
        "application/application/at+jwt",
        "application/at+jwt/x",
        "application/",
        "at+jwt; a=b",
        "a\u0442+jwt",
    ],
)
def test_refuses_another_typ(workshop: Workshop, own: KeySet, typ: str) -> None:
    assert reason(workshop.with_header(typ=typ), own) == "typ is another"


@pytest.mark.attack("JO23")
def test_refuses_an_absent_typ(workshop: Workshop, own: KeySet) -> None:
    assert reason(workshop.token({"alg": "ES256", "kid": "ES256"}), own) == "typ is another"


@pytest.mark.attack("JO23")
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_accepts_every_spelling_of_its_typ(workshop: Workshop, own: KeySet, typ: str) -> None:
    assert verify(workshop.with_header(typ=typ), own, typ=AT, algs=ALL).claims == CLAIMS


def test_an_absent_typ_can_be_allowed_by_name(workshop: Workshop, own: KeySet) -> None:
    token = workshop.token({"alg": "ES256", "kid": "ES256"})
    assert media_type(split(token)) == ""
    assert verify(token, own, typ=frozenset({"", "jwt"}), algs=ALL).claims == CLAIMS


def test_a_token_without_kid_needs_a_single_fitting_key(workshop: Workshop, own: KeySet) -> None:
    token = workshop.token({"alg": "ES256", "typ": "at+jwt"})
    assert verify(token, own, typ=AT, algs=ALL).claims == CLAIMS
    two = KeySet.from_own([workshop.jwk("ES256"), Workshop().jwk("ES256", kid="other")])
    assert reason(token, two) == "no single key fits the token"


def test_refuses_changed_claims(workshop: Workshop, own: KeySet) -> None:
    head, _, signature = workshop.token().split(".")
    assert reason(f"{head}.{segment({**CLAIMS, 'sub': 'root'})}.{signature}", own) == "signature is wrong"


def test_refuses_a_signed_payload_that_is_not_an_object(workshop: Workshop, own: KeySet) -> None:
    assert reason(workshop.token(claims=b"[1]"), own) == "JSON is not an object"


@pytest.mark.attack("JO25")
@pytest.mark.parametrize("cty", ["JWT", None])
def test_refuses_a_token_inside_a_token(workshop: Workshop, own: KeySet, cty: str | None) -> None:
    header = {"alg": "ES256", "typ": "at+jwt", "kid": "ES256"} | ({"cty": cty} if cty else {})
    assert reason(workshop.token(header, workshop.token().encode()), own)


def test_base64url_of_the_forge_is_ours() -> None:
    assert b64(b"\xfb\xff") == b64encode(b"\xfb\xff").decode()
