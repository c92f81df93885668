"""From the moment somebody is disabled in the directory to the first refusal, at the slower of two gateways."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.bench.contest import Outcome, Pace, Reach, Sample
from tests.journeys.leaving import Employee, Firm, firm
from tests.services.authority import Authority
from tests.services.postgres import Cluster
from tests.services.slapd import Slapd

LEAVERS = 4  # in each round; the last one counts
EVERY = 10  # seconds between two looks
LATE = 3  # seconds that a look and the way to the gateways may take
AT_ONCE = 1.0
WORK = (
    f"disabled in OpenLDAP to refused at the slower of two gateways, the last of {LEAVERS} in each round; provider "
    "with 2 workers on PostgreSQL"
)


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """By the look in the background, and by a try to sign in."""
    with ExitStack() as stack:
        cluster = Cluster(folder / "postgresql")
        stack.callback(cluster.stop)
        authority = Authority(folder / "authority")
        slapd = Slapd(folder / "slapd", authority.issue("localhost", "127.0.0.1"), people=500, aged=True)
        stack.callback(slapd.stop)
        corp = stack.enter_context(firm(folder, cluster.create("bench"), slapd, authority, every=f"{EVERY}s"))
        names = iter(f"user{number:06}" for number in range(500))
        looked = [_looked(corp, names) for _ in range(pace.rounds)]
        tried = [_tried(corp, names) for _ in range(pace.rounds)]
    for how, limit, taken in (
        (f"at a look every {EVERY} s", EVERY + LATE, looked),
        ("at the next try to sign in", AT_ONCE, tried),
    ):
        yield Outcome(
            label=f"disable to refuse, {how}",
            work=f"{WORK}, {how}",
            rival="none: the figure counts",
            reach=Reach(limit=limit * 1_000, better="less", unit="ms"),
            unit="ms",
            ours=[Sample(value=each * 1_000) for each in taken],
        )


def _looked(corp: Firm, names: Iterator[str]) -> float:
    """Let some leave at any moment; how long did the last of them still get through?"""
    leavers = _at_work(corp, names)
    time.sleep(random.uniform(0, EVERY / 2))
    since = [(each, corp.leaves(each)) for each in leavers]
    with ThreadPoolExecutor(LEAVERS) as pool:
        return max(pool.map(lambda each: corp.refused_after(*each), since))


def _tried(corp: Firm, names: Iterator[str]) -> float:
    """Let some leave, and knock at once."""
    taken = []
    for each in _at_work(corp, names):
        since = corp.leaves(each)
        corp.knocks(each.name)
        taken.append(corp.refused_after(each, since))
    return max(taken)


def _at_work(corp: Firm, names: Iterator[str]) -> list[Employee]:
    leavers = [corp.comes(next(names)) for _ in range(LEAVERS)]
    assert all(corp.line.allowed(each.access) == [True, True] for each in leavers)
    return leavers
