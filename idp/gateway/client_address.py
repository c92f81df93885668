"""From which address a request really comes, as far as somebody we trust has seen it (attack row GW12).

The peer, unless it is a trusted proxy; then the rightmost entry of X-Forwarded-For that is not a trusted proxy too.
Everything further left was written by strangers. What cannot be read is unknown, and nobody guesses.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final, TypeAlias

from idp.gateway.peers import Peers
from idp.gateway.request import Request

Number: TypeAlias = tuple[int, int]  # version, value
_REMEMBERED: Final = 4_096
_MOST_HOPS: Final = 64


class ClientAddress:
    """Reads addresses, and remembers what it has read. Bounded: addresses come from strangers."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._known: dict[str, Number | None] = {}

    def of(self, request: Request) -> str | None:
        """Give the client's address in its plain form, or None when nobody trusted has said it."""
        if request.peer and not self._peers.trusted(request.peer):
            return request.peer
        hops = [value for name, value in request.headers if name == b"x-forwarded-for"]
        if not hops:
            return None if request.relayed else request.peer or None
        seen: str | None = None
        for hop in reversed(b",".join(hops).decode("latin-1").rsplit(",", _MOST_HOPS)):
            seen = hop.strip(" \t")
            if self.number(seen) is None:
                return None
            if not self._peers.trusted(seen):
                return seen
        return seen

    def number(self, address: str) -> Number | None:
        """Give an address as a number; an IPv4 address inside IPv6 is the IPv4 address. None for anything odd.

        Octal digits, ports, zones and names are odd: two readers might take them for two addresses.
        """
        if address in self._known:
            return self._known[address]
        number = _read(address)
        if len(self._known) < _REMEMBERED:
            self._known[address] = number
        return number


def _read(address: str) -> Number | None:
    try:
        read = ip_address(address)
    except ValueError:
        return None
    if isinstance(read, IPv6Address):
        if read.scope_id is not None:
            return None
        if read.ipv4_mapped is not None:
            read = read.ipv4_mapped
    return read.version, int(read)
