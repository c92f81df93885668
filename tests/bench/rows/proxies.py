"""Our reverse proxy with every check on, beside Caddy's with none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.contest import Outcome, Pace, Reach, alternate
from tests.bench.gateways import EVERYTHING, gateway
from tests.bench.rivals import fronts
from tests.bench.rows.fronts import question
from tests.gateway.issuer import Issuer, running

WORK = "reverse proxy, one process: token seen, scope, role, conditions, two limits, 10 routes, decisions logged"


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Caddy takes every core it finds, we take one: so it is also asked to take one."""
    with ExitStack() as stack:
        issuer = stack.enter_context(running(Issuer()))
        api = stack.enter_context(fronts.api(folder))
        upstream = f"http://127.0.0.1:{api}"
        ours = stack.enter_context(gateway(folder, issuer, shape="proxy", upstream=upstream, rules=EVERYTHING))
        free = stack.enter_context(fronts.caddy(folder, behind=api))
        single = stack.enter_context(fronts.caddy(folder, behind=api, cores=1))
        plan = question(issuer.token())
        taken = alternate(
            {
                "ours": lambda seconds: ours.load(plan, seconds),
                "free": lambda seconds: free.load(plan, seconds),
                "single": lambda seconds: single.load(plan, seconds),
            },
            pace,
        )
    rivals = {
        "free": ("proxy / Caddy", "Caddy `reverse_proxy` without any check, all cores"),
        "single": ("proxy / Caddy on one core", "the same Caddy on one core (for comparison)"),
    }
    for name, (label, rival) in rivals.items():
        yield Outcome(
            label=label,
            work=WORK,
            rival=rival,
            reach=Reach(limit=1.0),
            unit="answers/s",
            ours=taken["ours"],
            theirs=taken[name],
        )
