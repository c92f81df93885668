"""A bound token stays bound: what comes of it is the gateway's own, and proved for each request."""

from __future__ import annotations

from functools import lru_cache

import pytest

from idp.gateway.exchange.outcome import Issued
from idp.gateway.request import Decision, Request
from idp.gateway.revocation.marks import marks_of
from idp.jose.dpop import verify_proof
from idp.jose.sign import sign
from tests.fixtures.dpop import Prover
from tests.gateway.exchange.ground import Ground
from tests.gateway.exchanging import NOW, inbound_claims
from tests.gateway.issuer import a_key

DPOP = '[dpop]\nscheme = "https"\n'
PROVER = Prover()


@pytest.fixture
def ground(make) -> Ground:
    return make(top=DPOP)


@lru_cache
def bound(**claims: object) -> str:
    """A token bound to our key: the same bytes for the same claims."""
    return sign(inbound_claims(cnf={"jkt": PROVER.jkt}, **claims), a_key(), typ="at+jwt")


def ask(ground, **claims):
    token = bound(**claims)
    proof = PROVER.proof("GET", "https://api.example/stock", token, iat=int(ground.wall()))
    headers = [(b"authorization", b"DPoP " + token.encode()), (b"dpop", proof.encode())]
    return ground.gate.decide(Request(method="GET", target=b"/stock?a=b", host=b"api.example", headers=headers))


def sent(decision):
    assert decision.allowed, decision.reason
    found = dict(decision.upstream_headers)
    scheme, _, token = found[b"authorization"].decode().partition(" ")
    return scheme, token, found.get(b"dpop", b"").decode()


@pytest.mark.attack("TX14")
@pytest.mark.spec("RFC 9449 section 7.1")
def test_the_gateway_proves_its_own_key_to_both_sides(ground):
    scheme, token, proof = sent(ask(ground))
    assert scheme == "DPoP"
    assert ground.provider.proof.jkt == ground.exchanger.key.kid != PROVER.jkt
    # The server behind is asked without TLS here, under the name that the caller used.
    there = verify_proof(proof, method="GET", addresses=("http://api.example/stock",), now=NOW, access_token=token)
    assert there.jkt == ground.exchanger.key.kid
    again = sent(ask(ground))
    assert again[1] == token
    assert again[2] != proof
    assert len(ground.provider.asked) == 1


@pytest.mark.attack("TX14")
@pytest.mark.parametrize(
    ("changed", "said"),
    [({"cnf": None}, {}), ({"cnf": {"jkt": PROVER.jkt}}, {}), ({}, {"token_type": "Bearer"})],
    ids=["bound to nobody", "bound to the caller", "called a bearer's"],
)
def test_a_token_that_lost_its_binding_is_not_used(ground, changed, said):
    ground.provider.changed, ground.provider.said = changed, said
    decision = ask(ground)
    assert (decision.status, decision.upstream_headers) == (502, ())


@pytest.mark.spec("RFC 9449 section 8")
def test_a_nonce_is_taken_over_once(ground):
    ground.provider.nonce = "one"
    sent(ask(ground))
    assert len(ground.provider.asked) == 2
    sent(ask(ground, jti="jti-2"))
    assert len(ground.provider.asked) == 3  # it is remembered
    ground.provider.nonce, ground.provider.offered = "two", "another"
    assert ask(ground, jti="jti-3").status == 503
    assert len(ground.provider.asked) == 5
    ids = [form["client_assertion"] for form in ground.provider.asked]
    assert len(set(ids)) == 5


def test_a_bearers_token_needs_no_proof(ground):
    assert sent(ground.ask())[0] == "Bearer"
    assert ground.provider.proof is None
    assert "DPoP" not in ground.provider.sent[0]


def test_behind_a_front_the_address_is_taken_for_https(make):
    ground = make(top=DPOP + '[server]\nshape = "forward_auth"\n', upstream="")
    _, token, proof = sent(ask(ground))
    there = ("https://api.example/stock",)
    assert verify_proof(proof, method="GET", addresses=there, now=NOW, access_token=token)


def test_nothing_is_proved_for_a_request_that_nobody_allowed(ground):
    (stage,) = ground.gate.rules.rule(ground.gate.rules.config.routes[0]).stages[-1:]
    with pytest.raises(AssertionError):
        stage._proved(Decision(), Issued(token=b"token", ends=NOW, marks=marks_of({}), bound=True))
