"""What is looked at, all in one moment and on the event loop, where nothing moves meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING

from idp.gateway.config import Route
from idp.gateway.metrics import Reading, Registry
from idp.gateway.observed import Refused

if TYPE_CHECKING:
    from idp.gateway.decide import Gate
    from idp.gateway.upstreams.servers import Servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One issuer: its keys, and what it says about revocations."""

    name: str
    issuer: str
    kids: tuple[str, ...]
    age: float | None
    usable: bool
    failing: bool
    told: bool  # whether it is asked about revocations at all
    silence: float | None
    delay: float | None
    revoked: int
    silent: bool  # when it was last asked for an exchange
    held_back: dict[str, float]  # by target: for how long it wants to hear of no more exchanges


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server behind the gateway."""

    address: str
    well: bool
    busy: int
    failures: int
    connections: int
    ends: float | None  # of the certificate that the gateway shows there


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the page says, at one moment."""

    now: float
    digest: str
    source: str
    loaded_at: float
    problems: tuple[str, ...]  # of a newer file that was refused
    routes: tuple[Route, ...]
    sums: dict[str, float]
    counts: dict[str, tuple[float, float]]
    cache: tuple[float, float]
    clients: int
    providers: tuple[Provider, ...]
    limits: str
    servers: tuple[Server, ...]
    refusals: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Where to look."""

    gate: Gate
    clients: Callable[[], int] = lambda: 0
    problems: Callable[[], tuple[str, ...]] = lambda: ()
    behind: Callable[[], Iterable[Servers]] = lambda: ()
    wall: Callable[[], float] = time.time

    def servers(self) -> Iterator[Server]:
        """Tell how each server behind is, and until when our certificate there holds."""
        now = asyncio.get_running_loop().time()
        for servers in self.behind():
            ends = servers.tls.ends if servers.tls is not None else None
            for member in servers.members:
                yield Server(
                    address=str(member.origin),
                    well=member.well(now),
                    busy=member.busy,
                    failures=member.failures,
                    connections=len(member.pool.connections),
                    ends=ends,
                )

    def tell(self, metrics: Registry) -> None:
        """Let metrics say what stands around the gate."""

        def ends() -> Reading:
            return [((each.address,), each.ends) for each in self.servers() if each.ends is not None]

        metrics.gauge(
            "gatehouse_connections", "Open connections of clients", read=lambda: [((), float(self.clients()))]
        )
        metrics.gauge(
            "gatehouse_file_refused", "Whether a newer file is not in force",
            read=lambda: [((), float(bool(self.problems())))],
        )  # fmt: skip
        metrics.gauge(
            "gatehouse_upstream_well", "Whether a server behind gets requests", "server",
            read=lambda: [((each.address,), float(each.well)) for each in self.servers()],
        )  # fmt: skip
        metrics.gauge(
            "gatehouse_upstream_connections", "Open connections to a server behind", "server",
            read=lambda: [((each.address,), float(each.connections)) for each in self.servers()],
        )  # fmt: skip
        metrics.gauge(
            "gatehouse_upstream_certificate_end_timestamp_seconds", "Until when our certificate there holds", "server",
            read=ends,
        )  # fmt: skip

    def look(self) -> Facts:
        """Look at everything now."""
        gate, config = self.gate, self.gate.rules.config
        observed = gate.observed
        return Facts(
            now=self.wall(),
            digest=config.digest,
            source=config.source,
            loaded_at=gate.loaded_at,
            problems=self.problems(),
            routes=config.routes,
            sums=observed.sums(),
            counts=observed.of_routes(),
            cache=observed.cache(),
            clients=self.clients(),
            providers=tuple(_provider(gate, issuer.name, issuer.issuer) for issuer in config.issuers),
            limits="local" if gate.limits.shared is None else "alone" if gate.limits.shared.away else "shared",
            servers=tuple(self.servers()),
            refusals=tuple(reversed(observed.refusals)),
        )


def _provider(gate: Gate, name: str, issuer: str) -> Provider:
    source, feed, exchanger = gate.sources[name], gate.feeds.get(name), gate.exchangers.get(name)
    silence = None if feed is None or isinf(feed.silence()) else feed.silence()
    return Provider(
        name=name,
        issuer=issuer,
        kids=() if source.snapshot is None else tuple(sorted(source.snapshot.names)),
        age=source.age(),
        usable=source.usable() is not None,
        failing=source.failing,
        told=feed is not None,
        silence=silence,
        delay=None if feed is None else feed.delay,
        revoked=0 if feed is None else len(feed.revoked),
        silent=exchanger is not None and exchanger.silent(),
        held_back={} if exchanger is None else exchanger.held_back(),
    )
