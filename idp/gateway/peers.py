"""Whose word about others counts: trusted proxies, and whoever may write to our unix socket."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_REMEMBERED: Final = 4_096

Network = IPv4Network | IPv6Network


class Peers:
    """The trusted ones, remembered by address. Bounded: addresses come from strangers."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._known: dict[str, bool] = {}

    def trusted(self, peer: str) -> bool:
        """Tell whether a peer is trusted; "" is the other end of a unix socket, guarded by its file mode."""
        if not peer:
            return True
        known = self._known.get(peer)
        if known is None:
            known = self._contains(peer)
            if len(self._known) < _REMEMBERED:
                self._known[peer] = known
        return known

    def _contains(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:  # whatever a server calls its peer, it is none of those that are named
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address.version == network.version and address in network for network in self._networks)


def peer_of(client: tuple[str, int] | None) -> str:
    """Give the address out of an ASGI client; "" for a unix socket."""
    return client[0] if client else ""
