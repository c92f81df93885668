"""A room where requests wait for the rest of their body, so that slow senders hold no thread that answers.

A server hands a request to a thread at the end of its head, and that thread reads the body however long it takes. So
there are many threads to wait in, and few of them at a time go on to the application. Reading the body on an event
loop instead, and handing whole requests to threads, costs granian a third of its tokens a second.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from idp.web.form import MAX_BODY

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS: Final = 256
# From the end of a head to the end of its body; where many wait, the impatience of a full room.
SECONDS, CROWDED_SECONDS = 10.0, 2.0
CROWD: Final = THREADS // 2
TOO_LATE: Final = "408 Request Timeout"


class Room:
    """The application behind a room with as many seats as it has threads to answer with."""

    def __init__(self, app: WSGIApplication, *, seats: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._waiting: dict[int, float] = {}
        # A queue of nothings, for it is the one lock of the standard library that costs a tenth of a microsecond.
        self._seats: SimpleQueue[None] = SimpleQueue()
        for _ in range(seats):
            self._seats.put(None)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve (PEP 3333), once the body is there."""
        if environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ:
            body = self._body(environ)
            if body is None:
                start_response(TOO_LATE, [("Connection", "close"), ("Content-Length", "0")])
                return []
            environ["wsgi.input"] = body
        self._seats.get()
        try:
            return self._app(environ, start_response)
        finally:
            self._seats.put(None)

    def longest(self) -> float:
        """Say for how many seconds the first in the room has been waiting."""
        return self._clock() - min(tuple(self._waiting.values()), default=self._clock())

    @property
    def patience(self) -> float:
        """How long one may wait: less where many do."""
        return SECONDS if len(self._waiting) < CROWD else CROWDED_SECONDS

    def _body(self, environ: WSGIEnvironment) -> io.BytesIO | None:
        """Take in the body, or None if its time was over. What is announced as too long is left to be refused."""
        announced = environ.get("CONTENT_LENGTH", "")
        if announced.isdecimal() and (len(announced) > len(str(MAX_BODY)) or int(announced) > MAX_BODY):
            return io.BytesIO()
        me, since = threading.get_ident(), self._clock()
        self._waiting[me] = since
        try:
            body = environ["wsgi.input"].read(MAX_BODY + 1)
        finally:
            del self._waiting[me]
        return io.BytesIO(body) if self._clock() - since <= SECONDS else None
