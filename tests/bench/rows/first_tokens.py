"""What `make run` starts, the second time: seconds from the command to the first token."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.bench.contest import Outcome, Pace, Reach, Sample
from tests.services.program import Program, free_port
from tests.services.provider import session

PORTS = ("IDP_PORT", "IDP_GATEWAY_PORT", "IDP_DEMO_API_PORT", "IDP_DEMO_APP_PORT")
PATIENCE = 90.0
PAUSE = 0.02


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Start once to make keys and tables, then again and again."""
    place = folder / "demo"
    place.mkdir()
    ports = {name: str(free_port()) for name in PORTS}
    _start(place, ports)
    yield Outcome(
        label="to the first token",
        work="`make run`, second time, to the first token",
        rival="none: the figure counts",
        reach=Reach(limit=3.0, better="less", unit="s"),
        unit="s",
        ours=[Sample(value=_start(place, ports)) for _ in range(pace.rounds)],
    )


def _start(place: Path, ports: dict[str, str]) -> float:
    """Start everything, get a token by the facts that the start before wrote down, and end it."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "idp.cli", "demo"]
    with Program(argv, log=place / "terminal", env=ports, cwd=place, ends_with=signal.SIGINT) as program:
        while time.monotonic() - began < PATIENCE and program.running:
            if _token(place / "var" / "demo.json"):
                return time.monotonic() - began
            time.sleep(PAUSE)
        raise RuntimeError(f"no token from the demo:\n{program.output()}")


def _token(file: Path) -> bool:
    if not file.exists():
        return False
    facts = json.loads(file.read_text())
    service = next(each for each in facts["clients"] if each["grant_types"] == ["client_credentials"])
    try:
        answer = session().post(
            f"{facts['issuer']}/token",
            data={"grant_type": "client_credentials"},
            auth=(service["client_id"], service["client_secret"]),
            timeout=5,
        )
    except requests.ConnectionError:
        return False
    return answer.status_code == 200
