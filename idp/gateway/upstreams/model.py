"""What gateway.toml says about the servers behind. Frozen values; what is equal shares its connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Balance = Literal["least_loaded", "round_robin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One server."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """Whom the gateway believes behind it, and how it proves itself there."""

    ca_file: Path | None = None  # None: whom the system believes
    certificate: Path | None = None
    key: Path | None = None  # None: in the file of the certificate
    server_name: str | None = None  # None: the host of the address


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A question asked now and then, so that a server that is away is known before a request finds out."""

    path: str
    every: float = 5.0
    seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Eject:
    """After so many failures in a row a server is left alone: shortly at first, then twice as long each time."""

    failures: int = 5
    first: float = 1.0
    longest: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What stands behind a route: one server, or several that are alike."""

    origins: tuple[Origin, ...]
    tls: TlsConfig = TlsConfig()
    balance: Balance = "least_loaded"
    health: HealthCheck | None = None
    eject: Eject = Eject()
