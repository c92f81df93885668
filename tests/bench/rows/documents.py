"""Discovery and JWKS: bytes that rarely change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench import rivals
from tests.bench.contest import Outcome, Pace, Reach, Sample, alternate
from tests.bench.rivals import Rival
from tests.bench.stage import Stage, set_up

PATHS = {"discovery": "/.well-known/openid-configuration", "jwks": "/jwks"}


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Serve them, granian and one worker beside one process."""
    with ExitStack() as stack:
        ours = set_up(folder / "ours")
        stack.callback(ours.provider.stop)
        node = stack.enter_context(rivals.node(folder))
        who: dict[str, Stage | Rival] = {"ours": ours, "node": node}
        contestants = {f"{name} {path}": _getting(who[name], path) for name in who for path in PATHS.values()}
        taken = alternate(contestants, pace)
    for name, path in PATHS.items():
        yield Outcome(
            label=f"{'JWKS' if name == 'jwks' else name} / Node",
            work=f"{name}, granian, one worker",
            rival="npm oidc-provider, one process",
            reach=Reach(limit=1.0),
            unit="answers/s",
            ours=taken[f"ours {path}"],
            theirs=taken[f"node {path}"],
        )


def _getting(who: Stage | Rival, path: str) -> Callable[[float], Sample]:
    plan: dict[str, object] = {"method": "GET", "path": path, "headers": {}, "body": "", "status": 200}
    return lambda seconds: who.load("same", plan, seconds)
