"""Groups within groups: climbed level by level, each group once, within a time.

The shape of the groups changes seldom, so it is remembered for a minute: the second person costs one question.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from idp.federation.connector import Membership

Group: TypeAlias = tuple[str, str]
"""(DN, name)."""

Ask: TypeAlias = Callable[[Sequence[str]], Mapping[str, Sequence[Group]]]
"""Return, for each of these groups, the groups it is in."""

MOST: Final = 20_000  # groups of one person, and groups that are remembered
BATCH: Final = 50


class OutOfTime(Exception):
    """The directory was not done in the time that groups may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Climbed:
    """What was found; not complete when the time was over first."""

    groups: tuple[Membership, ...]
    complete: bool


class Graph:
    """Which group is in which, as far as it was asked."""

    def __init__(self, kept: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept_for = kept
        self._clock = clock
        self._lock = threading.Lock()
        self._above: dict[str, tuple[float, Sequence[Group]]] = {}

    def climb(self, direct: Iterable[Group], ask: Ask) -> Climbed:
        """Return the groups of a person and all that these are in."""
        found: dict[str, Membership] = {}
        level = _new(found, ((group, None) for group in direct))
        try:
            while level and len(found) < MOST:
                above = self._parents(level, ask)
                pairs = ((parent, child) for child in level for parent in above.get(child, ()))
                level = _new(found, pairs)
        except OutOfTime:
            return Climbed(groups=tuple(found.values()), complete=False)
        return Climbed(groups=tuple(found.values()), complete=not level)

    def forget(self) -> None:
        """Ask everything anew."""
        with self._lock:
            self._above.clear()

    def _parents(self, level: Sequence[str], ask: Ask) -> dict[str, Sequence[Group]]:
        now = self._clock()
        known: dict[str, Sequence[Group]] = {}
        unknown = []
        with self._lock:
            for key in level:
                kept = self._above.get(key.casefold())
                if kept is not None and now < kept[0]:
                    known[key] = kept[1]
                else:
                    unknown.append(key)
        for start in range(0, len(unknown), BATCH):
            batch = unknown[start : start + BATCH]
            answered = ask(batch)
            self._remember(batch, answered, now)
            known.update(answered)
        return known

    def _remember(self, batch: Sequence[str], answered: Mapping[str, Sequence[Group]], now: float) -> None:
        with self._lock:
            if len(self._above) + len(batch) > MOST:
                self._above.clear()
            for key in batch:
                self._above[key.casefold()] = (now + self._kept_for, answered.get(key, ()))


def _new(found: dict[str, Membership], pairs: Iterable[tuple[Group, str | None]]) -> list[str]:
    """Add groups that were not there; a circle ends here, because nobody is added twice (FD8)."""
    fresh = []
    for (key, name), via in pairs:
        folded = key.casefold()
        if folded not in found and len(found) < MOST:
            found[folded] = Membership(key=key, name=name, via=via)
            fresh.append(key)
    return fresh
