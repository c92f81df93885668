"""One clock for all deadlines: cheaper than a timer per request, and fine enough for limits of seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

_EVERY: Final = 0.25


class Watched(Protocol):
    """Something with a deadline."""

    def check(self, now: float) -> None:
        """End what has taken too long."""


class Watch:
    """Looks at everything that has a deadline, four times a second."""

    def __init__(self, watched: Callable[[], Iterable[Watched]]) -> None:
        self._watched = watched
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look, in the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_EVERY, self.start)  # first: no fault of one ends the deadlines of all
        now = loop.time()
        for each in tuple(self._watched()):
            each.check(now)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
