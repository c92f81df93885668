from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.jose.dpop import ALGS, WINDOW, Proof, verify_proof
from idp.jose.strict import JoseError
from tests.fixtures.dpop import Prover, part

pytestmark = [pytest.mark.attack("TK30"), pytest.mark.spec("RFC 9449 section 4.3")]

METHOD, ADDRESS, TOKEN = "POST", "https://idp.example/token", "a.b.c"
PROVER = Prover()


def check(proof: str, *, now: float | None = None, **more: Any) -> Proof:
    moment = time.time() if now is None else now
    return verify_proof(proof, **{"method": METHOD, "addresses": (ADDRESS,), "now": moment, **more})


def refused(proof: str, **more: Any) -> str:
    with pytest.raises(JoseError) as found:
        check(proof, **more)
    return found.value.reason


@pytest.mark.parametrize("alg", ALGS)
def test_a_good_proof_names_its_key(alg: str) -> None:
    prover = Prover(alg)
    proof = check(prover.proof(METHOD, ADDRESS, jti="one", iat=1_000), now=1_010.0)
    assert (proof.jkt, proof.jti, proof.nonce, proof.ends) == (prover.jkt, "one", None, 1_000 + WINDOW)


def test_query_and_fragment_are_ignored_and_not_refused() -> None:
    assert check(PROVER.proof(METHOD, ADDRESS + "?a=b#c"))


def test_a_key_may_say_what_it_is_for() -> None:
    jwk = {**PROVER.jwk, "use": "sig", "alg": "ES256", "key_ops": ["verify"], "kid": "mine"}
    assert check(PROVER.signed(PROVER.header(jwk=jwk), PROVER.claims(METHOD, ADDRESS))).jkt == PROVER.jkt


@pytest.mark.parametrize("typ", ["dpop+jwt", "DPoP+JWT", "application/dpop+jwt"])
def test_typ_is_a_media_type(typ: str) -> None:
    assert check(PROVER.signed(PROVER.header(typ=typ), PROVER.claims(METHOD, ADDRESS)))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": None}, "proof typ is another"),
        ({"typ": "JWT"}, "proof typ is another"),
        ({"typ": "at+jwt"}, "proof typ is another"),
        ({"alg": "none"}, "alg is not one of ours"),
        ({"alg": "HS256"}, "alg is not one of ours"),
        ({"alg": "ES384"}, "alg is not one of ours"),
        ({"alg": "RS256"}, "key is for another alg"),
        ({"alg": None}, "header alg is not text"),
        ({"jwk": None}, "proof has no key"),
        ({"jwk": "ES256"}, "proof has no key"),
        ({"jwk": {}}, "key type is not one of ours"),
        ({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, "key type is not one of ours"),
        ({"jwk": {**PROVER.jwk, "d": "AAAA"}}, "key has private members"),
        ({"jwk": {**PROVER.jwk, "use": "enc"}}, "key is not for signatures"),
        ({"jwk": {**PROVER.jwk, "crv": "P-384"}}, "key curve is not one of ours"),
        ({"jku": "https://evil.example/jwks"}, "proof has more than one key"),
        ({"x5c": ["AAAA"]}, "proof has more than one key"),
        ({"crit": ["exp"]}, "header has crit"),
        ({"b64": False}, "header has b64"),
    ],
)
def test_another_header_is_refused(header: dict[str, Any], reason: str) -> None:
    assert refused(PROVER.signed(PROVER.header(**header), PROVER.claims(METHOD, ADDRESS))) == reason


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"jti": None}, "proof jti is absent or too long"),
        ({"jti": ""}, "proof jti is absent or too long"),
        ({"jti": 7}, "proof jti is absent or too long"),
        ({"jti": "j" * 257}, "proof jti is absent or too long"),
        ({"htm": None}, "proof htm is another"),
        ({"htm": "GET"}, "proof htm is another"),
        ({"htm": "post"}, "proof htm is another"),
        ({"htu": None}, "proof htu is another"),
        ({"htu": ["https://idp.example/token"]}, "proof htu is another"),
        ({"htu": "https://idp.example/authorize"}, "proof htu is another"),
        ({"htu": "http://idp.example/token"}, "proof htu is another"),
        ({"iat": None}, "proof iat is absent"),
        ({"iat": "now"}, "date is not a number"),
        ({"iat": True}, "date is not a number"),
        ({"iat": 939}, "proof is too old"),
        ({"iat": 1_061}, "token is from the future"),
        ({"exp": 900}, "token has expired"),
        ({"nbf": 2_000}, "token is not valid yet"),
        ({"nonce": 7}, "proof nonce is not text"),
    ],
)
def test_other_claims_are_refused(claims: dict[str, Any], reason: str) -> None:
    usual = PROVER.claims(METHOD, ADDRESS, iat=1_000)
    changed = {name: value for name, value in (usual | claims).items() if value is not None}
    assert refused(PROVER.signed(PROVER.header(), changed), now=1_000.0) == reason


@pytest.mark.parametrize("iat", [940, 940.5, 1_060])
def test_a_minute_either_way_is_allowed(iat: float) -> None:
    assert check(PROVER.proof(METHOD, ADDRESS, iat=iat), now=1_000.0)


def test_two_proofs_in_one_header_are_none() -> None:
    two = ",".join([PROVER.proof(METHOD, ADDRESS), PROVER.proof(METHOD, ADDRESS)])
    assert refused(two) == "token has not three parts"
    assert refused(PROVER.proof(METHOD, ADDRESS) + ",")


@pytest.mark.parametrize("given_", ["", "proof", "a.b", "..", "é.e.e", "x" * 9_000])
def test_what_is_no_jwt_is_no_proof(given_: str) -> None:
    assert refused(given_)


def test_a_proof_of_another_key_is_refused() -> None:
    other = Prover()
    assert refused(other.signed(PROVER.header(), PROVER.claims(METHOD, ADDRESS))) == "proof signature is wrong"


def test_a_proof_that_was_changed_is_refused() -> None:
    head, _, signature = PROVER.proof(METHOD, ADDRESS).split(".")
    body = part(PROVER.claims(METHOD, ADDRESS, jti="another"))
    assert refused(f"{head}.{body}.{signature}") == "proof signature is wrong"


def test_a_long_header_is_read_as_well() -> None:
    long = PROVER.header(kid="k" * 900)
    assert check(PROVER.signed(long, PROVER.claims(METHOD, ADDRESS))).jkt == PROVER.jkt


def test_a_proof_beside_a_token_is_for_that_token() -> None:
    assert check(PROVER.proof(METHOD, ADDRESS, TOKEN), access_token=TOKEN)
    assert check(PROVER.proof(METHOD, ADDRESS, TOKEN))  # where no token comes along, ath says nothing


@pytest.mark.parametrize("ath", [None, "", "another", 7, "\ud800"])
def test_another_ath_is_refused(ath: object) -> None:
    assert refused(PROVER.proof(METHOD, ADDRESS, TOKEN, ath=ath), access_token=TOKEN)


def test_used_up_is_an_id_of_a_key_and_not_of_everybody() -> None:
    mine, again = (check(PROVER.proof(METHOD, ADDRESS, jti="same")) for _ in range(2))
    others = check(Prover().proof(METHOD, ADDRESS, jti="same"))
    assert mine.key == again.key != others.key


def test_a_nonce_is_handed_on() -> None:
    assert check(PROVER.proof(METHOD, ADDRESS, nonce="n-1")).nonce == "n-1"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(name=st.sampled_from(["jti", "htm", "htu", "iat", "exp", "nbf", "nonce", "ath"]), value=VALUES)
def test_whatever_a_claim_holds_the_answer_is_yes_or_a_refusal(name: str, value: object) -> None:
    claims = PROVER.claims(METHOD, ADDRESS, TOKEN) | {name: value}
    try:
        found = check(PROVER.signed(PROVER.header(), claims), access_token=TOKEN)
    except JoseError:
        return
    assert (found.jkt, claims["htm"]) == (PROVER.jkt, METHOD)


@settings(deadline=None)
@given(name=st.sampled_from(["typ", "alg", "jwk", "kid", "jku"]), value=VALUES)
def test_whatever_a_header_holds_the_answer_is_yes_or_a_refusal(name: str, value: object) -> None:
    try:
        found = check(PROVER.signed(PROVER.header() | {name: value}, PROVER.claims(METHOD, ADDRESS)))
    except JoseError:
        return
    assert found.jkt == PROVER.jkt
