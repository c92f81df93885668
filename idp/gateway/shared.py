"""One thread that talks to Redis, for what several gateways keep together; nobody else waits for the connection.

Whatever has come in while it was away goes into its next call. Redis away, hanging, full or read-only is all the same:
nobody knows, until a call has been answered again.
"""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, ClassVar, Final, Generic, Protocol, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from idp.gateway.limits.model import Store
    from idp.gateway.log import Log

MOST: Final = 128  # questions in one call: a bound for how long it keeps Redis from others
PROBE_EVERY: Final = 0.5


class Closing(Protocol):
    """A connection."""

    def close(self) -> None:
        """Let go of it."""


Asked = TypeVar("Asked")
Told = TypeVar("Told")
Found = TypeVar("Found")
Link = TypeVar("Link", bound=Closing)


def connection(store: Store, name: str) -> redis.Redis:
    """Give a client of redis-py that never waits longer than was agreed."""
    return redis.Redis.from_url(
        store.address(),
        socket_timeout=store.seconds,
        socket_connect_timeout=store.seconds,
        # Once more when an idle connection turns out to be dead. What is written twice so errs on the safe side.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        client_name=name,
    )


class Courier(ABC, Generic[Asked, Told, Link]):
    """The thread, its queue, and whether Redis is away. What is asked, and how, is the affair of those who derive."""

    NAME: ClassVar[str]
    LOST: ClassVar[str]  # the event when Redis is away
    BACK: ClassVar[str]

    def __init__(self, store: Store, *, log: Log, connect: Callable[[Store], Link]) -> None:
        self.seconds = store.seconds
        self.away = False
        self._store = store
        self._log = log
        self._connect = connect
        self._client: Link | None = None
        self._queue: SimpleQueue[tuple[Asked, Future[Told | None]] | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread = threading.Thread(target=self._run, name=self.NAME, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; whoever still waits hears that nobody knows."""
        self._stopping = True
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(2 * self.seconds)

    def _put(self, asked: Asked) -> Future[Told | None]:
        """Hand in a question; None is the answer when nobody knows."""
        future: Future[Told | None] = Future()
        self._queue.put((asked, future))
        return future

    @abstractmethod
    def _run(self) -> None:
        """Answer until it is time to stop."""

    def _next(self, *, wait: bool = True) -> list[tuple[Asked, Future[Told | None]]]:
        """Give what has come in; while Redis is away not later than the next probe."""
        batch: list[tuple[Asked, Future[Told | None]] | None] = []
        with contextlib.suppress(Empty):
            if wait:
                batch.append(self._queue.get(timeout=PROBE_EVERY if self.away else None))
            while len(batch) < MOST:
                batch.append(self._queue.get_nowait())
        return [each for each in batch if each is not None]

    def _call(self, act: Callable[[Link], Found]) -> Found | None:
        """Do something with Redis; None when it is away, whatever that means this time."""
        try:
            if self._client is None:
                self._client = self._connect(self._store)
            found = act(self._client)
        except Exception as fault:  # noqa: BLE001 - the thread must live, and Redis fails in many ways
            self._close()
            self._turned(away=True, reason=type(fault).__name__)
            return None
        self._turned(away=False)
        return found

    def _close(self) -> None:
        """Connect anew next time: the address and its secret are read again as well."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def _turned(self, *, away: bool, reason: str = "") -> None:
        with self._turn:
            if self.away is away:
                return
            self.away = away
        self._log.event(self.LOST if away else self.BACK, **({"reason": reason} if reason else {}))
