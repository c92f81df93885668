"""Which addresses of an issuer may be asked: https, or http to this very machine (RFC 9700 section 2.6)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def sound(address: str) -> bool:
    """Tell whether an address is complete, without user, query or fragment, and not open to the network between."""
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        return False
    if not address.isascii() or not address.isprintable() or " " in address:
        return False
    if not url.hostname or url.query or url.fragment or "@" in url.netloc or port == 0:
        return False
    return url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
