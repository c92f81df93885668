"""Work beside the requests: one thread a process, each job by lease in one process at a time."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do how often. `run` decides itself, by a lease, whether this process is the one."""

    name: str
    every: dt.timedelta
    run: Callable[[dt.datetime], object]


class Background:
    """Runs jobs in a daemon thread. A job that fails is told to `report` and tried again at its next turn."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        clock: Callable[[], dt.datetime],
        report: Callable[[str, Exception], object],
        tick: float = TICK_SECONDS,
    ) -> None:
        self._jobs, self._clock, self._report, self._tick = tuple(jobs), clock, report, tick
        self._due = dict.fromkeys((job.name for job in jobs), 0.0)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; call it after the fork, in the process that does the work."""
        self._thread = threading.Thread(target=self._loop, name="background", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End after the job at hand."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def turn(self) -> None:
        """Run every job that is due."""
        for job in self._jobs:
            if time.monotonic() < self._due[job.name]:
                continue
            self._due[job.name] = time.monotonic() + job.every.total_seconds()
            try:
                job.run(self._clock())
            except Exception as trouble:  # noqa: BLE001 (one job's fault must not end the others)
                self._report(job.name, trouble)

    def _loop(self) -> None:
        while not self._ended.wait(self._tick):
            self.turn()
