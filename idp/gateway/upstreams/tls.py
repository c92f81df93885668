"""TLS towards the servers behind, from files that are read again when they change.

A certificate is replaced while the gateway runs, often in two steps: certificate first, key after. So files count when
two looks find them the same, they take over together or not at all, and what is in force stays in force meanwhile.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from idp.gateway.client import Unusable
from idp.gateway.log import Log
from idp.gateway.upstreams.model import TlsConfig
from idp.jose import certificate
from idp.jose.strict import JoseError

_EVERY: Final = 1.0
_SOON: Final = 14 * 86_400.0
_TELL_EVERY: Final = 86_400.0

Sight = tuple[tuple[int, int, int] | None, ...]  # inode, size, time of change, of each file


class Tls:
    """The context for new connections, and when its certificate ends."""

    def __init__(self, config: TlsConfig, *, log: Log, wall: Callable[[], float] = time.time) -> None:
        self._config = config
        self._log = log
        self._wall = wall
        self._files = tuple(file for file in (config.ca_file, config.certificate, config.key) if file is not None)
        self._seen = self._done = _look(self._files)
        self._looked = 0.0
        self._told = float("-inf")
        self.generation = 0  # grows with each new context: what was connected before is let go when it is idle
        self.context, self.ends = _read(config)

    def name(self, host: str) -> str:
        """Give the name that the certificate of a server must have (RFC 9110 section 4.3.4)."""
        return self._config.server_name or host

    def look(self, now: float) -> None:
        """Look at the files, at most once a second."""
        if now - self._looked < _EVERY:
            return
        self._looked = now
        self._tell()
        sight = _look(self._files)
        settled, self._seen = sight == self._seen, sight
        if sight == self._done or not settled:
            return
        self._done = sight
        try:
            self.context, self.ends = _read(self._config)
        except Unusable as unusable:
            self._log.event("tls.kept", problem=str(unusable), ends=self.ends)
            return
        self.generation += 1
        self._told = float("-inf")
        self._log.event("tls.replaced", files=[str(file) for file in self._files], ends=self.ends)

    def _tell(self) -> None:
        """Warn once a day while there is still time."""
        wall = self._wall()
        if self.ends is None or self.ends - wall > _SOON or wall - self._told < _TELL_EVERY:
            return
        self._told = wall
        self._log.event("tls.ending", certificate=str(self._config.certificate), ends=self.ends)


def _read(config: TlsConfig) -> tuple[ssl.SSLContext, float | None]:
    """Make a context that verifies chain and name, always, and speaks TLS 1.2 or newer (RFC 9325 section 3.1.1)."""
    try:
        context = ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file else None)
    except OSError:
        raise Unusable(config.ca_file or Path(), "is not a file of certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.certificate is None:
        return context, None
    try:
        context.load_cert_chain(config.certificate, config.key, password=_no_password)
        return context, certificate.ends(config.certificate.read_bytes())
    except (OSError, ValueError, JoseError):
        raise Unusable(config.certificate, "is not a certificate with its key") from None


def _no_password() -> str:
    """Refuse a sealed key: OpenSSL would ask at the terminal."""
    raise ValueError("the key needs a password")


def _look(files: tuple[Path, ...]) -> Sight:
    return tuple(_sight(file) for file in files)


def _sight(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
