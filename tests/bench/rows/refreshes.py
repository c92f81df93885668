"""Refresh rotation on PostgreSQL with two workers, beside what Keycloak's sizing rule allows a core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.contest import Outcome, Pace, Reach, Sample, alternate
from tests.bench.stage import FORM, Stage, set_up
from tests.faults.seeds import issue_refresh_tokens
from tests.services.postgres import Cluster

RULE = 120.0  # refresh requests a second and core of the server itself, its database not counted
FAMILIES = 400


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Rotate. The rule is about the server's cores, so the workers' CPU time is what a rotation costs."""
    with ExitStack() as stack:
        cluster = Cluster(folder / "postgresql", durable=True)
        stack.callback(cluster.stop)
        url = cluster.create("bench")
        stage = set_up(folder / "ours", workers=2, database_url=url)
        stack.callback(stage.provider.stop)
        taken = alternate({"ours": Rotations(stage)}, pace)["ours"]
    rule = [Sample(value=RULE)] * len(taken)
    a_core = [Sample(value=1e6 / each.cpu, failed=each.failed) for each in taken if each.cpu]
    yield Outcome(
        label="a second of the workers' CPU",
        work="refresh rotation, PostgreSQL (fsync on), 2 workers: for a second of the workers' CPU",
        rival="Keycloak's sizing rule: 120/s a core",
        reach=Reach(limit=4.0),
        unit="rotations/s a core",
        ours=a_core,
        theirs=rule,
    )
    yield Outcome(
        label="by the clock, two cores",
        work="the same by the clock, PostgreSQL and the load on the same two cores",
        rival="the rule for two cores: 240/s",
        reach=Reach(limit=4.0),
        unit="rotations/s",
        ours=taken,
        theirs=[Sample(value=2 * RULE)] * len(taken),
    )


class Rotations:
    """Rounds of rotation, each with families of its own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __call__(self, seconds: float) -> Sample:
        families = issue_refresh_tokens(self._stage.provider, FAMILIES)
        plan: dict[str, object] = {
            "headers": {**FORM, **families[0].app.basic},
            "tokens": [family.token for family in families],
        }
        return self._stage.load("refresh", plan, seconds)
