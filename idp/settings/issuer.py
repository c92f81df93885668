"""The issuer: the one name of this provider in every token and document (RFC 8414 section 2)."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

LOOPBACK_NAMES = frozenset({"localhost"})


def check(issuer: str) -> str:
    """Refuse what is not scheme, host and port alone: tokens are compared with it letter by letter."""
    if not issuer.isascii() or issuer != issuer.strip() or any(letter <= " " for letter in issuer):
        raise ValueError("write a plain address such as https://id.example")
    parts = _split(issuer)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("write a full address such as https://id.example")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address with a user name or password in it is not allowed")
    if parts.path or parts.query or parts.fragment or issuer.endswith(("/", "?", "#")):
        raise ValueError("write scheme, host and port only, without a slash at the end")
    if issuer != issuer.lower():
        raise ValueError("write it in lower case")
    return issuer


def host_of(issuer: str) -> str:
    """Return the host of a checked issuer."""
    return _split(issuer).hostname or ""


def is_http(issuer: str) -> bool:
    """Say whether tokens and passwords would travel in the open."""
    return issuer.startswith("http:")


def is_loopback(host: str) -> bool:
    """Say whether an address stays on this machine. Names other than localhost may point anywhere."""
    bare = host.removeprefix("[").removesuffix("]").rstrip(".").lower()
    if bare in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _split(issuer: str) -> SplitResult:
    try:
        parts = urlsplit(issuer)
        parts.port  # noqa: B018 (reading it checks it)
    except ValueError:
        raise ValueError("write a full address such as https://id.example") from None
    return parts
