"""Buckets of this process, bounded in number, and what taking from several at once brings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from idp.gateway.limits.model import SECOND, Meter

Key = tuple[str, str]  # the limit, and for whom
_KEPT: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One bucket that a request takes from."""

    meter: Meter
    key: Key
    stranger: bool = False  # the key was not verified: it may be anybody's invention


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Whether the request passes, and how full its buckets are now, in the order they were asked."""

    passed: bool
    levels: tuple[int, ...]


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
            levels = [self._of(ask).level(ask.key, ask.meter, now) for ask in asked]
            for ask, level in zip(asked, levels, strict=True):
                if level + ask.meter.cost > ask.meter.capacity:
                    return Taken(passed=False, levels=tuple(levels))
            for number, ask in enumerate(asked):
                levels[number] += ask.meter.cost
                self._of(ask).put(ask.key, levels[number], now)
            return Taken(passed=True, levels=tuple(levels))

    def note(self, asked: Sequence[Ask]) -> None:
        """Count what was let through elsewhere, as far as there is room."""
        with self._turn:
            now = self._clock()
            for ask in asked:
                buckets = self._of(ask)
                level = buckets.level(ask.key, ask.meter, now) + ask.meter.cost
                buckets.put(ask.key, min(level, ask.meter.capacity), now)

    def _of(self, ask: Ask) -> Buckets:
        return self._strangers if ask.stranger else self._callers


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
