"""A busy worker keeps to one core: which one, when it moves, and what is really tied."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from idp.cli.serving import core
from idp.cli.serving.core import CALM, SPAN, Cores, Keeper, Seen, choose, tied_neighbours, used_by_core

BOTH: Cores = frozenset({0, 1})


def chosen(here: int | None, *, own: float = 1.0, tied: Mapping[int, int] | None = None, **busy: float) -> set[int]:
    """Give every answer that some dice give."""
    seen = Seen(own=own, busy={int(name[1:]): used for name, used in busy.items()}, tied=tied or {})
    return {choose(here, seen, dice=random.Random(seed)) for seed in range(40)}


def test_it_goes_where_least_is_done():
    assert chosen(None, c0=0.9, c1=0.1, c2=0.7) == {1}


def test_among_equals_any_will_do():
    assert chosen(None, c0=0.5, c1=0.5) == {0, 1}


def test_it_stays_where_it_has_the_core_for_itself():
    assert chosen(0, own=1.0, c0=1.0, c1=0.0) == {0}


def test_it_stays_where_no_core_is_better():
    assert chosen(0, own=0.5, c0=1.0, c1=0.6) == {0}


def test_it_leaves_a_crowd_but_not_always_so_that_of_two_one_stays():
    assert chosen(0, own=0.5, c0=1.0, c1=0.0) == {0, 1}


def test_it_keeps_away_from_a_worker_that_is_tied_even_where_more_is_done():
    assert chosen(None, tied={1: 1}, c0=0.8, c1=0.5) == {0}


def test_it_leaves_a_core_that_another_worker_is_tied_to():
    assert chosen(1, own=0.5, tied={1: 1}, c0=0.9, c1=1.0) == {0, 1}


def test_it_leaves_a_core_that_was_taken_from_it():
    assert chosen(7, c0=0.5, c1=0.1) == {1}


@dataclass
class Machine:
    """Two cores, and one process of which the test says what it used."""

    now: float = 0.0
    used: dict[int, float] = field(default_factory=lambda: {0: 100.0, 1: 100.0})
    own: float = 5.0
    reads: int = 0
    ties: list[Cores] = field(default_factory=list)

    def read(self) -> dict[int, float]:
        self.reads += 1
        return dict(self.used)

    def keeper(self) -> Keeper:
        return Keeper(
            cores=BOTH,
            own=lambda: self.own,
            used=self.read,
            tied=dict,
            clock=lambda: self.now,
            tie=self.ties.append,
            dice=random.Random(1),
        )

    def pass_by(self, keeper: Keeper, *, own: float = 0.0, others: Mapping[int, float] | None = None) -> None:
        """Let a span pass in which the process used so much, on its core, and others so much of each."""
        self.now += SPAN
        self.own += own * SPAN
        self.used[keeper.here or 0] += own * SPAN
        for where, much in (others or {}).items():
            self.used[where] += much * SPAN
        keeper.look()


def test_an_idle_worker_is_left_to_the_kernel_and_nothing_is_read():
    machine = Machine()
    keeper = machine.keeper()
    for _ in range(3):
        machine.pass_by(keeper, own=0.1, others={0: 1.0})
    assert (keeper.here, machine.ties, machine.reads) == (None, [], 0)


def test_a_busy_worker_is_tied_after_two_spans():
    machine = Machine()
    keeper = machine.keeper()
    for _ in range(2):
        machine.pass_by(keeper, own=0.5, others={0: 0.4})
    assert (keeper.here, machine.ties) == (1, [frozenset({1})])
    machine.pass_by(keeper, own=1.0)
    assert machine.ties == [frozenset({1})]


def test_it_moves_when_others_crowd_it():
    machine = Machine()
    keeper = machine.keeper()
    for _ in range(2):
        machine.pass_by(keeper, own=0.5, others={0: 0.4})
    for _ in range(20):
        machine.pass_by(keeper, own=0.4, others={1: 0.6} if keeper.here == 1 else {})
    assert machine.ties == [frozenset({1}), frozenset({0})]


def test_after_a_long_calm_it_is_free_again():
    machine = Machine()
    keeper = machine.keeper()
    for _ in range(2):
        machine.pass_by(keeper, own=0.5, others={0: 0.4})
    for _ in range(CALM + 3):
        machine.pass_by(keeper)
    assert (keeper.here, machine.ties) == (None, [frozenset({1}), BOTH])


def test_where_no_core_of_ours_is_told_of_it_stays_free():
    machine = Machine(used={8: 1.0})
    keeper = machine.keeper()
    machine.used |= {0: 0.0}
    machine.used.pop(0)
    for _ in range(3):
        machine.now += SPAN
        machine.own += SPAN
        keeper.look()
    assert machine.ties == []


def test_the_system_tells_of_every_core():
    assert used_by_core().keys() >= os.sched_getaffinity(0)
    assert all(seconds > 0 for seconds in used_by_core().values())


ANOTHER = """
import os, threading
from idp.cli.serving.core import tie
first = min(os.sched_getaffinity(0))
every = frozenset(os.sched_getaffinity(0))
asked, told, seen = threading.Semaphore(0), threading.Semaphore(0), []
def thread():
    for _ in range(2):
        asked.acquire()
        seen.append(os.sched_getaffinity(0))
        told.release()
threading.Thread(target=thread, daemon=True).start()
for cores in (frozenset({first}), every):
    tie(cores)
    asked.release()
    told.acquire()
    assert os.sched_getaffinity(0) == cores == seen[-1], (cores, seen)
tie(frozenset({100_000}))
assert os.sched_getaffinity(0) == every
"""


def test_every_thread_is_tied_and_freed_and_a_core_that_is_not_there_changes_nothing():
    subprocess.run([sys.executable, "-c", ANOTHER], check=True)


WORKERS = """
import os, subprocess, sys
first = min(os.sched_getaffinity(0))
waits = [sys.executable, "-c", "input()"]
tied = subprocess.Popen(waits, stdin=subprocess.PIPE)
free = subprocess.Popen(waits, stdin=subprocess.PIPE)
os.sched_setaffinity(tied.pid, {first})
ask = "from idp.cli.serving.core import tied_neighbours as told; print(dict(told()))"
said = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout
for each in (tied, free):
    each.communicate(b"\\n")
assert said == f"{{{first}: 1}}\\n", said
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one core everybody is tied to it")
def test_a_worker_sees_to_which_core_the_others_of_its_server_are_tied():
    subprocess.run([sys.executable, "-c", WORKERS], check=True)


def test_a_kernel_that_does_not_tell_of_children_is_no_trouble(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(core.os, "getppid", lambda: 0)
    assert tied_neighbours() == {}


def test_a_system_that_tells_nothing_ends_the_looking(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(core, "SPAN", 0.0)

    def nothing() -> Mapping[int, float]:
        raise FileNotFoundError

    own = iter(range(0, 1000, 10))
    keeper = Keeper(cores=BOTH, own=lambda: float(next(own)), used=nothing, clock=iter(range(1000)).__next__)
    keeper.start()
    keeper.join(10)
    assert not keeper.is_alive()


def test_with_one_core_nobody_looks(monkeypatch: pytest.MonkeyPatch):
    started: list[Cores] = []
    monkeypatch.setattr(core, "Keeper", lambda *, cores: started.append(cores) or Started())
    monkeypatch.setattr(core.os, "sched_getaffinity", lambda _pid: {3})
    core.keep()
    assert started == []
    monkeypatch.setattr(core.os, "sched_getaffinity", lambda _pid: {3, 4})
    core.keep()
    assert started == [frozenset({3, 4})]


class Started:
    """Stands for the thread."""

    def start(self) -> None:
        """Do nothing."""
