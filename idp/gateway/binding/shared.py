"""Proofs that any of several gateways has seen, kept in the Redis of their limits.

One thread talks to Redis; whatever has come in meanwhile goes along in the next call. A Redis that was emptied cannot
know what was used before: it says since when it remembers, and an older proof is not believed.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from idp.gateway.limits.model import Store
    from idp.gateway.log import Log
    from idp.jose.dpop import Proof

_MOST: Final = 128
_PROBE_EVERY: Final = 0.5
_PREFIX: Final = "gatehouse:dpop:"
_SINCE: Final = "gatehouse:dpop-since"
_SPARE: Final = 5  # seconds that clocks of gateways may differ, over what a proof allows anyway


class Client(Protocol):
    """A Redis that is connected."""

    def claim(self, keys: Sequence[tuple[str, int]], since: int) -> tuple[int, list[bool]]:
        """Set each key for its seconds unless it is set; give since when it remembers, and which were new."""

    def close(self) -> None:
        """Let go of the connection."""


class RedisClient:
    """A `Client` by redis-py."""

    def __init__(self, store: Store) -> None:
        self._redis = redis.Redis.from_url(
            store.address(),
            socket_timeout=store.seconds,
            socket_connect_timeout=store.seconds,
            # Once more when an idle connection turns out to be dead. What is set twice so refuses a good proof.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            client_name="gatehouse-dpop",
        )

    def claim(self, keys: Sequence[tuple[str, int]], since: int) -> tuple[int, list[bool]]:
        """Ask all at once."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.set(_SINCE, since, nx=True)
        pipeline.get(_SINCE)
        for key, seconds in keys:
            pipeline.set(_PREFIX + key, 1, nx=True, ex=seconds)
        said: list[Any] = pipeline.execute()
        return int(said[1]), [bool(each) for each in said[2:]]

    def close(self) -> None:
        """Let go of the connection."""
        self._redis.close()


class SharedSeen:
    """The thread that talks to Redis."""

    def __init__(
        self,
        store: Store,
        *,
        log: Log,
        connect: Callable[[Store], Client] = RedisClient,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.seconds = store.seconds
        self.away = False
        self._store = store
        self._log = log
        self._connect = connect
        self._wall = wall
        self._client: Client | None = None
        self._queue: SimpleQueue[tuple[Proof, Future[bool | None]] | None] = SimpleQueue()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread = threading.Thread(target=self._run, name="dpop-redis", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; whoever still waits hears that nobody knows."""
        self._stopping = True
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(2 * self.seconds)

    def claim(self, proof: Proof) -> Future[bool | None]:
        """Use a proof up, soon: True once, then False; None when nobody knows."""
        future: Future[bool | None] = Future()
        self._queue.put((proof, future))
        return future

    def _run(self) -> None:
        self._ask([])  # says from when on Redis remembers, before the first proof comes
        while not self._stopping:
            self._answer(self._next())
        self._answer(self._next(wait=False), known=False)
        self._close()

    def _next(self, *, wait: bool = True) -> list[tuple[Proof, Future[bool | None]]]:
        batch: list[tuple[Proof, Future[bool | None]] | None] = []
        with contextlib.suppress(Empty):
            if wait:
                batch.append(self._queue.get(timeout=_PROBE_EVERY if self.away else None))
            while len(batch) < _MOST:
                batch.append(self._queue.get_nowait())
        return [each for each in batch if each is not None]

    def _answer(self, batch: Sequence[tuple[Proof, Future[bool | None]]], *, known: bool = True) -> None:
        if not batch and not self.away:
            return
        found = self._ask([proof for proof, _ in batch]) if known else None
        for number, (_, future) in enumerate(batch):
            future.set_result(None if found is None else found[number])

    def _ask(self, proofs: Sequence[Proof]) -> list[bool] | None:
        """Ask Redis; None when it is away, whatever that means this time."""
        now = self._wall()
        keys = [(proof.key, max(1, math.ceil(proof.ends - now)) + _SPARE) for proof in proofs]
        try:
            if self._client is None:
                self._client = self._connect(self._store)
            since, fresh = self._client.claim(keys, math.ceil(now))
        except Exception as fault:  # noqa: BLE001 - the thread must live, and Redis fails in many ways
            self._close()
            self._turned(away=True, reason=type(fault).__name__)
            return None
        self._turned(away=False)
        return [new and proof.made >= since for proof, new in zip(proofs, fresh, strict=True)]

    def _close(self) -> None:
        """Connect anew next time: the address and its secret are read again as well."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def _turned(self, *, away: bool, reason: str = "") -> None:
        if self.away is not away:
            self.away = away
            self._log.event("dpop.store_away" if away else "dpop.store_back", **({"reason": reason} if reason else {}))
