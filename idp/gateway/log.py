"""The decision log: one JSON line per decision, without tokens, queries or names of people.

Lines are written by one thread, ten times a second: a slow disk delays the log and never a request. The price is
that a kill -9 loses the last tenth of a second; an ordinary stop loses nothing.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

_EVERY: Final = 0.1
_WAITING: Final = 100_000
_ENCODE: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode

Entry = tuple[Callable[..., str], tuple[Any, ...]]


class Log(Protocol):
    """Where decisions and events go."""

    def event(self, name: str, **facts: object) -> None:
        """Note something that happened to the gateway itself."""

    def record(self, write: Callable[..., str], *facts: object) -> None:
        """Note a decision; `write` turns the facts into JSON, later and elsewhere."""


class JsonLines:
    """A `Log` into a stream or file."""

    def __init__(self, target: str | TextIO = "-", *, wall: Callable[[], float] = time.time) -> None:
        self._owned = isinstance(target, str) and target != "-"
        self._stream = _open(target)
        self._wall = wall
        self._waiting: list[Entry] = []
        self._lost = 0
        self._turn = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)
        self._thread.start()

    def event(self, name: str, **facts: object) -> None:
        """Note something that happened to the gateway itself."""
        self.record(_event, self._wall(), name, facts)

    def record(self, write: Callable[..., str], *facts: object) -> None:
        """Note facts to be written soon. When the disk cannot keep up lines are counted instead of kept."""
        if len(self._waiting) >= _WAITING:
            self._lost += 1
            return
        self._waiting.append((write, facts))

    def flush(self) -> None:
        """Write what waits."""
        with self._turn:
            entries, self._waiting = self._waiting, []
            lost, self._lost = self._lost, 0
            if lost:
                entries.append((_event, (self._wall(), "log.lost", {"lines": lost})))
            if not entries:
                return
            lines = [_line(write, facts) for write, facts in entries]
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # a full disk or a closed pipe: keep counting, keep serving
                self._lost += len(entries)

    def close(self) -> None:
        """Write the rest and end the thread."""
        self._stopped.set()
        self._thread.join()
        self.flush()
        if self._owned:
            self._stream.close()

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY):
            self.flush()


def _open(target: str | TextIO) -> TextIO:
    if not isinstance(target, str):
        return target
    return sys.stdout if target == "-" else Path(target).open("a", encoding="utf-8")


def _line(write: Callable[..., str], facts: tuple[Any, ...]) -> str:
    try:
        return write(*facts)
    except Exception as fault:  # noqa: BLE001 - one line that cannot be written must not be the last one
        return _event(time.time(), "log.fault", {"kind": type(fault).__name__})


def _event(at: float, name: str, facts: Mapping[str, Any]) -> str:
    return _ENCODE({"at": round(at, 3), "event": name, **facts})
