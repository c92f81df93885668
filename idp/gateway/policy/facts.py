"""What a condition may look at beside the token: one small value per request, filled only as far as it is asked."""

from __future__ import annotations

from collections.abc import Mapping

from idp.gateway.client_address import ClientAddress, Number
from idp.gateway.principal import Principal
from idp.gateway.request import Request

_NOT_ASKED: Number = (0, 0)


class Facts:
    """One request, its canonical path and host, and one moment for all of its conditions."""

    __slots__ = ("_addresses", "_claims", "_number", "_segments", "host", "method", "now", "path", "request")

    def __init__(self, request: Request, *, host: str, path: str, now: float, addresses: ClientAddress) -> None:
        self.request = request
        self.method = request.method
        self.host = host
        self.path = path
        self.now = now
        self._addresses = addresses
        self._number: Number | None = _NOT_ASKED
        self._segments: list[str] | None = None
        self._claims: Mapping[str, object] | None = None

    @property
    def segments(self) -> list[str]:
        """The canonical path in pieces."""
        if self._segments is None:
            self._segments = self.path[1:].split("/")
        return self._segments

    def claim(self, principal: Principal, name: str) -> object:
        """Give a claim of the one principal of this request; a principal may have to read its token again for them."""
        if self._claims is None:
            self._claims = principal.claims
        return self._claims.get(name)

    @property
    def number(self) -> Number | None:
        """The client's address, or None when it is unknown."""
        if self._number is _NOT_ASKED:
            address = self._addresses.of(self.request)
            self._number = None if address is None else self._addresses.number(address)
        return self._number

    def address(self) -> str | None:
        """Give the client's address for people."""
        return self._addresses.of(self.request)
