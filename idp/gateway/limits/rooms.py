"""How many requests of one route may be under way at once, in this process."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from idp.gateway.limits.headers import BUSY

if TYPE_CHECKING:
    from idp.gateway.request import Decision, Request


class Room:
    """Who is under way on one route, by whichever file they were let in."""

    def __init__(self) -> None:
        self.taken = 0
        self._turn = threading.Lock()

    def enter(self, places: int) -> bool:
        """Take one of so many places, if one is free."""
        with self._turn:
            free = self.taken < places
            self.taken += free
        return free

    def leave(self) -> None:
        """Give it back."""
        with self._turn:
            self.taken -= 1


class Places:
    """A stage that keeps a place in a room until the exchange is over."""

    seconds = 1.0  # nothing here is waited for
    regardless = False

    def __init__(self, room: Room, places: int) -> None:
        self._room = room
        self._places = places

    def begin(self, request: Request, decision: Decision) -> Future[None] | None:  # noqa: ARG002 - as every stage
        """Take a place, or refuse: others are in the way, so it is no fault of the caller (RFC 9110 section 15.6.4)."""
        if self._room.enter(self._places):
            decision.holds += (self._room.leave,)
        else:
            decision.no(BUSY)
        return None

    def end(self, decision: Decision, outcome: object) -> None:
        """Nothing is waited for."""
