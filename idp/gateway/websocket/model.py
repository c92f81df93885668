"""What a route says about WebSockets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocket:
    """Where they may come from, how else a token may come along, and for how long they may stay."""

    origins: frozenset[str] = frozenset()  # of pages; empty: any page that has a token to show
    subprotocol: bool = False  # the token may stand in Sec-WebSocket-Protocol, behind the word "bearer"
    cookie: str | None = None  # the token may stand in this cookie
    idle: float = 300.0  # seconds without a byte either way
    max_age: float = 86_400.0
