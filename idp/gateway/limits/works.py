"""All limits of a gateway: what its routes share and what outlives a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from idp.gateway.issuers import CannotChange
from idp.gateway.limits.bucket import Local
from idp.gateway.limits.model import SECOND, Store
from idp.gateway.limits.rooms import Places, Room
from idp.gateway.limits.stage import Limits

if TYPE_CHECKING:
    from idp.gateway.config import Config, Route
    from idp.gateway.limits.shared import SharedBuckets
    from idp.gateway.log import Log


class LimitWorks:
    """Gives each route its limits. Buckets stay when the file changes; where they are kept takes a new start."""

    def __init__(self, store: Store, *, log: Log, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.store = store

        def now() -> int:
            return int(monotonic() * SECOND)

        self._full, self._share = Local(now), Local(now)
        self._rooms: dict[str, Room] = {}
        self.shared: SharedBuckets | None = None
        if store.kind == "redis":
            # Imported here: a gateway that counts for itself works without the package.
            from idp.gateway.limits.shared import SharedBuckets  # noqa: PLC0415 - redis is an extra

            self.shared = SharedBuckets(store, log=log)

    def adopt(self, config: Config) -> None:
        """Refuse a file that would count elsewhere."""
        if config.limits != self.store:
            raise CannotChange("[limits] is another: that takes a new start")

    def stages(self, route: Route) -> tuple[Any, ...]:
        """Give the limits of a route; first the one that costs least."""
        room = (self._places(route.id, route.concurrency),) if route.concurrency is not None else ()
        if not route.limits:
            return room
        limits = Limits(
            route.limits,
            route,
            full=self._full,
            share=self._share,
            shared=self.shared,
            replicas=self.store.replicas,
        )
        return (*room, limits)

    def _places(self, route: str, places: int) -> Places:
        """Whoever is under way when the file changes still has a place in the same room.

        How many there are belongs to the file: one that is refused in the end must not have changed it.
        """
        return Places(self._rooms.setdefault(route, Room()), places)

    def start(self) -> None:
        """Begin to talk to Redis."""
        if self.shared is not None:
            self.shared.start()

    def stop(self) -> None:
        """End it."""
        if self.shared is not None:
            self.shared.stop()
