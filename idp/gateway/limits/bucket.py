"""Buckets of this process, bounded in number, and what taking from several at once brings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from idp.gateway.limits.model import SECOND, Meter

Key = tuple[str, str]  # the limit, and for whom
_KEPT: Final = 50_000


class Ask(NamedTuple):
    """One bucket that a request takes from. A tuple: each request makes them, at half the cost of a dataclass."""

    meter: Meter
    key: Key
    stranger: bool = False  # the key was not verified: it may be anybody's invention


class Taken(NamedTuple):
    """Whether the request passes, and how full its buckets are now, in the order they were asked."""

    passed: bool
    levels: Sequence[int]


class Buckets:
    """Levels by key, in two generations: when the young one is full it becomes the old one, and the old one goes.

    What nobody touched for a whole generation is forgotten, and starts empty if it ever comes back.
    """

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, kept: int = _KEPT) -> None:
        self._most = kept // 2
        self._young: dict[Key, tuple[int, int]] = {}
        self._old: dict[Key, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def level(self, key: Key, meter: Meter, now: int) -> int:
        """Tell how full a bucket is by now. A clock that went back lets nothing run out."""
        found = self._young.get(key) or self._old.get(key)
        if found is None:
            return 0
        level, then = found
        return max(0, level - max(0, now - then) * meter.leak)

    def put(self, key: Key, level: int, now: int) -> None:
        """Remember a level."""
        if len(self._young) >= self._most and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = (level, now)


class Local:
    """All buckets of one process.

    Those of strangers are kept apart: nobody can push a caller's bucket out by showing up under many addresses.
    """

    def __init__(self, clock: Callable[[], int], *, kept: int = _KEPT) -> None:
        self._clock = clock
        self._callers, self._strangers = Buckets(kept), Buckets(kept)
        self._turn = threading.Lock()

    def take(self, asked: Sequence[Ask]) -> Taken:
        """Take from all or from none."""
        with self._turn:
            now = self._clock()
            levels, passed = [], True
            for meter, key, stranger in asked:
                level = (self._strangers if stranger else self._callers).level(key, meter, now)
                levels.append(level)
                passed = passed and level + meter.cost <= meter.capacity
            if passed:
                for number, (meter, key, stranger) in enumerate(asked):
                    levels[number] += meter.cost
                    (self._strangers if stranger else self._callers).put(key, levels[number], now)
            return Taken(passed, levels)

    def note(self, asked: Sequence[Ask]) -> None:
        """Count what was let through elsewhere, as far as there is room."""
        with self._turn:
            now = self._clock()
            for meter, key, stranger in asked:
                buckets = self._strangers if stranger else self._callers
                level = buckets.level(key, meter, now) + meter.cost
                buckets.put(key, min(level, meter.capacity), now)


def remaining(meter: Meter, level: int) -> int:
    """Tell how many requests a bucket still has room for."""
    return (meter.capacity - level) // meter.cost


def wait(meter: Meter, level: int) -> int:
    """Tell after how many whole seconds one request has room; 0 when it has now."""
    return _seconds(max(0, level + meter.cost - meter.capacity), meter)


def refill(meter: Meter, level: int) -> int:
    """Tell after how many whole seconds the bucket is as good as new."""
    return _seconds(level, meter)


def _seconds(level: int, meter: Meter) -> int:
    return -(-level // (meter.leak * SECOND))
