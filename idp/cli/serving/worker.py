"""gunicorn's gthread with an end to patience: no thread waits for a client that is silent, or speaks drop by drop."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any, Final

from gunicorn.workers import gthread

# From the first byte of a request to the last of its answer; ours take a few seconds at the very most.
SECONDS: Final = 10.0
# Of a worker. With the store's own they stay below 1024, the files a process may have where nobody said otherwise.
CONNECTIONS: Final = 800


LAST: Final = 0.1  # seconds for what is all but answered


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Threads are few and connections many: who holds one too long is cut off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._busy: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """Answer a request, once there is one: until then the poller waits, which costs no thread."""
        if not conn.initialized and not conn.wait_for_data(0):
            return gthread._DEFER  # noqa: SLF001 - what it returns itself, five seconds later
        self._busy[conn] = time.monotonic() + SECONDS
        try:
            return super().handle(conn)
        finally:
            del self._busy[conn]

    def accept(self, listener: Any) -> None:
        """Take one more; of as many as there may be, the one that has been silent the longest makes room."""
        super().accept(listener)
        if self.nr_conns >= self.worker_connections:
            for silent, end in (
                (self.pending_conns, self.murder_pending),
                (self.keepalived_conns, self.murder_keepalived),
            ):
                if silent:
                    silent[0].timeout = 0.0
                    end()
                    return

    def handle_quit(self, _signal: int, _frame: Any) -> None:
        """End at once, wherever the signal found us: what is raised amid a collection, as gunicorn does, is lost."""
        self.alive = False
        time.sleep(LAST)
        os._exit(0)

    def murder_pending(self) -> None:
        """End what has waited too long; gunicorn asks once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in tuple(self._busy.items()):
            if now > deadline:
                with contextlib.suppress(OSError):
                    # The socket beneath TLS: its thread, which may be reading, then finds the end.
                    socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)
