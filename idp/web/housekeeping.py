"""What a running provider does by itself: seal the audit, keep keys fresh, forget what is over.

One thread in each worker. Every duty is safe to run in all of them at once: leases and conditional
statements let one through. A duty that fails is logged and tried again at its next turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from idp.audit.seal import AuditSealer
from idp.store import event, prune
from idp.store.database import Database
from idp.web import metrics
from idp.web.directories import Directories
from idp.web.logs import log
from idp.web.services import Services

TICK = 1.0
KEYS_EVERY = timedelta(seconds=30)
PRUNE_EVERY = timedelta(minutes=10)
LOOK_EVERY = timedelta(seconds=5)
DIRECTORIES_EVERY = timedelta(seconds=2)


@dataclass(slots=True)
class Duty:
    """One thing to do every so often."""

    name: str
    every: timedelta
    run: Callable[[datetime], object]
    due: datetime | None = field(default=None)
    failing: bool = field(default=False)

    def turn(self, now: datetime) -> None:
        """Do it if it is due; a failure waits for the next turn."""
        if self.due is not None and now < self.due:
            return
        self.due = now + self.every
        try:
            self.run(now)
        except Exception as trouble:  # noqa: BLE001 - the thread must outlive a store that is away
            # Said once, not every second for as long as the store is away.
            if not self.failing:
                log.warning("housekeeping.failed", duty=self.name, trouble=type(trouble).__name__)
            self.failing = True
        else:
            if self.failing:
                log.info("housekeeping.recovered", duty=self.name)
            self.failing = False


class Housekeeper:
    """The thread, and a way to end it."""

    def __init__(self, services: Services) -> None:
        sealer = AuditSealer(services.db, services.sealer)
        self._clock = services.clock
        self._duties = (
            Duty("seal the audit", timedelta(0), sealer.run),
            Duty("keep keys fresh", min(KEYS_EVERY, services.settings.publish_lead / 2), services.keyring.ensure),
            Duty("tell what was issued", timedelta(0), services.tally.tell),
            Duty("read directories", DIRECTORIES_EVERY, Directories(services).turn),
            Duty("look how far gateways are", LOOK_EVERY, lambda now: tell_streams(services.db, now)),
            Duty(
                "forget what is over",
                PRUNE_EVERY,
                lambda now: prune.prune(services.db, now, stop=services.settings.throttle_stop),
            ),
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin, in this process."""
        self._thread.start()

    def stop(self) -> None:
        """End after the duty at hand."""
        self._ended.set()
        self._thread.join(10)

    def round(self) -> None:
        """Do everything that is due now."""
        now = self._clock()
        for duty in self._duties:
            duty.turn(now)

    def _loop(self) -> None:
        while not self._ended.wait(TICK):
            self.round()


def tell_streams(db: Database, now: datetime) -> None:
    """Let metrics say how far the gateways are that listen, by client: replicas of one share its figures."""
    with db.read() as tx:
        outbox, found = event.outbox(tx), event.standing(tx)
    figures: dict[str, tuple[int, int, float]] = {}
    for each in found:
        streams, waiting, lag = figures.get(each.stream.client_id, (0, 0, 0.0))
        late = max(lag, each.lag(now).total_seconds())
        figures[each.stream.client_id] = (streams + 1, waiting + each.waiting, late)
    metrics.events(outbox, figures)
