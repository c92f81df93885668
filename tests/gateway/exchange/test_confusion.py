"""Whatever comes in whatever order: each request goes on with what its own token is good for, and no longer."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.jose.strict import loads, split
from tests.gateway.exchange.ground import Ground, sent
from tests.gateway.exchanging import NOW, a_token

TOKENS = [
    {"jti": f"jti-{number}", "sub": sub, "scope": scope, "acr": acr, "exp": int(NOW) + life}
    for number, (sub, scope, acr, life) in enumerate([
        ("alice", "orders:read orders:write", "aal2", 600),
        ("alice", "orders:read", "aal1", 600),
        ("alice", "orders:read orders:write", "aal2", 90),
        ("bob", "orders:read orders:write", "aal2", 600),
    ])
]  # fmt: skip
STEPS = st.lists(
    st.tuples(st.integers(0, len(TOKENS) - 1), st.sampled_from(["/stock", "/other"]), st.integers(0, 25)),
    min_size=1,
    max_size=25,
)


@pytest.mark.attack("GW21", "TX8", "TX10")
@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_no_token_ever_gets_what_another_one_fetched(steps):
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder), exchange='{ audience = "https://stock.example", ttl = "30s" }')
        try:
            for number, path, seconds in steps:
                ground.wall.advance(seconds)
                mine, now = TOKENS[number], ground.wall()
                if now >= mine["exp"]:
                    continue
                told = loads(split(sent(ground.ask(a_token(**mine), path))).payload)
                assert (told["parents"][0]["jti"], told["sub"]) == (mine["jti"], mine["sub"])
                assert set(told["scope"].split()) <= set(mine["scope"].split())
                assert now < told["exp"] <= mine["exp"]
        finally:
            ground.exchanger.stop()
