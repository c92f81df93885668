"""What a gate tells whoever watches it."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from idp.gateway.load import parse
from idp.gateway.observed import KEPT, Observed
from idp.gateway.request import Request
from tests.gateway.policy.ground import HEAD, NOW, Ground, file, route
from tests.gateway.test_metrics import read

LABELS = ("route", "result", "reason")


def labels(*values: str, names: tuple[str, ...] = LABELS) -> frozenset[tuple[str, str]]:
    return frozenset(zip(names, values, strict=True))


@pytest.fixture
def ground() -> Ground:
    return Ground(file(route('require = { scope = ["orders:read"] }'), route('mode = "shadow"',
                       'require = { role_any = ["boss"] }', name="s", path="/shadow/{uid}")))  # fmt: skip


def decide(ground: Ground, target: bytes, token: str | None = None) -> None:
    token = ground.issuer.token(aud="https://api.example") if token is None else token
    headers = [(b"authorization", b"Bearer " + token.encode())] if token else []
    ground.gate.decide_now(Request(method="GET", target=target, host=b"api.example", headers=headers))


def test_decisions_are_counted_by_route_result_and_reason(ground: Ground) -> None:
    ground.wall.now = time.time()
    token = ground.issuer.token(aud="https://api.example")
    decide(ground, b"/users/alice", token)
    decide(ground, b"/users/alice", token)
    decide(ground, b"/users/alice", "")
    decide(ground, b"/shadow/alice", token)
    decide(ground, b"/nowhere", token)
    found = read(ground.gate.metrics)
    assert found["gatehouse_decisions_total", labels("r", "allowed", "")] == 2
    assert found["gatehouse_decisions_total", labels("r", "refused", "no_credential")] == 1
    assert found["gatehouse_decisions_total", labels("s", "shadowed", "role")] == 1
    assert found["gatehouse_decisions_total", labels("", "refused", "no_route")] == 1
    assert found["gatehouse_tokens_total", labels("hit", names=("cache",))] == 2
    assert found["gatehouse_tokens_total", labels("miss", names=("cache",))] == 1
    assert ground.gate.observed.sums() == {"allowed": 2, "shadowed": 1, "refused": 2}
    assert ground.gate.observed.of_routes() == {"r": (2, 1), "s": (1, 0), "": (0, 1)}
    assert ground.gate.observed.cache() == (2, 1)


def test_the_last_refusals_are_kept_without_token_or_query(ground: Ground) -> None:
    decide(ground, b"/users/alice?access_code=secret", "")
    decide(ground, b"/%2e%2e/x?y", "not-a-token")
    first, second = ground.gate.observed.refusals
    assert (first.status, first.reason, first.route, first.path) == (401, "no_credential", "r", "/users/alice")
    assert (second.status, second.route, second.path) == (400, "", "/%2e%2e/x")
    assert second.reason.startswith("path hides")
    assert "secret" not in str(ground.gate.observed.refusals)
    for _ in range(KEPT):
        decide(ground, b"/nowhere", "")
    assert len(ground.gate.observed.refusals) == KEPT
    assert first not in ground.gate.observed.refusals


def test_keys_and_the_file_in_force_are_told(ground: Ground) -> None:
    found = read(ground.gate.metrics)
    main = frozenset({("issuer", "main")})
    assert found["gatehouse_jwks_age_seconds", main] == 0
    assert found["gatehouse_jwks_fetches_total", main | {("outcome", "good")}] == 1
    assert found["gatehouse_ready", frozenset()] == 1
    digest = ground.gate.rules.config.digest
    assert found["gatehouse_policy_info", frozenset({("policy", digest)})] == 1
    assert found["gatehouse_policy_loaded_timestamp_seconds", frozenset()] == NOW
    ground.wall.now += 5
    ground.gate.replace(parse(file(route('require = { scope = ["other"] }'))))
    found = read(ground.gate.metrics)
    assert found["gatehouse_policy_loaded_timestamp_seconds", frozenset()] == NOW + 5
    assert ("gatehouse_policy_info", frozenset({("policy", digest)})) not in found
    assert "gatehouse_limits_alone" not in {name for name, _ in found}


def test_what_was_never_heard_is_no_number(tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of the gateway that is long\n")
    client = f'client = {{ id = "gateway", secret_file = "{secret}" }}\nrevocation = {{}}\n'
    ground = Ground(file(route()).replace(HEAD, HEAD + client))
    found = read(ground.gate.metrics)
    main = frozenset({("issuer", "main")})
    assert found["gatehouse_revoked_entries", main] == 0
    assert ("gatehouse_revocation_silence_seconds", main) not in found
    assert ("gatehouse_revocation_delay_seconds", main) not in found
    feed = ground.gate.feeds["main"]
    feed._heard, feed.delay = feed._monotonic() - 3, 0.25
    found = read(ground.gate.metrics)
    assert found["gatehouse_revocation_silence_seconds", main] == 3
    assert found["gatehouse_revocation_delay_seconds", main] == 0.25


def test_a_gateway_that_counts_alone_says_so(ground: Ground) -> None:
    ground.gate.limits.shared = SimpleNamespace(away=True)
    assert read(ground.gate.metrics)["gatehouse_limits_alone", frozenset()] == 1


def test_questions_for_exchanged_tokens_are_timed(ground: Ground) -> None:
    observed: Observed = ground.gate.observed
    observed.exchanged(0.02, "r", "issued")
    found = read(ground.gate.metrics)
    assert found["gatehouse_exchange_seconds_count", frozenset({("route", "r"), ("outcome", "issued")})] == 1
