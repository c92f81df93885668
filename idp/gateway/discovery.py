"""Addresses of a provider, from a document of this very issuer (RFC 8414 section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from idp.gateway.address import sound
from idp.gateway.fetch import Fetch, FetchError
from idp.jose.strict import loads

_DISCOVERY: Final = "/.well-known/openid-configuration"


class Discovery:
    """What one issuer says about itself; kept until something does not work."""

    def __init__(self, issuer: str, fetch: Fetch) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._found: Mapping[str, object] = {}

    def address(self, member: str) -> str:
        """Give an address, or raise FetchError or JoseError."""
        found = self._found
        if not found:
            found = loads(self._fetch(self._issuer.rstrip("/") + _DISCOVERY, None).body or b"")
            if found.get("issuer") != self._issuer:
                raise FetchError("discovery names another issuer")
            self._found = found
        uri = found.get(member)
        plain = self._issuer.startswith("http:")
        if not isinstance(uri, str) or not sound(uri) or (uri.startswith("http:") and not plain):
            self.forget()
            raise FetchError(f"discovery names no usable {member}")
        return uri

    def forget(self) -> None:
        """Look again: the address itself may be what has changed."""
        self._found = {}
