"""`idp demo`: makes the facts, starts the parts together, says what is where, and ends them together.

Standard library only: what takes long to import is imported by the parts, side by side.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from idp.demo import gateway_config, terminal
from idp.demo.facts import Facts, Unreadable, recall, write_down
from idp.demo.places import LOOPBACK, NoPlace, Places
from idp.demo.processes import Parts

if TYPE_CHECKING:
    from types import FrameType

STATE = Path("var")
PYTHON = (sys.executable, "-m")
WATCH = 0.25


class CannotStart(Exception):
    """The demo cannot start here; the text says why and what to do."""


class Demo:
    """One run of the demo."""

    def __init__(self, environment: Mapping[str, str], state: Path = STATE) -> None:
        self._environment = dict(environment)
        self._state = state
        self._parts = Parts(folder=state / "log")
        self._file = state / "demo.json"
        self._first = False
        self._stopped = False

    def run(self) -> None:
        """Start everything and stay until told to end. Raise CannotStart or Ended with words for the person."""
        began = time.monotonic()
        facts = self._prepare()
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, self._stop)
        try:
            self._start(facts)
            self._parts.wait_until_ready(lambda: self._stopped)
            if not self._stopped:
                write_down(self._file, facts)
                sys.stdout.write(terminal.welcome(facts, time.monotonic() - began, bold=sys.stdout.isatty()))
                sys.stdout.flush()
            while not self._stopped:
                time.sleep(WATCH)
                if not self._stopped:
                    self._parts.check()
        finally:
            self._parts.end()

    def _prepare(self) -> Facts:
        try:
            places = Places.read(self._environment)
            places.refuse_busy()
            self._first = not self._file.exists()
            return recall(self._file, places) or Facts.invent(places)
        except (NoPlace, Unreadable) as problem:
            raise CannotStart(str(problem)) from None

    def _start(self, facts: Facts) -> None:
        """Start everything at once; only at the first start does the provider wait for its key and tables."""
        places = facts.places
        rules = gateway_config.write(self._state, places)
        seeded = self._parts.complete(
            "seed", [*PYTHON, "idp.demo.seed"], environment=self._for_children(), said=facts.to_json()
        )
        if self._first:
            seeded()
        self._part("provider", places.provider, "idp.cli", "run", path="/readyz")
        self._part(
            "gateway", places.gateway, "idp.cli", "gateway", "run", "--config", str(rules), path="/.gatehouse/readyz"
        )
        self._part("api", places.api, "idp.demo.api", str(places.api), path="/orders")
        self._part("app", places.app, "idp.demo.app", path="/", said=facts.to_json())
        if not self._first:
            seeded()

    def _part(self, name: str, port: int, *module: str, path: str, said: str = "") -> None:
        self._parts.start(
            name,
            [*PYTHON, *module],
            environment=self._for_children(),
            where=("localhost" if name == "provider" else LOOPBACK, port),
            path=path,
            said=said,
        )

    def _for_children(self) -> dict[str, str]:
        return {"IDP_METRICS_PORT": "0", **self._environment, "IDP_DEMO": "true", "PYTHONUNBUFFERED": "1"}

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopped = True


def main() -> None:
    """Run the demo in this folder."""
    Demo(os.environ).run()
