"""What is issued without a row of its own: counted, and told to the log within a second.

A stateless token writes nothing, so it must not wait for a log line either; a busy service makes one line a second.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from idp.web.logs import log

if TYPE_CHECKING:
    from datetime import datetime


class Tally:
    """Counts by client and audience."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def note(self, client_id: str, audience: str) -> None:
        """Count one token."""
        with self._lock:
            self._counts[client_id, audience] += 1

    def tell(self, _now: datetime) -> None:
        """Write one event for each client and audience since the last time, and begin anew."""
        with self._lock:
            told, self._counts = self._counts, Counter()
        for (client_id, audience), count in told.items():
            log.info("tokens.issued", client_id=client_id, audience=audience, count=count)
