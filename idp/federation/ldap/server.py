"""A server as ldap3 has it, except that its name and all of its addresses share one span of time.

ldap3 gives each address the whole time, and the resolver as long as it likes: a name with three dead addresses would
take three times as long as was agreed (FD9).
"""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any, Final

import ldap3

from idp.federation import lookup
from idp.federation.ldap.address import Address

LEAST: Final = 0.05  # so long an address is tried though the time is over: the one before may just have used it up


class Server(ldap3.Server):  # type: ignore[misc]  # ldap3 is untyped
    """One server, to be reached by a moment."""

    def __init__(self, address: Address, tls: ldap3.Tls, *, until: float) -> None:
        super().__init__(
            address.host, port=address.port, use_ssl=address.scheme == "ldaps", tls=tls, get_info=ldap3.NONE
        )
        self._until = until
        self._found: list[list[Any]] = []

    @property
    def connect_timeout(self) -> float:
        """Return the seconds that are left; ldap3 asks before each address."""
        return max(LEAST, self._until - time.monotonic())

    @connect_timeout.setter
    def connect_timeout(self, _asked: object) -> None:
        """Take no other time than the one that was agreed."""

    @property
    def address_info(self) -> list[list[Any]]:
        """Return the addresses, looked up once and in time."""
        if not self._found:
            # ldap3 notes beside each whether it could be reached, and when that was tried.
            self._found = [[*_entry(each, self.port), None, None] for each in self._addresses()]
            self._address_info = self._found
        return self._found

    def _addresses(self) -> tuple[str, ...]:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return lookup.HERE.addresses(self.host, self.port, seconds=self.connect_timeout)
        return (self.host,)


def _entry(address: str, port: int) -> tuple[Any, ...]:
    """Write an address as `socket.getaddrinfo` does."""
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
