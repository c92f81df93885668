"""TLS for the server that terminates it itself: BCP 195 ciphers, and certificates that reload."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

# BCP 195 and FAPI 2.0 section 5.2.1: TLS 1.2 with forward secrecy and AEAD only, and TLS 1.3.
CIPHERS = "ECDHE+AESGCM"


class Unusable(Exception):
    """The certificate or its key cannot be used."""


class ReloadingContext:
    """A server context that is built once and again whenever a file of it changes.

    gunicorn asks for a context at every connection. One context for all of them keeps session
    resumption working and costs two `stat` calls; a renewed certificate is served from the next
    connection on, without a restart. A file that cannot be read or does not fit its key keeps the
    context that works.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._lock = threading.Lock()
        try:
            self._stamp, self._context = self._read_stamp(), self._build()
        except (OSError, ssl.SSLError):
            raise Unusable(
                "tls_certificate and tls_key: not a PEM chain and its own key, without a passphrase"
            ) from None

    def current(self) -> ssl.SSLContext:
        """The context of the files as they are now."""
        with self._lock:
            try:
                stamp = self._read_stamp()
                if stamp != self._stamp:
                    self._context, self._stamp = self._build(), stamp
            except (OSError, ssl.SSLError):
                pass  # a half-written renewal: serve the last good one, look again next time
            return self._context

    def _read_stamp(self) -> tuple[tuple[int, int, int], ...]:
        stats = [path.stat() for path in (self._certificate, self._key)]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _build(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        return context


def _no_passphrase() -> str:
    # OpenSSL would ask at the terminal, and the server wait for an answer that nobody gives.
    return ""
