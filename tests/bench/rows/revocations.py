"""From the provider's answer that a token is revoked to the first refusal, at the slower of two gateways."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.bench.contest import QUICK, Outcome, Pace, Reach, Sample
from tests.journeys.revoking import Line, running
from tests.services.postgres import Cluster
from tests.services.provider import session

CALLERS = 4
A_ROUND, QUICKLY = 200, 20
WORK = "revoke to refuse: the provider's answer to the slower of two gateways, provider with 2 workers on PostgreSQL"


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """A thousand of them in five rounds."""
    number = QUICKLY if pace == QUICK else A_ROUND
    with ExitStack() as stack:
        cluster = Cluster(folder / "postgresql")
        stack.callback(cluster.stop)
        line = stack.enter_context(running(folder, cluster.create("bench")))
        taken = [_round(line, number) for _ in range(pace.rounds)]
    for percent, limit in ((50, 0.5), (99, 1.0)):
        yield Outcome(
            label=f"revoke to refuse, p{percent}",
            work=f"{WORK}, p{percent} of {number * pace.rounds:,}",
            rival="none: the figure counts",
            reach=Reach(limit=limit * 1_000, better="less", unit="ms"),
            unit="ms",
            ours=[Sample(value=_percentile(each, percent)) for each in taken],
        )


def _round(line: Line, number: int) -> list[float]:
    callers = threading.local()

    def one(_number: int) -> float:
        if not hasattr(callers, "session"):
            callers.session = session()
        return line.revoked_after(callers.session) * 1_000

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(one, range(number)))


def _percentile(taken: list[float], percent: int) -> float:
    return statistics.quantiles(taken, n=100, method="inclusive")[percent - 1]
