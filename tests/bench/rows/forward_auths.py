"""The forward-auth answer for a token seen before: ten routes with a policy each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench import rivals
from tests.bench.contest import Outcome, Pace, Reach, Sample, alternate
from tests.bench.gateways import ASKED, as_patterns, gateway
from tests.bench.rivals import Rival
from tests.gateway.issuer import AUDIENCE, Issuer, running

RIVAL = "Flask + PyJWKClient"


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Ask all of them the same question."""
    with ExitStack() as stack:
        issuer = stack.enter_context(running(Issuer()))
        plan = {
            "issuer": issuer.issuer,
            "jwks_uri": f"{issuer.issuer}/jwks",
            "audience": AUDIENCE,
            "routes": as_patterns(),
        }
        ours = stack.enter_context(gateway(folder, issuer, shape="forward_auth"))
        question = _question(issuer.token(), "/.gatehouse/auth")
        contestants: dict[str, Callable[[float], Sample]] = {"ours": lambda seconds: ours.load(question, seconds)}
        for server in ("gunicorn", "granian"):
            rival = stack.enter_context(rivals.pyjwt(folder, plan, server=server))
            contestants[server] = _asking(rival, _question(issuer.token(), "/auth"))
        taken = alternate(contestants, pace)
    for server in ("gunicorn", "granian"):
        yield Outcome(
            label=f"gateway / Flask, {server}",
            work="forward-auth answer, token seen, 10 routes with policy, decisions logged",
            rival=f"{RIVAL}, {server}",
            reach=Reach(limit=10.0),
            unit="answers/s",
            ours=taken["ours"],
            theirs=taken[server],
        )


def _asking(rival: Rival, question: dict[str, object]) -> Callable[[float], Sample]:
    return lambda seconds: rival.load("same", question, seconds)


def _question(token: str, path: str) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {token}", "X-Original-Method": "GET", "X-Original-URI": ASKED}
    return {"method": "GET", "path": path, "headers": headers, "body": "", "status": 200}
