"""Where a server is, and how it is spoken to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from idp.federation.connector import Misconfigured

PORTS: Final = {"ldap": 389, "ldaps": 636}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is. `ldap` begins with StartTLS, always."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ldaps://HOST[:PORT] or ldap://HOST[:PORT]."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Misconfigured("servers: this is not an address") from None
        if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise Misconfigured("servers: write ldaps://HOST or ldap://HOST; ldap begins with StartTLS")
        return cls(scheme=parts.scheme, host=parts.hostname, port=port or PORTS[parts.scheme])

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"
