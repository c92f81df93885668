"""A program of our own: started, waited for, ended; never one that somebody else started."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

GRACE = 10.0
# Below the ports that the kernel hands out by itself, so that nobody's connection takes one before its server starts.
LOWEST, SHARE, WORKERS = 12_000, 1_250, 16


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
_TURN = itertools.count(secrets.randbelow(SHARE))


def free_port() -> int:
    """Return a loopback port that was free a moment ago, and that no other worker of the test run is given."""
    for _ in range(SHARE):
        port = LOWEST + _WORKER * SHARE + next(_TURN) % SHARE
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no loopback port is free")


def gone(pid: int) -> bool:
    """Say whether a process has ended with all of its threads; a container's first process may leave it lying there.

    Its first thread may be dead while another still holds its sockets, at which connections are taken.
    """
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return state in "ZX" and sum(1 for _ in Path(f"/proc/{pid}/task").iterdir()) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


class Program:
    """One running process, with its output in a file."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        ends_with: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log = log
        self._ends_with = ends_with
        # A test run that is killed takes its servers along.
        # Shells start background jobs deaf to SIGINT, and everything below them inherits it.
        hearing = ["env", "--default-signal=INT"]
        guarded = [*hearing, "setpriv", "--pdeathsig", ends_with.name.removeprefix("SIG"), *map(str, argv)]
        identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                guarded,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd or log.parent,
                **identity,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for_port(self, port: int, *, seconds: float = 60.0) -> None:
        """Wait until the port answers; say what the program printed when it does not."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"no answer on port {port}:\n{self.output()[-4000:]}")

    def output(self) -> str:
        """Everything printed so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, *, seconds: float = GRACE) -> int:
        """Wait for the end and return the exit status."""
        return self._process.wait(timeout=seconds)

    def stop(self) -> None:
        """Ask it to end; insist after a while."""
        if self.running:
            self._process.send_signal(self._ends_with)
        try:
            self._process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, without a chance to tidy up."""
        self._process.kill()
        self._process.wait(timeout=GRACE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
