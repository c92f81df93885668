"""Which of several servers gets the next request, and which are left alone for a while.

A connection that does not come about is a sure sign, so it may put out even the last server: then nobody waits for a
timeout. A bad answer is not: it may be the fault of the request, so it never puts out the last one that is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from math import ceil
from typing import Final

from idp.gateway.config import ServerConfig
from idp.gateway.log import Log
from idp.gateway.pool import Pool
from idp.gateway.server.watch import Watched
from idp.gateway.upstream import UpstreamConnection
from idp.gateway.upstreams.errors import UpstreamError
from idp.gateway.upstreams.model import Eject, Origin, Upstream
from idp.gateway.upstreams.tls import Tls

_SERVER_ERROR: Final = 500
_WELL: Final = range(200, 400)
_IN_A_ROW: Final = 2  # questions without a good answer until a server counts as away
_DOUBLINGS: Final = 16


class Member:
    """One server and how it has been doing."""

    def __init__(self, origin: Origin, pool: Pool) -> None:
        self.origin = origin
        self.pool = pool
        self.busy = 0
        self.failures = 0  # in a row
        self.ejections = 0  # in a row
        self.until = 0.0  # left alone until then
        self.missed = 0  # questions in a row without a good answer

    @property
    def answers(self) -> bool:
        """Tell whether it answers when it is asked how it is; without questions nothing speaks against it."""
        return self.missed < _IN_A_ROW

    def well(self, now: float) -> bool:
        """Tell whether it may get a request."""
        return self.answers and now >= self.until

    def recovered(self) -> None:
        """It works."""
        self.failures = self.ejections = 0
        self.until = 0.0


class Servers:
    """The servers behind one upstream."""

    def __init__(self, upstream: Upstream, server: ServerConfig, *, log: Log, tls: Tls | None = None) -> None:
        self.upstream = upstream
        self._log = log
        self._eject: Eject = upstream.eject
        self.tls = tls or (Tls(upstream.tls, log=log) if upstream.origins[0].tls else None)
        self.members = [Member(origin, Pool(origin, server, tls=self.tls)) for origin in upstream.origins]
        self._next = 0
        self._retired = False
        self._asked = float("-inf")
        self._asking: set[asyncio.Task[None]] = set()

    def choose(self, tried: Collection[Member] = ()) -> Member | None:
        """Choose who gets the next request; None when nobody is well who was not tried already."""
        now = asyncio.get_running_loop().time()
        well = [member for member in self.members if member.well(now) and member not in tried]
        if not well:
            return None
        self._next += 1
        if len(well) == 1:
            return well[0]
        turned = well[self._next % len(well) :] + well[: self._next % len(well)]
        if self.upstream.balance == "round_robin":
            return turned[0]
        return min(turned, key=lambda member: member.busy)

    def nobody(self) -> UpstreamError:
        """Say that nobody is well, and when it is worth asking again."""
        now = asyncio.get_running_loop().time()
        soonest = min((member.until for member in self.members if member.answers), default=0.0)
        every = self.upstream.health.every if self.upstream.health else 1.0
        wait = soonest - now if soonest > now else every
        return UpstreamError("no server behind is well", 503, retry_after=max(1, ceil(wait)))

    def release(self, member: Member, connection: UpstreamConnection) -> None:
        """Take a connection back, and learn from what came of the request."""
        member.busy -= 1
        if connection.status >= _SERVER_ERROR or connection.faulty:
            self.failed(member, sure=False)
        elif connection.status and member.failures:
            member.recovered()
        member.pool.give_back(connection)

    def failed(self, member: Member, *, sure: bool) -> None:
        """Count a failure; after enough of them leave the server alone for a while."""
        member.failures += 1
        now = asyncio.get_running_loop().time()
        if member.failures < self._eject.failures or now < member.until:
            return
        if not sure and not any(other.well(now) for other in self.members if other is not member):
            return
        seconds = min(self._eject.first * 2 ** min(member.ejections, _DOUBLINGS), self._eject.longest)
        member.until = now + seconds
        member.ejections += 1
        self._log.event("upstream.ejected", server=str(member.origin), seconds=seconds)

    # The clock

    def watched(self) -> Iterator[Watched]:
        """Give everything with a deadline."""
        yield self
        for member in self.members:
            yield member.pool
            yield from member.pool.connections

    def check(self, now: float) -> None:
        """Look at certificates, and ask the servers how they are."""
        if self.tls is not None:
            self.tls.look(now)
        health = self.upstream.health
        if health is None or self._retired or now - self._asked < health.every:
            return
        self._asked = now
        for member in self.members:
            task = asyncio.get_running_loop().create_task(self._ask(member, health.path, health.seconds))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, member: Member, path: str, seconds: float) -> None:
        good = False
        with contextlib.suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(seconds):
                connection = await member.pool.connect()
                try:
                    connection.begin(self._question(member.origin, path), head_only=False)
                    await connection.answered()
                    good = connection.status in _WELL
                finally:
                    connection.close()
        answered = member.answers
        member.missed = 0 if good else member.missed + 1
        if good and not answered:
            member.recovered()
        if member.answers != answered:
            self._log.event("upstream.up" if good else "upstream.down", server=str(member.origin))

    def _question(self, origin: Origin, path: str) -> bytes:
        host = self.upstream.tls.server_name or str(origin).partition("://")[2]
        head = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: gatehouse\r\nconnection: close\r\n\r\n"
        return head.encode("ascii")

    @property
    def connected(self) -> bool:
        """Tell whether there is still a connection."""
        return any(member.pool.connections for member in self.members)

    def retire(self) -> None:
        """Nobody will ask for these servers again."""
        self._retired = True
        for member in self.members:
            member.pool.retire()

    def close(self) -> None:
        """End every connection and question."""
        for task in self._asking:
            task.cancel()
        for member in self.members:
            member.pool.close()
