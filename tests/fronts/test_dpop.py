"""Tokens that are bound to a key, through every front: the address that the caller used is the one that is proved."""

from __future__ import annotations

import pytest

from tests.fixtures.dpop import Prover
from tests.gateway.raw import request

ADDRESS = "http://api.example/orders/7"


@pytest.fixture
def prover() -> Prover:
    return Prover()


def sent(token: str, *proofs: str, target: str = "/orders/7?q=1", scheme: str = "DPoP") -> bytes:
    lines = [f"Authorization: {scheme} {token}", *(f"DPoP: {proof}" for proof in proofs), ""]
    return request("GET", target)[:-2] + "".join(f"{line}\r\n" for line in lines).encode("ascii")


@pytest.mark.spec("RFC 9449 section 7.1")
@pytest.mark.attack("TK31")
def test_a_proof_opens_the_way_once_and_stays_at_the_front(front, prover):
    token = front.token(cnf={"jkt": prover.jkt})
    proof = prover.proof("GET", ADDRESS, token)
    assert front.ask(sent(token, proof)).status == 200
    assert not front.api.last.header(b"dpop")
    assert not front.api.last.header(b"authorization")
    again = front.ask(sent(token, proof))
    assert (again.status, "invalid_dpop_proof" in (again.header("www-authenticate") or "")) == (401, True)
    assert len(front.api.seen) == 1


@pytest.mark.attack("TK30", "TK33")
def test_without_the_right_proof_nobody_passes(front, prover):
    token = front.token(cnf={"jkt": prover.jkt})
    proofs = {
        "another address": prover.proof("GET", "http://api.example/orders/8", token),
        "another host": prover.proof("GET", "http://other.example/orders/7", token),
        "another method": prover.proof("POST", ADDRESS, token),
        "another key": Prover().proof("GET", ADDRESS, token),
    }
    for wrong, proof in proofs.items():
        answer = front.ask(sent(token, proof))
        assert answer.status == 401, wrong
        assert "DPoP " in (answer.header("www-authenticate") or ""), wrong
    good = [prover.proof("GET", ADDRESS, token) for _ in range(3)]
    assert front.ask(sent(token)).status == 401
    assert front.ask(sent(token, *good[:2])).status in {400, 401}
    assert front.ask(sent(token, good[2], scheme="Bearer")).status == 401
    assert front.api.seen == []
