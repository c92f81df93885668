"""A busy worker keeps to one core, for its threads share one interpreter lock.

The kernel wakes each thread where a core is idle, so the lock wanders from core to core, and that costs as much as the
work itself: a worker which never leaves its core does twice as much. It is tied only while it is busy, and moves when
others crowd it. What is not tied the kernel moves out of its way; the other workers of the same server are tied as
well, so it keeps away from them. Passwords are hashed without the lock, and anywhere (`idp.accounts.passwords`).
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SPAN: Final = 0.5  # seconds
BUSY: Final = 0.3  # of a core; below, the lock is seldom wanted by two
CROWD: Final = 0.25  # of a core: what others may have of it, and what a move must gain
CALM: Final = 120  # spans without work, after which any core is right again

Cores = frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a worker saw of a span: how many cores' worth it used, how busy each was, and who is tied to which."""

    own: float
    busy: Mapping[int, float]
    tied: Mapping[int, int]


def choose(here: int | None, seen: Seen, *, dice: random.Random) -> int:
    """Say on which core to be."""
    others = {
        core: max(0.0, used - (seen.own if core == here else 0.0)) + seen.tied.get(core, 0)
        for core, used in seen.busy.items()
    }
    least = min(others.values())
    if here in others and others[here] - least < CROWD:
        return here
    if here in others and dice.random() < 0.5:  # noqa: PLR2004 - of two that crowd each other one should stay
        return here
    return dice.choice([core for core, used in others.items() if used - least < CROWD / 2])


def tie(cores: Cores) -> None:
    """Keep every thread of this process to these cores; the first one first, for others look where it is."""
    first = os.getpid()
    for thread in (first, *(int(task.name) for task in Path("/proc/self/task").iterdir())):
        with contextlib.suppress(OSError):  # it has ended, or the core has been taken from us
            os.sched_setaffinity(thread, cores)


def tied_neighbours() -> Counter[int]:
    """Count the other children of our parent that are tied to a core, by core (proc_tid_children(5))."""
    found: Counter[int] = Counter()
    with contextlib.suppress(OSError):  # not every kernel tells
        for task in Path(f"/proc/{os.getppid()}/task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                cores = os.sched_getaffinity(int(child)) if int(child) != os.getpid() else ()
                found.update(cores if len(cores) == 1 else ())
    return found


def used_by_core() -> dict[int, float]:
    """Give the seconds each core has worked since the system started (proc_stat(5))."""
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for line in Path("/proc/stat").read_text("ascii").splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _waiting, interrupt, soft, stolen = map(int, fields[:8])
            found[int(name[3:])] = (user + nice + system + interrupt + soft + stolen) / tick
    return found


class Keeper(threading.Thread):
    """Looks after its own process, twice a second."""

    def __init__(
        self,
        *,
        cores: Cores,
        own: Callable[[], float] = time.process_time,
        used: Callable[[], Mapping[int, float]] = used_by_core,
        tied: Callable[[], Mapping[int, int]] = tied_neighbours,
        clock: Callable[[], float] = time.monotonic,
        tie: Callable[[Cores], None] = tie,
        dice: random.Random | None = None,
    ) -> None:
        super().__init__(name="core", daemon=True)
        self.here: int | None = None
        self._cores = cores
        self._own, self._used, self._tied, self._clock, self._tie = own, used, tied, clock, tie
        self._dice = dice or random.Random()  # noqa: S311 - nobody gains by guessing a core
        self._calm = 0
        self._before = (clock(), own())
        self._used_before: Mapping[int, float] | None = None  # read only while there is work: it is long

    def run(self) -> None:
        """Look for as long as the process lives, or until the system does not tell."""
        with contextlib.suppress(OSError, ValueError):
            while True:
                time.sleep(SPAN)
                self.look()

    def look(self) -> None:
        """Go where there is room, once."""
        (then, own_then), (now, own_now) = self._before, (self._clock(), self._own())
        self._before = (now, own_now)
        own = (own_now - own_then) / (now - then)
        if own < BUSY:
            self._used_before = None
            self._calm += 1
            if self._calm == CALM and self.here is not None:
                self._go(None)
            return
        self._calm = 0
        used_then, used = self._used_before, self._used()
        self._used_before = used
        if used_then is None:
            return
        busy = {core: (used[core] - used_then[core]) / (now - then) for core in self._cores & used.keys()}
        if not busy:
            return
        core = choose(self.here, Seen(own=own, busy=busy, tied=self._tied()), dice=self._dice)
        if core != self.here:
            self._go(core)

    def _go(self, core: int | None) -> None:
        self.here = core
        self._tie(self._cores if core is None else frozenset({core}))


def keep() -> None:
    """Begin, where there is more than one core to be on."""
    cores = frozenset(os.sched_getaffinity(0))
    if len(cores) > 1:
        Keeper(cores=cores).start()
