"""Limits as frozen values. Nothing here reads a file or counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

SECOND: Final = 1_000_000  # of what buckets count time in
PERIODS: Final = {"s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND}
# A full bucket of the slowest rate is 3.6e15, which Redis still counts exactly: its numbers are whole up to 2**53.
MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """How a bucket fills and leaks: every request pours `cost` into it, every microsecond `leak` runs out."""

    cost: int
    leak: int
    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many requests per period for each caller, and so many at once."""

    name: str
    by: str  # "ip", "client", "subject", "route", or "claim.NAME"
    count: int
    period: str  # of PERIODS
    burst: int
    before: bool = False  # counted before the token is looked at, and for whoever is refused
    shared: bool = False  # its name was given: every route that names it counts in the same buckets

    @property
    def rate(self) -> str:
        """Say the rate as the file does."""
        return f"{self.count}/{self.period}"

    def meter(self, replicas: int = 1) -> Meter:
        """Give the bucket of one of so many gateways. Each has room for one request at least, or it would be closed."""
        cost = PERIODS[self.period] * replicas
        return Meter(cost=cost, leak=self.count, capacity=max(self.burst // replicas, 1) * cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where buckets are kept, and how long a request waits for that."""

    kind: Literal["local", "redis"] = "local"
    url: str = ""
    url_file: Path | None = None
    replicas: int = 1  # gateways that share the limits
    seconds: float = 0.1

    def address(self) -> str:
        """Give the address of the Redis, with the secret that may stand in its file."""
        return self.url if self.url_file is None else self.url_file.read_text("utf-8").strip()


LOCAL: Final = Store()
