"""Proof key for code exchange."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import pkce
from idp.protocol.errors import InvalidGrant, InvalidRequest

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
verifiers = st.text(UNRESERVED, min_size=43, max_size=128)


@pytest.mark.spec("RFC 7636 appendix B")
def test_hashes_the_example_of_the_specification() -> None:
    assert pkce.challenge_of(VERIFIER) == CHALLENGE
    pkce.verify(VERIFIER, CHALLENGE)


@given(verifiers)
def test_every_verifier_fits_its_own_challenge(verifier: str) -> None:
    challenge = pkce.challenge_of(verifier)
    pkce.check_request(challenge, "S256", required=True)
    pkce.verify(verifier, challenge)


@given(verifiers, verifiers)
def test_no_verifier_fits_another_challenge(one: str, other: str) -> None:
    if one != other:
        with pytest.raises(InvalidGrant):
            pkce.verify(one, pkce.challenge_of(other))


@pytest.mark.attack("TK16")
@pytest.mark.spec("RFC 7636 section 4.6")
@pytest.mark.parametrize(
    "verifier",
    [None, "", CHALLENGE, VERIFIER[:42], VERIFIER + "x" * 86, VERIFIER + " ", "é" * 43],
)
def test_refuses_a_missing_wrong_or_odd_verifier(verifier: str | None) -> None:
    with pytest.raises(InvalidGrant):
        pkce.verify(verifier, CHALLENGE)


@pytest.mark.attack("TK17")
@pytest.mark.spec("RFC 9700 section 4.8.2")
def test_refuses_a_verifier_where_no_challenge_was() -> None:
    pkce.verify(None, None)
    with pytest.raises(InvalidGrant):
        pkce.verify(VERIFIER, None)


@pytest.mark.attack("AZ13")
def test_a_challenge_is_demanded_only_of_those_who_must() -> None:
    pkce.check_request(None, None, required=False)
    with pytest.raises(InvalidRequest):
        pkce.check_request(None, None, required=True)


@pytest.mark.attack("AZ14")
@pytest.mark.parametrize("method", ["plain", None, "s256", "S512"])
def test_only_s256_is_a_method(method: str | None) -> None:
    with pytest.raises(InvalidRequest):
        pkce.check_request(CHALLENGE, method, required=False)


def test_a_method_without_a_challenge_is_a_mistake() -> None:
    with pytest.raises(InvalidRequest):
        pkce.check_request(None, "S256", required=False)


@pytest.mark.attack("AZ15")
@pytest.mark.parametrize(
    "challenge",
    [
        CHALLENGE[:42],
        CHALLENGE + "A",
        CHALLENGE[:42] + "=",
        CHALLENGE[:42] + "+",
        CHALLENGE + "\n",
    ],
)
def test_a_challenge_is_43_base64url_characters(challenge: str) -> None:
    with pytest.raises(InvalidRequest):
        pkce.check_request(challenge, "S256", required=False)
