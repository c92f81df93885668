"""Exchanged tokens, by what they were exchanged from and for; and for seconds, what could not be had.

A key is a digest over the whole inbound token, the route and everything that was asked for, so no token ever gets
what another one fetched (attack row GW21). Bounded both ways.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from idp.gateway.exchange.outcome import Failed, Issued, Kind
from idp.gateway.revocation.marks import Marks

_MARGIN: Final = 10.0  # a token is used no closer to its end than this
_RENEWED_AT: Final = 0.75  # of the time that it may be used
_AGAIN: Final = 2.0
_REMEMBERED: Final[dict[Kind, float]] = {"refused": 5.0, "stronger": 5.0, "misconfigured": 5.0, "away": 1.0}
_NEVER: Final = float("inf")


class Entry:
    """A token in use."""

    __slots__ = ("issued", "renew_at", "until")

    def __init__(self, issued: Issued, *, until: float, renew_at: float) -> None:
        self.issued = issued
        self.until = until
        self.renew_at = renew_at

    def due(self, now: float) -> bool:
        """Tell, not more than every two seconds, that a new one is to be fetched while this one still serves."""
        if now < self.renew_at:
            return False
        self.renew_at = now + _AGAIN
        return True


class Cache:
    """Read without a lock: each step is one atomic operation of a dict."""

    def __init__(self, *, size: int = 4_096, failures: int = 1_024) -> None:
        self._size = size
        self._most_failures = failures
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._failures: OrderedDict[bytes, tuple[float, Failed]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes, now: float) -> Entry | Failed | None:
        """Find a token that may still be used, or why there was none a moment ago."""
        entry = self._entries.get(key)
        if entry is not None:
            if now < entry.until:
                return entry
            self._entries.pop(key, None)
        failed = self._failures.get(key)
        return failed[1] if failed is not None and now < failed[0] else None

    def put(self, key: bytes, issued: Issued, *, ttl: float, inbound_ends: float, now: float) -> None:
        """Keep a token for as long as it may be used, and renew it ahead unless the inbound one ends with it."""
        until = min(issued.ends - _MARGIN, inbound_ends - _MARGIN, now + ttl)
        if until <= now:
            return
        lasts = until >= inbound_ends - _MARGIN
        renew_at = _NEVER if lasts else now + _RENEWED_AT * (until - now)
        self._failures.pop(key, None)
        self._entries[key] = Entry(issued, until=until, renew_at=renew_at)
        while len(self._entries) > self._size:
            _evict(self._entries)

    def fail(self, key: bytes, failed: Failed, now: float) -> None:
        """Remember a failure for a moment. What may no longer be had is no longer used; who is away may come back."""
        if failed.kind != "away":
            self._entries.pop(key, None)
        self._failures[key] = (now + _REMEMBERED[failed.kind], failed)
        while len(self._failures) > self._most_failures:
            _evict(self._failures)

    def drop(self, key: bytes) -> None:
        """Let go of a token."""
        self._entries.pop(key, None)

    def sweep(self, covers: Callable[[Marks], bool]) -> int:
        """Let go of every token that was revoked, and say how many they were."""
        gone = [key for key, entry in list(self._entries.items()) if covers(entry.issued.marks)]
        for key in gone:
            self._entries.pop(key, None)
        return len(gone)


def _evict(entries: OrderedDict[bytes, Any]) -> None:
    try:
        entries.popitem(last=False)
    except KeyError:  # another thread was faster
        return
