"""Reading directories in the background: in a thread of its own, so that a long read keeps no other duty waiting."""

from __future__ import annotations

import os
import socket
import threading
from datetime import datetime

from idp.accounts.sync import Sync
from idp.federation.connector import SyncedConnector
from idp.web.logs import log
from idp.web.services import Services


class Directories:
    """Syncs whatever is due; one round at a time in each process, one connector at a time in all of them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._thread: threading.Thread | None = None

    def turn(self, now: datetime) -> None:
        """Begin a round if something is due and none is at work."""
        if self._thread is not None and self._thread.is_alive():
            return
        every = self._services.settings.directory_sync
        live = self._services.connectors.all(now)
        due = [each for each in live if isinstance(each.connector, SyncedConnector) and self._sync.due(each, every)]
        if due:
            self._thread = threading.Thread(target=self.round, args=(now,), name="directories", daemon=True)
            self._thread.start()

    @property
    def _sync(self) -> Sync:
        parts = self._services
        holder = f"{socket.gethostname()}:{os.getpid()}"
        whole_every = parts.settings.directory_full_sync
        return Sync(db=parts.db, audit=parts.audit, holder=holder, clock=parts.clock, whole_every=whole_every)

    def round(self, now: datetime) -> None:
        """Sync what is due, each by itself: one directory that is away keeps no other from being read."""
        every = self._services.settings.directory_sync
        for ready in self._services.connectors.all(now):
            if not isinstance(ready.connector, SyncedConnector) or not self._sync.due(ready, every):
                continue
            try:
                report = self._sync.run(ready)
            except Exception as trouble:  # noqa: BLE001 - the next round tries again
                log.warning("directory.sync_failed", connector=ready.name, trouble=type(trouble).__name__)
                continue
            if report is not None:
                say = log.info if report.trouble is None else log.warning
                say("directory.synced", connector=ready.name, trouble=report.trouble, **report.counts())
