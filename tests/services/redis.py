"""A private Redis."""

from __future__ import annotations

from pathlib import Path

from tests.services.program import Program, free_port


class RedisServer:
    """In memory only: nothing is written, everything is gone at the end."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port)]
        argv += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
        self.program = Program(argv, log=folder / "redis.log")
        self.program.wait_for_port(self.port)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        self.program.stop()
