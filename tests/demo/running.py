"""`idp demo` as a person starts it: in a folder of its own, on free ports, as a process of its own."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.services.program import Program, free_port

PORTS = ("IDP_PORT", "IDP_GATEWAY_PORT", "IDP_DEMO_API_PORT", "IDP_DEMO_APP_PORT")
PATIENCE = 90.0
LAST_LINE = "and one call that is refused"


def ports() -> dict[str, str]:
    """Four free ports, by their variables."""
    return {name: str(free_port()) for name in PORTS}


class Demo:
    """One run of `idp demo`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.environment = dict(environment)
        self._log = folder / "terminal"
        self._log.unlink(missing_ok=True)
        self.program = Program(
            [sys.executable, "-m", "idp.cli", "demo"],
            log=self._log,
            env=environment,
            cwd=folder,
            ends_with=signal.SIGINT,
        )

    def wait(self) -> Demo:
        """Wait until it has said everything."""
        deadline = time.monotonic() + PATIENCE
        while LAST_LINE not in self.terminal:
            if not self.program.running or time.monotonic() > deadline:
                raise AssertionError(f"the demo did not start:\n{self.terminal}")
            time.sleep(0.05)
        return self

    @property
    def terminal(self) -> str:
        """Everything it said."""
        return self._log.read_text("utf-8") if self._log.exists() else ""

    @property
    def file(self) -> Path:
        """The facts for programs."""
        return self.folder / "var" / "demo.json"

    @property
    def facts(self) -> dict[str, Any]:
        """The facts, read."""
        said: dict[str, Any] = json.loads(self.file.read_text("utf-8"))
        return said

    def pasted(self) -> list[str]:
        """The command lines that it tells a person to paste, in order."""
        return re.findall(r"^  ((?:TOKEN=|curl ).*)$", self.terminal, re.MULTILINE)

    def paste(self, *lines: str) -> str:
        """Run command lines in a shell, as a person would."""
        shell = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return shell.stdout

    def busy(self) -> list[str]:
        """The ports on which something still listens."""
        return [name for name in PORTS if _listens(int(self.environment[name]))]

    def children(self) -> list[int]:
        """The process ids of its parts."""
        listed = Path(f"/proc/{self.program.pid}/task/{self.program.pid}/children").read_text()
        return [int(number) for number in listed.split()]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
