"""A server that is there and does nothing: it takes connections, and never answers."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def hung(pid: int) -> Iterator[None]:
    """Stop a process and all its children, for a while."""
    everybody: list[int] = []
    try:
        _stop(pid, everybody)
        yield
    finally:
        for each in reversed(everybody):
            os.kill(each, signal.SIGCONT)


def _stop(pid: int, stopped: list[int]) -> None:
    """Stop the parent, then ask for its children: one who is born between question and signal would live on."""
    os.kill(pid, signal.SIGSTOP)
    stopped.append(pid)
    for task in Path(f"/proc/{pid}/task").iterdir():
        while _state(task) not in "TZX":
            time.sleep(0.001)
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            _stop(int(child), stopped)


def _state(task: Path) -> str:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
