"""How many requests of one route may be under way at once, in this process."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from idp.gateway.limits.headers import BUSY

if TYPE_CHECKING:
    from idp.gateway.request import Decision, Request


class Room:
    """A stage that keeps a place until the exchange is over."""

    seconds = 1.0  # nothing here is waited for
    regardless = False

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0
        self._turn = threading.Lock()

    def begin(self, request: Request, decision: Decision) -> Future[None] | None:  # noqa: ARG002 - as every stage
        """Take a place, or refuse: others are in the way, so it is no fault of the caller (RFC 9110 section 15.6.4)."""
        with self._turn:
            free = self.taken < self.places
            self.taken += free
        if free:
            decision.holds += (self._leave,)
        else:
            decision.no(BUSY)
        return None

    def end(self, decision: Decision, outcome: object) -> None:
        """Nothing is waited for."""

    def _leave(self) -> None:
        with self._turn:
            self.taken -= 1
