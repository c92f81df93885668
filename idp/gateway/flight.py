"""Work that waits for somebody else: done in threads, once for everybody who wants the same at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """A few threads, and what they are busy with. Bounded: strangers decide how much is wanted.

    `share` is the most that one of those who want something may have under way at once.
    """

    def __init__(self, name: str, *, threads: int, most: int, share: int | None = None) -> None:
        self._name = name
        self._threads = threads
        self._most = most
        self._share = most if share is None else share
        self._under_way: dict[bytes, Future[T]] = {}
        self._held: dict[str, int] = {}  # by whom, only while something is under way
        self._turn = Lock()
        self._pool: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self._under_way)

    def join(self, key: bytes, work: Callable[[], T], who: str = "") -> Future[T] | None:
        """Begin some work, or wait with those who have; None when too much is under way.

        `work` looks first whether it has been done a moment ago: it may have ended before this was asked.
        """
        with self._turn:
            known = self._under_way.get(key)
            if known is not None:
                return known
            held = self._held.get(who, 0)
            if len(self._under_way) >= self._most or held >= self._share:
                return None
            self._pool = self._pool or ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
            self._held[who] = held + 1
            begun = self._under_way[key] = self._pool.submit(self._work, key, work, who)
            return begun

    def stop(self) -> None:
        """End the threads; what is under way is left to its own time limit."""
        with self._turn:
            pool, self._pool = self._pool, None
            self._under_way.clear()
            self._held.clear()
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, key: bytes, work: Callable[[], T], who: str) -> T:
        try:
            return work()
        finally:
            with self._turn:  # whoever began it has written it down by now
                self._under_way.pop(key, None)
                left = self._held.pop(who, 1) - 1
                if left:
                    self._held[who] = left
