"""Proofs that any of several gateways has seen, kept in the Redis of their limits.

One thread talks to Redis; whatever has come in meanwhile goes along in the next call. A Redis that was emptied cannot
know what was used before: it says since when it remembers, and an older proof is not believed. One that is little newer
may have been dated ahead when it was used: of such a one nobody knows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Protocol

from idp.gateway.shared import Courier, connection
from idp.jose.dpop import WINDOW

if TYPE_CHECKING:
    from idp.gateway.limits.model import Store
    from idp.gateway.log import Log
    from idp.jose.dpop import Proof

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
        self._redis = connection(store, "gatehouse-dpop")

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


class SharedSeen(Courier["Proof", bool, Client]):
    """The thread that asks about proofs."""

    NAME = "dpop-redis"
    LOST = "dpop.store_away"
    BACK = "dpop.store_back"

    def __init__(
        self,
        store: Store,
        *,
        log: Log,
        connect: Callable[[Store], Client] = RedisClient,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(store, log=log, connect=connect)
        self._wall = wall

    def claim(self, proof: Proof) -> Future[bool | None]:
        """Use a proof up, soon: True once, then False; None when nobody knows."""
        return self._put(proof)

    def _run(self) -> None:
        self._ask([])  # says from when on Redis remembers, before the first proof comes
        while not self._stopping:
            self._answer(self._next())
        self._answer(self._next(wait=False), known=False)
        self._close()

    def _answer(self, batch: Sequence[tuple[Proof, Future[bool | None]]], *, known: bool = True) -> None:
        if not batch and not self.away:
            return
        found = self._ask([proof for proof, _ in batch]) if known else None
        for number, (_, future) in enumerate(batch):
            future.set_result(None if found is None else found[number])

    def _ask(self, proofs: Sequence[Proof]) -> list[bool | None] | None:
        """Ask Redis; None when it is away, whatever that means this time."""
        now = self._wall()
        keys = [(proof.key, max(1, math.ceil(proof.ends - now)) + _SPARE) for proof in proofs]
        said = self._call(lambda client: client.claim(keys, math.ceil(now)))
        if said is None:
            return None
        since, fresh = said
        return [_fresh(proof, since) if new else False for proof, new in zip(proofs, fresh, strict=True)]


def _fresh(proof: Proof, since: int) -> bool | None:
    """Tell whether a proof that Redis does not know was never used; None when it may have been, dated ahead."""
    if proof.made < since:
        return False
    return True if proof.made >= since + WINDOW + _SPARE else None
