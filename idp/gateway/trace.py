"""Which trace a request belongs to, and which request it is (W3C Trace Context, level 1; X-Request-Id).

What comes in well-formed goes on as it is: the gateway adds no span of its own. What comes in malformed, or twice, is
replaced: half a trace is worse than a new one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final

NAMES: Final = frozenset({b"traceparent", b"tracestate", b"x-request-id"})

# Section 3.2.2: version 00 ends here; a later version may go on after a hyphen. ff is none.
_PARENT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_FIRST_VERSION: Final = b"00"
# Section 3.3.1; a tenant before an "@" included.
_MEMBER: Final = re.compile(
    rb"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS: Final = 32
_LONGEST_STATE: Final = 8_192
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~:+/=-]{1,128}")
# A trace that begins here is worth keeping for whoever behind us keeps traces.
_SAMPLED: Final = "01"


class Trace:
    """What goes on to the server behind, and what the log says."""

    __slots__ = ("id", "parent", "request", "state")

    def __init__(self, *, id: str, parent: bytes, state: bytes, request: str) -> None:  # noqa: A002 - what it is
        self.id = id
        self.parent = parent
        self.state = state
        self.request = request

    def wire(self, request: str) -> bytes:
        """Write the headers, with an id for a request that brought none."""
        state = b"tracestate: %b\r\n" % self.state if self.state else b""
        return b"traceparent: %b\r\n%bx-request-id: %b\r\n" % (
            self.parent,
            state,
            (self.request or request).encode("ascii"),
        )


def read(headers: Sequence[tuple[bytes, bytes]]) -> Trace | None:
    """Read what a request brought along; None when it belongs to no trace. The request id is on its own."""
    parents: list[bytes] = []
    states: list[bytes] = []
    requests: list[bytes] = []
    for name, value in headers:
        if name in NAMES:
            (parents if name == b"traceparent" else states if name == b"tracestate" else requests).append(value)
    if not (parents or requests):
        return None
    found = _PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    sound = found is not None and (found[1] != _FIRST_VERSION or found[3] is None)
    request = requests[0].decode("ascii") if len(requests) == 1 and _REQUEST_ID.fullmatch(requests[0]) else ""
    if found is None or not sound:
        return Trace(id="", parent=b"", state=b"", request=request)
    return Trace(id=found[2].decode("ascii"), parent=parents[0], state=_state(states), request=request)


def of(headers: Sequence[tuple[bytes, bytes]]) -> Trace:
    """Read what a request brought along, or begin a trace."""
    trace = read(headers)
    if trace is not None and trace.id:
        return trace
    name = os.urandom(16).hex()
    parent = f"00-{name}-{os.urandom(8).hex()}-{_SAMPLED}".encode("ascii")
    return Trace(id=name, parent=parent, state=b"", request=trace.request if trace else "")


def _state(values: list[bytes]) -> bytes:
    """Join what came in several headers (section 3.3); all of it, or nothing when one member is odd."""
    whole = b",".join(values)
    if len(whole) > _LONGEST_STATE:
        return b""
    members = [member for each in whole.split(b",") if (member := each.strip(b" \t"))]
    if len(members) > _MOST_MEMBERS:
        return b""
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in found if match is not None}
    return b",".join(members) if len(keys) == len(members) else b""
