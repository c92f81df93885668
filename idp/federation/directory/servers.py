"""The servers of one directory: kept lines, failover, and no more waiting than was agreed.

A directory that hangs must cost nobody else (FD9): so many threads may wait for it and no more, each for so long and
no longer, and once it is known to be away everybody is told at once while one at a time looks again.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from idp.federation.directory.config import Reach
from idp.federation.ldap import tls
from idp.federation.ldap.address import Address
from idp.federation.ldap.answers import SUCCESS, Gone
from idp.federation.ldap.line import Line

T = TypeVar("T")
Clock = Callable[[], float]

AWAY: Final = 5.0  # so long nobody asks a server that did not answer
IDLE: Final = 60.0  # an older line may have been forgotten by whatever stands between
TURN: Final = 0.5  # so long one waits for a turn
DETAIL: Final = re.compile(r"\bdata ([0-9a-f]{2,8})\b")  # what Active Directory puts into its message
STALE: Final = 0.5  # so much of the time left a kept line may use up before a new one is tried


class Busy(Exception):
    """As many as may are waiting for this directory already."""


class ServiceRefused(Exception):
    """The directory does not take the account that searches. `code` is its number, `detail` what its kind adds."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(f"the account that searches is refused with {code}")
        self.code = code
        self.detail = detail


@dataclass(slots=True)
class _Server:
    address: Address
    away_until: float = 0.0
    idle: dict[str, deque[tuple[Line, float]]] = field(default_factory=dict)


class Servers:
    """Lines to any of the servers, in the order in which they are configured."""

    def __init__(self, reach: Reach, service: tuple[str, str] | None, *, clock: Clock = time.monotonic) -> None:
        self._reach = reach
        self._service = service
        self._clock = clock
        self._tls = tls.context(reach.ca_file, strict=reach.strict)
        self._servers = [_Server(address) for address in reach.servers]
        self._turns = threading.BoundedSemaphore(reach.connections)
        self._at_work: dict[int, float] = {}  # since when each thread has its turn
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def turn(self) -> Iterator[float]:
        """Give a turn and the moment by which everything in it must be over."""
        if not self._turns.acquire(timeout=min(self._patience(), self._reach.seconds)):
            raise Busy("too many sign-ins wait for this directory")
        began, me = self._clock(), threading.get_ident()
        self._at_work[me] = began
        try:
            yield began + self._reach.seconds
        finally:
            del self._at_work[me]
            self._turns.release()

    def search(self, until: float, action: Callable[[Line, float], T]) -> T:
        """Do something on a line of the account that searches."""
        return self._run("search", until, action)

    def bind(self, until: float, action: Callable[[Line, float], T]) -> T:
        """Do something on a line on which only people are bound."""
        return self._run("bind", until, action)

    def open(self, address: Address) -> Line:
        """Open a line of its own, for a test or a long read; the caller closes it."""
        return Line(address, self._tls, seconds=self._reach.seconds)

    def open_search(self) -> Line:
        """Open a line of its own that may search, at the first server that answers."""
        trouble: Gone | None = None
        for server in self._servers:
            try:
                line = self.open(server.address)
            except Gone as gone:
                trouble = gone
                continue
            try:
                self.introduce(line, self._reach.seconds)
            except BaseException:
                line.close()
                raise
            return line
        raise trouble or Gone("reach", "no server answers")

    def second(self, line: Line) -> Line:
        """Open another line that may search, at the same server: one reads pages while the other asks between them."""
        beside = self.open(line.address)
        try:
            self.introduce(beside, self._reach.seconds)
        except BaseException:
            beside.close()
            raise
        return beside

    def introduce(self, line: Line, seconds: float) -> None:
        """Bind the account that searches."""
        if self._service is not None:
            answer = line.bind(*self._service, seconds=seconds)
            if answer.code != SUCCESS:
                found = DETAIL.search(answer.message)
                raise ServiceRefused(answer.code, found[1] if found else "")

    def close(self) -> None:
        """Close what is idle; what is in use closes when it comes back."""
        with self._lock:
            self._closed = True
            idle = [line for server in self._servers for lines in server.idle.values() for line, _ in lines]
            for server in self._servers:
                server.idle.clear()
        for line in idle:
            line.close()

    def _patience(self) -> float:
        """Say how long to wait for a turn: not at all behind somebody who gets no answer, for threads are few."""
        now = self._clock()
        return TURN if now - min(tuple(self._at_work.values()), default=now) < TURN else 0.0

    def _run(self, purpose: str, until: float, action: Callable[[Line, float], T]) -> T:
        trouble = Gone("reach", "no server answered a moment ago")
        for server in self._servers:
            if not self._may_ask(server):
                continue
            try:
                return self._ask(server, purpose, until, action)
            except Gone as gone:
                trouble = gone
                self._away(server)
        raise trouble

    def _ask(self, server: _Server, purpose: str, until: float, action: Callable[[Line, float], T]) -> T:
        kept = self._kept(server, purpose)
        if kept is not None:
            try:
                result = action(kept, self._left(until) * STALE)
            except Gone:
                kept.close()  # it may have been reset long ago: that says nothing of the server
            else:
                self._keep(server, purpose, kept)
                return result
        line = Line(server.address, self._tls, seconds=self._left(until))
        try:
            if purpose == "search":
                self.introduce(line, self._left(until))
            result = action(line, self._left(until))
        except BaseException:
            line.close()
            raise
        server.away_until = 0.0
        self._keep(server, purpose, line)
        return result

    def _left(self, until: float) -> float:
        left = until - self._clock()
        if left <= 0:
            raise Gone("speak", "no complete answer in time")
        return left

    def _may_ask(self, server: _Server) -> bool:
        """Say whether a server is worth asking; of those who come after a while, one looks for all."""
        with self._lock:
            now = self._clock()
            if now < server.away_until:
                return False
            if server.away_until:
                server.away_until = now + AWAY
            return True

    def _away(self, server: _Server) -> None:
        with self._lock:
            server.away_until = self._clock() + AWAY

    def _kept(self, server: _Server, purpose: str) -> Line | None:
        with self._lock:
            lines = server.idle.get(purpose)
            while lines:
                line, since = lines.pop()
                if self._clock() - since <= IDLE:
                    return line
                line.close()
        return None

    def _keep(self, server: _Server, purpose: str, line: Line) -> None:
        with self._lock:
            lines = server.idle.setdefault(purpose, deque())
            if not self._closed and len(lines) < self._reach.connections:
                lines.append((line, self._clock()))
                return
        line.close()
