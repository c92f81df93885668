"""Whether a request for a WebSocket may become one, and the token that a browser could send only in its own way."""

from __future__ import annotations

from typing import Final

from idp.gateway.answers import Refusal
from idp.gateway.path import BadTarget, canonical, split_target
from idp.gateway.rules import Rules
from idp.gateway.server.arrival import Arrival
from idp.gateway.websocket import handshake
from idp.gateway.websocket.model import WebSocket

_NONE_HERE: Final = Refusal(
    status=403, reason="no_websocket", error="access_denied", text="this resource takes no WebSocket"
)
_OTHER_PAGE: Final = Refusal(
    status=403, reason="origin", error="access_denied", text="this page may not open a WebSocket here"
)
_VERSION: Final = Refusal(
    status=426,
    reason="handshake",
    error="invalid_request",
    text="WebSocket version 13 is spoken here",
    headers=((b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")),
)
_HANDSHAKE: Final = Refusal(
    status=400, reason="handshake", error="invalid_request", text="the WebSocket handshake is malformed"
)


def reveal(rules: Rules, arrival: Arrival) -> bool:
    """Bring a token out of where the route lets it be. Says whether the client must be given a subprotocol.

    The gate does all of this again, and with it every check: what is not clear here is refused there.
    """
    try:
        path = canonical(split_target(arrival.target)[0])
    except BadTarget:
        return False
    host = rules.host(arrival.host)
    routes = rules.find(host, path) if host is not None else None
    route = routes.get(arrival.method) if routes is not None else None
    if route is None or route.websocket is None:
        return False
    marked = handshake.marked(arrival.headers, route.websocket)
    arrival.headers = handshake.revealed(arrival.headers, route.websocket)
    return marked


def refusal(rule: WebSocket | None, arrival: Arrival) -> Refusal | None:
    """Say why an allowed request may not become a WebSocket."""
    if rule is None:
        return _NONE_HERE
    if not handshake.from_page(arrival.headers, rule):
        return _OTHER_PAGE
    try:
        handshake.key_of(arrival.headers)
    except handshake.BadHandshake as bad:
        return _VERSION if bad.status == _VERSION.status else _HANDSHAKE
    return None
