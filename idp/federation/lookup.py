"""Names into addresses, within a time.

The resolver of the system waits as long as it likes and cannot be told to stop. So a thread of its own waits for it,
one for a name however many ask, and whoever asks goes away when their time is up.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import Final

UNKNOWN: Final = "no such host"
MOST: Final = 32  # names under way at a time; each is one thread, and the names are those of an operator's providers


@dataclass(slots=True, eq=False)
class _Question:
    """One name that is asked for, and what came of it."""

    done: threading.Event = field(default_factory=threading.Event)
    found: tuple[str, ...] = ()
    trouble: Exception | None = None


class Lookups:
    """The questions that are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], _Question] = {}

    def addresses(self, host: str, port: int, *, seconds: float) -> tuple[str, ...]:
        """Return the addresses of a name; TimeoutError when they do not come in time, another OSError when none are."""
        question = self._asked(host, port)
        if not question.done.wait(seconds):
            raise TimeoutError("no answer in time")
        if question.trouble is not None:
            raise OSError(UNKNOWN) from question.trouble
        return question.found

    def _asked(self, host: str, port: int) -> _Question:
        with self._lock:
            there = self._under_way.get((host, port))
            if there is not None:
                return there
            if len(self._under_way) >= MOST:
                raise TimeoutError("too many names are asked for")
            question = self._under_way[host, port] = _Question()
        threading.Thread(target=self._ask, args=(host, port, question), daemon=True).start()
        return question

    def _ask(self, host: str, port: int, question: _Question) -> None:
        try:
            found = resolve(host, port)
        except (OSError, UnicodeError) as trouble:
            question.trouble = trouble
        else:
            question.found = found
        finally:
            with self._lock:
                del self._under_way[host, port]
            question.done.set()


def resolve(host: str, port: int) -> tuple[str, ...]:
    """Ask the system."""
    return tuple(str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


HERE: Final = Lookups()
