"""Whether whoever brings a token is the one it is bound to."""

from __future__ import annotations

from typing import Any

import pytest

from idp.gateway.answers import NO_KEYS
from idp.gateway.binding.challenge import bad_proof, proved
from tests.fixtures.dpop import Prover
from tests.gateway.binding.ground import CERTIFICATE, FRONT, OTHER, Ground, challenges, error, shown

ALGS = 'algs="ES256 RS256 EdDSA PS256"'


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground()


@pytest.fixture
def token(ground: Ground) -> str:
    return ground.token(key=ground.key)


@pytest.mark.spec("RFC 9449 section 7.1")
@pytest.mark.parametrize("route", ["plain", "free", "proved"])
def test_the_holder_of_the_key_passes_on_every_route(ground: Ground, token: str, route: str) -> None:
    assert ground.ask(route, token, ground.proof(token, route)).allowed


@pytest.mark.parametrize("route", ["plain", "free"])
def test_a_bearer_token_passes_where_nothing_is_demanded(ground: Ground, route: str) -> None:
    assert ground.ask(route, ground.token(), scheme="Bearer").allowed


@pytest.mark.attack("TK33")
@pytest.mark.spec("RFC 9449 section 7.2")
@pytest.mark.parametrize("route", ["plain", "free", "proved"])
def test_a_bound_token_sent_as_bearer_is_refused_on_every_route(ground: Ground, token: str, route: str) -> None:
    decision = ground.ask(route, token, ground.proof(token, route), scheme="Bearer")
    assert (decision.status, error(decision), decision.reason) == (401, "invalid_token", "bound to a key")
    assert challenges(decision)[0].startswith("DPoP ")


@pytest.mark.attack("TK33")
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_a_token_without_a_key_opens_no_route_that_demands_one(ground: Ground, scheme: str) -> None:
    free = ground.token()
    decision = ground.ask("proved", free, ground.proof(free), scheme=scheme)
    assert (decision.status, error(decision), decision.reason) == (401, "invalid_token", "not bound to a key")


@pytest.mark.attack("TK33")
def test_a_token_without_a_key_does_not_pass_for_bound(ground: Ground) -> None:
    free = ground.token()
    assert ground.ask("plain", free, ground.proof(free, "plain")).reason == "not bound to a key"


@pytest.mark.attack("TK33")
@pytest.mark.spec("RFC 9449 section 7.1")
def test_another_key_is_refused_with_a_challenge_that_names_the_algorithms(ground: Ground, token: str) -> None:
    decision = ground.ask("proved", token, ground.proof(token, key=Prover()))
    assert (decision.status, error(decision), decision.reason) == (401, "invalid_token", "bound to another key")
    assert challenges(decision)[0].startswith("DPoP ")
    assert ALGS in challenges(decision)[0]


@pytest.mark.attack("TK33")
@pytest.mark.parametrize("cnf", [{}, {"kid": "1"}, {"jkt": 7}, "key"])
def test_a_token_that_is_bound_to_something_unknown_opens_nothing(ground: Ground, cnf: object) -> None:
    decision = ground.ask("plain", ground.issuer.token(cnf=cnf), scheme="Bearer")
    assert (decision.status, decision.reason) == (401, "the token is bound to something unknown")


@pytest.mark.attack("TK30")
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"htm": "POST"}, "proof htm is another"),
        ({"htu": "https://api.example/proved/8"}, "proof htu is another"),
        ({"htu": "http://api.example/proved/7"}, "proof htu is another"),
        ({"htu": "https://evil.example/proved/7"}, "proof htu is another"),
        ({"ath": None}, "proof ath is another"),
        ({"ath": "AAAA"}, "proof ath is another"),
        ({"jti": None}, "proof jti is absent or too long"),
        ({"iat": 1}, "proof is too old"),
    ],
)
def test_a_wrong_proof_is_refused(ground: Ground, token: str, changed: dict[str, Any], reason: str) -> None:
    decision = ground.ask("proved", token, ground.proof(token, **changed))
    assert (decision.status, error(decision), decision.reason) == (401, "invalid_dpop_proof", reason)
    assert 'error="invalid_dpop_proof"' in challenges(decision)[0]
    assert ALGS in challenges(decision)[0]


@pytest.mark.attack("TK30")
@pytest.mark.parametrize("seconds", [-61, 61])
def test_a_proof_of_another_minute_is_refused(ground: Ground, token: str, seconds: int) -> None:
    proof = ground.proof(token, iat=int(ground.now.now) + seconds)
    assert error(ground.ask("proved", token, proof)) == "invalid_dpop_proof"


@pytest.mark.attack("TK30")
def test_no_proof_and_two_are_refused(ground: Ground, token: str) -> None:
    for proofs in ((), (ground.proof(token), ground.proof(token))):
        decision = ground.ask("proved", token, *proofs)
        assert (decision.status, error(decision), decision.reason) == (401, "invalid_dpop_proof", "not one proof")


@pytest.mark.attack("TK30")
def test_query_and_fragment_are_ignored(ground: Ground, token: str) -> None:
    assert ground.ask("proved", token, ground.proof(token, htu="https://API.example:443/proved/7?a#b")).allowed


@pytest.mark.spec("RFC 9449 section 7.1")
def test_a_route_asks_for_what_it_takes(ground: Ground) -> None:
    asked = {route: challenges(ground.ask(route, None)) for route in ("plain", "free", "proved")}
    schemes = {route: [value.partition(" ")[0] for value in values] for route, values in asked.items()}
    assert schemes == {"plain": ["Bearer"], "free": ["Bearer", "DPoP"], "proved": ["DPoP"]}
    assert ALGS in asked["free"][1]


@pytest.mark.spec("RFC 9449 section 7.1")
def test_other_refusals_speak_the_scheme_of_the_token(ground: Ground) -> None:
    poor = ground.token(key=ground.key, scope="other")
    decision = ground.ask("free", poor, ground.proof(poor, "free"))
    assert (decision.status, error(decision)) == (403, "insufficient_scope")
    assert challenges(decision)[0].startswith("DPoP ")
    assert challenges(ground.ask("plain", "nonsense"))[0].startswith("DPoP ")
    assert challenges(ground.ask("proved", "nonsense", scheme="Bearer"))[0].startswith("DPoP ")
    assert challenges(ground.ask("plain", "nonsense", scheme="Bearer"))[0].startswith("Bearer ")


def test_a_refusal_without_a_challenge_stays_as_it_is(ground: Ground) -> None:
    assert (proved(NO_KEYS), proved(bad_proof())) == (NO_KEYS, bad_proof())


class TestCertificates:
    @pytest.fixture
    def token(self, ground: Ground) -> str:
        return ground.token(certificate=CERTIFICATE)

    @pytest.mark.spec("RFC 8705 section 3")
    @pytest.mark.parametrize("route", ["plain", "free", "shown"])
    def test_the_holder_of_the_certificate_passes(self, ground: Ground, token: str, route: str) -> None:
        assert ground.ask(route, token, scheme="Bearer", peer=FRONT, headers=shown(CERTIFICATE)).allowed

    @pytest.mark.attack("TK35")
    @pytest.mark.parametrize("route", ["plain", "shown"])
    @pytest.mark.parametrize(
        "headers",
        [(), shown(OTHER), shown(CERTIFICATE) * 2, ((b"client-cert", b"nonsense"),), ((b"client_cert", b""),)],
    )
    def test_another_certificate_or_none_is_refused(
        self, ground: Ground, token: str, route: str, headers: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        decision = ground.ask(route, token, scheme="Bearer", peer=FRONT, headers=headers)
        assert (decision.status, error(decision)) == (401, "invalid_token")
        assert decision.reason == "bound to another certificate"

    @pytest.mark.attack("TK35")
    def test_a_certificate_that_a_stranger_claims_is_none(self, ground: Ground, token: str) -> None:
        decision = ground.ask("shown", token, scheme="Bearer", headers=shown(CERTIFICATE))
        assert (decision.status, decision.reason) == (401, "bound to another certificate")

    @pytest.mark.attack("TK35")
    def test_a_token_without_a_certificate_opens_no_route_that_demands_one(self, ground: Ground) -> None:
        decision = ground.ask("shown", ground.token(), scheme="Bearer", peer=FRONT, headers=shown(CERTIFICATE))
        assert (decision.status, decision.reason) == (401, "not bound to a certificate")

    @pytest.mark.attack("TK33", "TK35")
    def test_a_token_that_is_bound_to_both_needs_both(self, ground: Ground) -> None:
        held = ground.token(key=ground.key, certificate=CERTIFICATE)
        by_front = {"peer": FRONT, "headers": shown(CERTIFICATE)}
        assert ground.ask("both", held, ground.proof(held, "both"), **by_front).allowed
        assert ground.ask("both", held, ground.proof(held, "both")).reason == "bound to another certificate"
        assert ground.ask("both", held, **by_front).reason == "not one proof"


@pytest.fixture(scope="module")
def bare() -> Ground:
    """A gateway that was not told in which scheme it is called."""
    return Ground("")


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        (FRONT, [b"https"], "https"),
        (FRONT, [b"http"], "http"),
        (FRONT, [], "http"),
        (FRONT, [b"https", b"http"], "http"),
        (FRONT, [b"gopher"], "http"),
        ("192.0.2.7", [b"https"], "http"),
    ],
)
def test_the_scheme_is_what_a_trusted_front_says(bare: Ground, peer: str, said: list[bytes], scheme: str) -> None:
    token = bare.token(key=bare.key)
    headers = tuple((b"x-forwarded-proto", value) for value in said)
    good = bare.proof(token, htu=f"{scheme}://api.example/proved/7")
    other = bare.proof(token, htu=f"{'http' if scheme == 'https' else 'https'}://api.example/proved/7")
    assert bare.ask("proved", token, good, peer=peer, headers=headers).allowed
    assert not bare.ask("proved", token, other, peer=peer, headers=headers).allowed
