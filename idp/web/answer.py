"""JSON answers to programs, with the headers all of them have; written straight to the server.

Werkzeug's response copies and inspects its headers once more on the way out, which costs a token request a tenth of
its time; an `Answer` has nothing left to inspect.
"""

from __future__ import annotations

from json import JSONEncoder
from typing import TYPE_CHECKING, Final

from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

NO_STORE: Final = "no-store"
encode: Final = JSONEncoder(separators=(",", ":")).encode

_HEADERS: Final = (
    ("Content-Type", "application/json"),
    ("Cache-Control", NO_STORE),  # RFC 6749 section 5.1
    ("Pragma", "no-cache"),
    ("X-Content-Type-Options", "nosniff"),
)


class Answer(Response):
    """A finished JSON answer; `raw` is its body."""

    raw: bytes = b""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Write it as it is (PEP 3333)."""
        start_response(self.status, list(self.headers))
        return () if environ["REQUEST_METHOD"] == "HEAD" else (self.raw,)


def answer(body: object, status: int = 200) -> Answer:
    """Write JSON that nobody stores."""
    raw = encode(body).encode("ascii")
    # Given its headers, werkzeug does not first make others.
    made = Answer(status=status, headers=Headers([*_HEADERS, ("Content-Length", str(len(raw)))]))
    made.raw, made.response = raw, [raw]
    return made
