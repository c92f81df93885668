"""Bound tokens inside an application: the same decision, the same answers."""

from __future__ import annotations

from typing import Any

import pytest

from idp.gateway import wsgi
from tests.gateway.binding.ground import HOST, Ground
from tests.gateway.issuer import AUDIENCE

NONCE = '[dpop]\nscheme = "https"\nnonce = true\n'


def environ(token: str, proof: str | None = None, path: str = "/proved/7") -> dict[str, Any]:
    sent = {"HTTP_AUTHORIZATION": f"DPoP {token}", "HTTP_HOST": HOST, "REMOTE_ADDR": "192.0.2.7"}
    built = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", **sent}
    return built if proof is None else {**built, "HTTP_DPOP": proof}


def served(ground: Ground, asked: dict[str, Any]) -> tuple[str, list[tuple[str, str]], dict[str, Any]]:
    """Ask a WSGI application behind the gate; give status, headers, and what the application saw."""
    seen: dict[str, Any] = {}
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return [b""]

    for _ in wsgi.Guarded(application, ground.gate)(asked, lambda *said: told.append(said)):
        pass
    return told[0][0], told[0][1], seen


@pytest.fixture
def ground() -> Any:
    made = Ground(NONCE)
    yield made
    made.gate.stop()


@pytest.mark.attack("TK31", "TK32")
def test_an_application_sees_neither_proof_nor_token_and_its_answer_brings_the_nonce(ground: Ground) -> None:
    token = ground.token(key=ground.key)
    status, headers, seen = served(ground, environ(token, ground.proof(token)))
    assert (status.partition(" ")[0], seen) == ("401", {})
    nonce = dict(headers)["Dpop-Nonce"]
    proof = ground.proof(token, nonce=nonce)
    ground.now.advance(60)
    fresh = ground.proof(token, nonce=nonce)
    status, headers, seen = served(ground, environ(token, fresh))
    assert status == "200 OK"
    assert dict(headers)["Dpop-Nonce"] != nonce
    assert not {"HTTP_DPOP", "HTTP_AUTHORIZATION"} & seen.keys()
    assert served(ground, environ(token, fresh))[0].startswith("401")
    assert served(ground, environ(token, f"{proof},{proof}"))[0].startswith("401")


@pytest.mark.attack("TK33")
def test_a_function_can_demand_a_proof() -> None:
    ground = Ground()
    here: dict[str, Any] = {}
    guard = wsgi.Guard(ground.gate, lambda: here)

    @guard.require(audience=AUDIENCE, bind={"dpop": "required"})
    def view() -> str:
        return "ok"

    def ask(token: str, proof: str | None) -> object:
        here.clear()
        here.update(environ(token, proof, "/anything"))
        answer = view()
        return answer if isinstance(answer, str) else answer[1]

    token, free = ground.token(key=ground.key), ground.token()
    good = ground.proof(token, htu=f"https://{HOST}/anything")
    assert [ask(token, good), ask(token, good), ask(token, None), ask(free, good)] == ["ok", 401, 401, 401]
    ground.gate.stop()


@pytest.mark.parametrize("odd", [{}, {"dpop": "always"}, {"tls": True}])
def test_an_odd_demand_is_refused_when_it_is_made(odd: dict[str, object]) -> None:
    ground = Ground()
    with pytest.raises(ValueError, match="bind"):
        wsgi.Guard(ground.gate, dict).require(audience=AUDIENCE, bind=odd)
