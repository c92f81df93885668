"""A proof counts once, and only with our nonce where that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from idp.gateway.binding.seen import Seen
from idp.gateway.binding.stage import Replay
from idp.gateway.issuers import CannotChange
from idp.gateway.load import parse
from idp.gateway.request import Decision, Request
from tests.fixtures.race import at_once
from tests.gateway.binding.ground import Ground, challenges, error, text

NONCE = '[dpop]\nscheme = "https"\nnonce = true\n'


def given(decision: Decision) -> str:
    """The nonce that an answer brings."""
    headers = decision.answer()[1] if decision.refusal is not None else decision.answer_headers
    return next((value.decode() for name, value in headers if name == b"dpop-nonce"), "")


@pytest.mark.attack("TK31")
@pytest.mark.spec("RFC 9449 section 11.1")
@pytest.mark.parametrize("route", ["plain", "free", "proved"])
def test_a_proof_is_good_once(route: str) -> None:
    ground = Ground()
    token = ground.token(key=ground.key)
    proof = ground.proof(token, route)
    assert ground.ask(route, token, proof).allowed
    again = ground.ask(route, token, proof)
    assert (again.status, error(again), again.reason) == (401, "invalid_dpop_proof", "proof was used before")
    assert challenges(again)[0].startswith("DPoP ")
    assert ground.ask(route, token, ground.proof(token, route)).allowed


@pytest.mark.attack("TK31")
def test_of_fifty_at_once_one_passes() -> None:
    ground = Ground()
    token = ground.token(key=ground.key)
    proof = ground.proof(token)
    assert sorted(at_once(50, lambda: ground.ask("proved", token, proof).status)) == [200] + [401] * 49


@pytest.mark.attack("TK31")
def test_a_proof_is_remembered_until_it_is_too_old_anyway() -> None:
    ground = Ground()
    token = ground.token(key=ground.key)
    proof = ground.proof(token, iat=int(ground.now.now) + 59)
    assert ground.ask("proved", token, proof).allowed
    for _ in range(12):
        ground.now.advance(10)
        assert error(ground.ask("proved", token, proof)) == "invalid_dpop_proof"


def test_who_is_refused_anyway_has_not_used_the_proof_up() -> None:
    ground = Ground()
    poor, rich = (ground.token(key=ground.key, scope=scope) for scope in ("other", "orders:read"))
    assert ground.ask("proved", poor, ground.proof(poor, jti="same")).status == 403
    assert ground.ask("proved", rich, ground.proof(rich, jti="same")).allowed


def test_what_cannot_be_remembered_does_not_pass() -> None:
    seen = Seen(most=2)
    keys = [f"{number:064x}" for number in range(4)]
    assert [seen.claim(f"{number << 128:064x}", ends=100.0, now=50.0) for number in range(3)] == [True, True, None]
    assert len(seen) == 2
    assert seen.claim(keys[3], ends=200.0, now=150.0) is True
    assert len(seen) == 1


def test_a_full_memory_closes_the_door() -> None:
    ground = Ground()
    ground.gate.replay.stage = Replay(Seen(most=0), None, lambda: None)
    token = ground.token(key=ground.key)
    decision = ground.ask("free", token, ground.proof(token, "free"))
    assert (decision.status, decision.reason) == (503, "proof store")


@pytest.mark.attack("TK32")
@pytest.mark.spec("RFC 9449 section 9")
def test_a_proof_without_the_nonce_is_told_it() -> None:
    ground = Ground(NONCE)
    token = ground.token(key=ground.key)
    first = ground.ask("proved", token, ground.proof(token))
    assert (first.status, error(first)) == (401, "use_dpop_nonce")
    assert 'error="use_dpop_nonce"' in challenges(first)[0]
    assert challenges(first)[0].startswith("DPoP ")
    second = ground.ask("proved", token, ground.proof(token, nonce=given(first)))
    assert (second.allowed, given(second)) == (True, "")


@pytest.mark.attack("TK32")
@pytest.mark.spec("RFC 9449 section 8.2")
def test_a_nonce_grows_old_and_the_next_comes_in_time() -> None:
    ground = Ground(NONCE)
    token = ground.token(key=ground.key)
    nonce = given(ground.ask("proved", token, ground.proof(token)))
    ground.now.advance(60)
    later = ground.ask("proved", token, ground.proof(token, nonce=nonce))
    assert later.allowed
    assert given(later) not in {"", nonce}
    ground.now.advance(61)
    assert error(ground.ask("proved", token, ground.proof(token, nonce=nonce))) == "use_dpop_nonce"
    assert ground.ask("proved", token, ground.proof(token, nonce=given(later))).allowed


def test_gateways_with_one_key_take_each_others_nonces(tmp_path: Path) -> None:
    file = tmp_path / "nonce.key"
    file.write_text("k" * 32)
    shared = f'{NONCE}nonce_key_file = "{file}"\n'
    one, other = Ground(shared), Ground(shared)
    other.now.now = one.now.now
    mine, others = one.token(key=one.key), other.token(key=other.key)
    nonce = given(one.ask("proved", mine, one.proof(mine)))
    assert other.ask("proved", others, other.proof(others, nonce=nonce)).allowed
    stranger = Ground(NONCE)
    token = stranger.token(key=stranger.key)
    assert error(stranger.ask("proved", token, stranger.proof(token, nonce=nonce))) == "use_dpop_nonce"


def test_a_short_key_for_nonces_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "nonce.key"
    file.write_text("short")
    with pytest.raises(ValueError, match="nonce_key_file"):
        Ground(f'{NONCE}nonce_key_file = "{file}"\n')


def test_a_new_file_may_begin_to_ask_for_nonces_but_not_with_another_key(tmp_path: Path) -> None:
    ground = Ground()
    token = ground.token(key=ground.key)
    ground.gate.replace(parse(text(NONCE)))
    assert error(ground.ask("proved", token, ground.proof(token))) == "use_dpop_nonce"
    with pytest.raises(CannotChange, match="nonce_key_file"):
        ground.gate.replace(parse(text(f'{NONCE}nonce_key_file = "{tmp_path}/key"\n')))


def test_the_stage_is_for_proofs_alone() -> None:
    request = Request(method="GET", target=b"/", host=b"api.example", headers=[])
    with pytest.raises(AssertionError):
        Replay(Seen(), None, lambda: None).begin(request, Decision())


def test_no_route_has_a_stage_of_it() -> None:
    ground = Ground()
    assert ground.gate.replay.stages(ground.gate.rules.config.routes[0]) == ()
