"""Who is calling: an address that a client cannot choose (decisions: settings).

Scheme and host never come from a request; the issuer setting says them. Only the address does, and only so:
the peer itself; or, when the peer is a trusted proxy, what that proxy wrote.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = ""


class ClientAddress:
    """Reads the caller's address from a WSGI environ; settings decide whom to believe."""

    def __init__(self, trusted_proxies: Iterable[str | Network] = (), header: str | None = None) -> None:
        self._trusted: tuple[Network, ...] = tuple(ip_network(each) for each in trusted_proxies)
        if header is not None and not header.isalnum():
            # A header with a hyphen has a twin with an underscore, which some servers merge into it.
            raise ValueError("client_address_header: letters and digits only, so that no other header aliases it")
        self._header = f"HTTP_{header.upper()}" if header else None

    def __call__(self, environ: Mapping[str, object]) -> str:
        """Return the caller's address as text, or "" for a unix socket without a front."""
        peer = _parse(environ.get("REMOTE_ADDR"))
        if not self._trusted or (peer is not None and not self._is_trusted(peer)):
            return str(peer or UNKNOWN)
        if self._header is not None:
            return str(_parse(environ.get(self._header)) or peer or UNKNOWN)
        if not str(environ.get("SERVER_SOFTWARE", "")).startswith("gunicorn"):
            # granian merges X_Forwarded_For into X-Forwarded-For: there it is the client's word, so not heard.
            return str(peer or UNKNOWN)
        return str(self._rightmost_untrusted(environ.get("HTTP_X_FORWARDED_FOR")) or peer or UNKNOWN)

    def by_front(self, environ: Mapping[str, object]) -> bool:
        """Say whether a trusted proxy is speaking: what it says about its caller may be believed."""
        peer = _parse(environ.get("REMOTE_ADDR"))
        return bool(self._trusted) and (peer is None or self._is_trusted(peer))

    def _rightmost_untrusted(self, chain: object) -> Address | None:
        if not isinstance(chain, str):
            return None
        for text in reversed(chain.split(",")):
            hop = _parse(text.strip())
            if hop is None:
                return None
            if not self._is_trusted(hop):
                return hop
        return None

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _parse(text: object) -> Address | None:
    if not isinstance(text, str):
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # ::ffff:192.0.2.1 is 192.0.2.1: one client, one address.
    return getattr(address, "ipv4_mapped", None) or address
