"""What is said about bound tokens to people who review."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from idp.cli.gateway import cli
from idp.gateway.binding.model import Bind
from idp.gateway.load import parse
from idp.gateway.policy.diff import diff
from idp.gateway.policy.explain import explain
from idp.protocol.client_certificate import thumbprint
from tests.fixtures.dpop import Prover
from tests.gateway.binding.ground import AUDIENCE, HOST, ROUTES, Ground, text
from tests.gateway.issuer import Issuer

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
        ("used", "the proof was used before"),
        ("bearer", "the token is bound to a key, and was sent as if it were anybody's"),
        ("none", "no proof came with the token, or more than one"),
        ("stale", "the proof is too old"),
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
    assert any("token is sound" in point.text for point in points)
    asked = [point.mark for point in points if point.text.startswith("require.")]
    assert asked == ["passed" if kind == "used" else "not looked at"]


@pytest.mark.parametrize(
    ("claims", "mode", "headline", "mark"),
    [
        ({}, "", "would be let through", "passed"),
        ({"scope": ""}, "", "would be refused with 403: require.scope did not hold", "FAILED"),
        ({"scope": ""}, 'mode = "shadow"', "would be let through, because its route is in shadow mode", "FAILED"),
    ],
)
@pytest.mark.parametrize(("route", "kind"), [("proved", "key"), ("plain", "key"), ("shown", "certificate")])
def test_a_bound_token_is_tried_as_if_its_holder_had_sent_it(
    claims: dict[str, object],
    mode: str,
    headline: str,
    mark: str,
    route: str,
    kind: str,
    issuer: Issuer,
    tmp_path: Path,
) -> None:
    cnf = {"jkt": Prover().jkt} if kind == "key" else {"x5t#S256": thumbprint(b"der")}
    file, token = tmp_path / "gateway.toml", tmp_path / "token"
    file.write_text(text().replace("https://idp.example", issuer.issuer).replace("\nrequire", f"\n{mode}\nrequire"))
    token.write_text(issuer.token(aud=AUDIENCE, cnf=cnf, **{"scope": "orders:read", **claims}))
    asked = ["explain", "--config", str(file), "--token", str(token), "--url", f"https://{HOST}/{route}/7"]
    said = CliRunner().invoke(cli, asked).output
    assert said.splitlines()[0].endswith(headline)
    assert f"whether its holder sends it is not tried here: it is bound to a {kind}" in said
    assert f"  {mark:13} require.scope: scope orders:read" in said
