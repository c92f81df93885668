"""The certificate of a TLS client, from the front that ends TLS and from nobody else (RFC 8705, RFC 9440)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.protocol import client_certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.web.client_address import ClientAddress


class ClientCertificate:
    """Reads the header that a trusted proxy sets; without such a setting nobody has a certificate."""

    def __init__(self, peers: ClientAddress, header: str | None) -> None:
        self._peers = peers
        self._header = f"HTTP_{header.upper()}" if header else None

    def __call__(self, environ: Mapping[str, object]) -> bytes | None:
        """Return the caller's certificate (DER), or None."""
        if self._header is None:
            return None
        value = environ.get(self._header)
        if not isinstance(value, str) or not self._peers.by_front(environ):
            return None
        return client_certificate.read(value)
