"""client_credentials to an ES256 JWT: one worker, durable SQLite, 16 connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench import rivals
from tests.bench.contest import Outcome, Pace, Reach, alternate
from tests.bench.stage import set_up

TOKEN = "client_credentials -> ES256 JWT"
NODE = "npm oidc-provider, one process, in memory"
AUTHLIB = "Flask + Authlib, granian"


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Let everybody issue tokens."""
    with ExitStack() as stack:
        granian = set_up(folder / "granian")
        stack.callback(granian.provider.stop)
        gunicorn = set_up(folder / "gunicorn", server="gunicorn")
        stack.callback(gunicorn.provider.stop)
        node = stack.enter_context(rivals.node(folder))
        saving = stack.enter_context(rivals.authlib(folder))
        forgetting = stack.enter_context(rivals.authlib(folder, save=False))
        taken = alternate(
            {
                "granian": granian.service_tokens,
                "node": node.service_tokens,
                "gunicorn": gunicorn.service_tokens,
                "saving": saving.service_tokens,
                "forgetting": forgetting.service_tokens,
            },
            pace,
        )
    unit = "tokens/s"
    ours = taken["granian"]
    yield Outcome(
        label="granian / Node",
        work=f"{TOKEN}, granian",
        rival=NODE,
        reach=Reach(limit=1.0),
        unit=unit,
        ours=ours,
        theirs=taken["node"],
    )
    yield Outcome(
        label="gunicorn / Node",
        work=f"{TOKEN}, gunicorn gthread",
        rival=NODE,
        reach=Reach(limit=0.3),
        unit=unit,
        ours=taken["gunicorn"],
        theirs=taken["node"],
    )
    reach = Reach(limit=2.0)
    yield Outcome(
        label="granian / Authlib, saving",
        work=f"{TOKEN}, granian",
        rival=f"{AUTHLIB}, a row for each token as documented",
        reach=reach,
        unit=unit,
        ours=ours,
        theirs=taken["saving"],
    )
    yield Outcome(
        label="granian / Authlib, not saving",
        work=f"{TOKEN}, granian",
        rival=f"{AUTHLIB}, without that row",
        reach=reach,
        unit=unit,
        ours=ours,
        theirs=taken["forgetting"],
    )
