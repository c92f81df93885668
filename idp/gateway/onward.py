"""The head of a request as the server behind hears it: the same target, and no header of ours by anybody else."""

from __future__ import annotations

from typing import Final

from idp.gateway import trace
from idp.gateway.peers import Peers, peer_of
from idp.gateway.request import Decision, Request
from idp.gateway.rules import Rule
from idp.gateway.server.arrival import Arrival
from idp.gateway.server.exchange import Scope

# RFC 6455 section 4.1: written anew, for Connection and Upgrade belong to one connection.
_UPGRADE: Final = b"connection: Upgrade\r\nupgrade: websocket\r\n"


def head(scope: Scope, request: Request, decision: Decision, rule: Rule, peers: Peers) -> bytes:
    """Write it."""
    arrival: Arrival = scope["gatehouse.arrival"]
    parts = [arrival.method.encode("ascii"), b" ", arrival.target, b" HTTP/1.1\r\nhost: ", arrival.host, b"\r\n"]
    drops, nominated = rule.strip.drops, arrival.nominated
    for name, value in arrival.headers:
        if not drops(name) and name not in nominated and name not in trace.NAMES:
            parts += (name, b": ", value, b"\r\n")
    if arrival.chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
    elif arrival.lengths:
        parts += (b"content-length: ", arrival.lengths[0], b"\r\n")
    elif arrival.websocket:
        parts.append(_UPGRADE)
    parts += _origin(scope, arrival, peers)
    # After Connection was obeyed, so that no client can have it removed (attack row GW3).
    parts += (
        decision.principal.wire if decision.principal else b"",
        b"x-gatehouse-decision: ",
        decision.id.encode(),
    )
    parts.append(b"\r\n" + request.trace.wire(decision.id)[:-2] if request.trace is not None else b"")
    for name, value in decision.upstream_headers:
        parts += (b"\r\n", name, b": ", value)
    parts.append(b"\r\n\r\n")
    return b"".join(parts)


def _origin(scope: Scope, arrival: Arrival, peers: Peers) -> tuple[bytes, ...]:
    """Say where the request came from; only a trusted peer is quoted (attack row GW9)."""
    peer = peer_of(scope["client"])
    proto, before = scope["scheme"].encode(), b""
    if peers.trusted(peer):
        said = dict(arrival.headers)
        before = said.get(b"x-forwarded-for", b"")
        proto = said.get(b"x-forwarded-proto", proto)
    address = peer.encode() or b"unknown"
    chain = before + b", " + address if before else address
    return (
        b"x-forwarded-for: ", chain, b"\r\nx-forwarded-proto: ", proto,
        b"\r\nx-forwarded-host: ", arrival.host, b"\r\n",
    )  # fmt: skip
