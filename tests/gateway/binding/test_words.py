"""What is said about bound tokens to people who review."""

from __future__ import annotations

import pytest

from idp.gateway.binding.model import Bind
from idp.gateway.load import parse
from idp.gateway.policy.diff import diff
from idp.gateway.policy.explain import explain
from tests.gateway.binding.ground import ROUTES, Ground, text

CONFIG = parse(text())


def test_a_route_that_no_longer_demands_a_proof_is_a_change() -> None:
    said = [str(change) for change in diff(CONFIG, parse(text().replace(ROUTES["proved"], "")))]
    assert any(
        change.startswith("changed: proved: asked for") and "key of the token is proved" in change for change in said
    )
    assert any(change.startswith("gains: no role: ") and change.endswith(", now open") for change in said)
    optional = parse(text().replace(ROUTES["proved"], 'bind = { dpop = "optional" }\n'))
    (change,) = diff(optional, parse(text().replace(ROUTES["proved"], "")))
    assert str(change) == "changed: proved: asked for a proof of the key (optional), now for nothing"
    assert str(Bind(dpop="optional", mtls=True)) == "a proof of the key (optional) and the certificate"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("used", "proof was used before"),
        ("bearer", "the token is bound to a key, and was sent as if it were anybody's"),
        ("none", "no proof came with the token, or more than one"),
        ("stale", "proof is too old"),
    ],
)
def test_a_refusal_is_explained_in_words(kind: str, said: str) -> None:
    ground = Ground()
    token = ground.token(key=ground.key)
    proof = ground.proof(token, **({"iat": 1} if kind == "stale" else {}))
    if kind == "used":
        ground.ask("proved", token, proof)
    ground.ask("proved", token, *(() if kind == "none" else (proof,)), scheme="Bearer" if kind == "bearer" else "DPoP")
    headline, points = explain(CONFIG, ground.log.decisions[-1])
    assert headline.endswith(said)
    assert "the route asks for a proof of the key (required)" in [point.text for point in points]
    assert [point.text for point in points if point.mark == "FAILED"] == [said]
    assert any("token is sound" in point.text for point in points) is (kind == "used")
