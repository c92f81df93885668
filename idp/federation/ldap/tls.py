"""TLS as everybody else has it, for a library that would believe any certificate and wait for ever."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

import ldap3

from idp.federation.connector import Misconfigured


class Socket(ssl.SSLSocket):
    """Every read ends by one moment: a server that drips byte by byte gains nothing."""

    until: float = float("inf")

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read, unless the moment has passed."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no complete answer in time")
        self.settimeout(min(left, 3600))
        return super().recv(buflen, flags)


class Verified(ldap3.Tls):  # type: ignore[misc]  # ldap3 is untyped
    """TLS as everybody else has it: chain, host name, SNI; for ldaps and StartTLS alike."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: FBT001, FBT002 - theirs
        """Shake hands, or raise: nothing is sent on a line that is not verified (FD5)."""
        raw: socket.socket = connection.socket
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 45 ms on every first bind
        connection.socket = self._context.wrap_socket(
            raw, server_hostname=connection.server.host, do_handshake_on_connect=do_handshake
        )


def context(ca_file: str | None, *, strict: bool) -> ssl.SSLContext:
    """Make the TLS context of a connector. `strict`: also refuse authorities that RFC 5280 would not have."""
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise Misconfigured("ca_file: this is not a file of certificates (PEM)") from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.sslsocket_class = Socket
    flags = made.verify_flags & ~ssl.VERIFY_X509_STRICT
    made.verify_flags = flags | ssl.VERIFY_X509_STRICT if strict else flags
    return made
