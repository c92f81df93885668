"""A private Redis."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.services.authority import Certificate
from tests.services.program import Program, free_port


class RedisServer:
    """In memory only: nothing is written, everything is gone at the end."""

    def __init__(self, folder: Path, *, certificate: Certificate | None = None) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self._certificate = certificate
        self.url = f"redis{'s' if certificate else ''}://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Begin, empty, at the same address."""
        argv = ["redis-server", "--bind", "127.0.0.1"]
        if self._certificate is None:
            argv += ["--port", str(self.port)]
        else:
            argv += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            argv += ["--tls-cert-file", str(self._certificate.chain), "--tls-key-file", str(self._certificate.key)]
            argv += ["--tls-ca-cert-file", str(self._certificate.chain)]
        argv += ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        self.program = Program(argv, log=self.folder / "redis.log")
        self.program.wait_for_port(self.port)

    def hang(self) -> None:
        """Accept connections and say nothing."""
        self.program.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again, also what was asked in the meantime."""
        self.program.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End at once."""
        self.program.kill()

    def stop(self) -> None:
        self.program.stop()
