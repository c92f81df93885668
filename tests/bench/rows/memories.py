"""Resident memory after work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from tests.bench.contest import Outcome, Pace, Reach, Sample
from tests.bench.gateways import ASKED, gateway
from tests.bench.processes import resident_mb
from tests.bench.stage import set_up
from tests.gateway.issuer import Issuer, running
from tests.gateway.test_bodies import grown

TOKENS = 10_000
ROUND = 3.0


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Work first, then weigh. Memory does not depend on the hour: fewer rounds would say the same."""
    yield Outcome(
        label="provider worker",
        work=f"resident memory of a provider worker after {TOKENS:,} tokens, granian",
        rival="none: the figure counts",
        reach=Reach(limit=110, better="less", unit="MB"),
        unit="MB",
        ours=[_worker(folder / f"worker-{number}") for number in range(pace.rounds)],
    )
    yield Outcome(
        label="gateway",
        work="resident memory of the gateway after as many decisions",
        rival="none: the figure counts",
        reach=Reach(limit=60, better="less", unit="MB"),
        unit="MB",
        ours=[_gateway(folder / f"gateway-{number}") for number in range(pace.rounds)],
    )
    yield Outcome(
        label="64 bodies at once",
        work="growth of the gateway by 64 bodies of 5 MB at once, up and down",
        rival="none: the figure counts",
        reach=Reach(limit=30, better="less", unit="MB"),
        unit="MB",
        ours=[_bodies(folder / f"bodies-{number}") for number in range(pace.rounds)],
    )


def _bodies(folder: Path) -> Sample:
    folder.mkdir()
    with running(Issuer()) as issuer:
        return Sample(value=max(asyncio.run(grown(folder, issuer))))


def _worker(folder: Path) -> Sample:
    stage = set_up(folder)
    try:
        issued = 0.0
        while issued < TOKENS:
            issued += stage.service_tokens(ROUND).value * ROUND
        return Sample(value=max(map(resident_mb, stage.provider.workers())))
    finally:
        stage.provider.stop()


def _gateway(folder: Path) -> Sample:
    folder.mkdir()
    with running(Issuer()) as issuer, gateway(folder, issuer, shape="forward_auth") as ours:
        decided, number = 0.0, 0
        while decided < TOKENS:
            number += 1
            headers = {
                "Authorization": f"Bearer {issuer.token(jti=f'jti-{number}')}",
                "X-Original-Method": "GET",
                "X-Original-URI": ASKED,
            }
            plan = {"method": "GET", "path": "/.gatehouse/auth", "headers": headers, "body": "", "status": 200}
            decided += ours.load(plan, 1.0).value
        return Sample(value=resident_mb(ours.program.pid))
