"""The demo's four processes: started together, watched, and ended together, each by its own id."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

PATIENCE = 60.0
OK = 200
GRACE = 8.0
LAST_WORDS = 12
PR_SET_PDEATHSIG = 1
# Loaded before the fork, where nothing may be loaded any more.
_LIBC = ctypes.CDLL(None, use_errno=True)


class Ended(Exception):
    """A part of the demo ended by itself; the text says which, and its last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process, and how it is known to be ready."""

    name: str
    host: str
    port: int
    path: str
    log: Path
    process: subprocess.Popen[bytes]


@dataclass(slots=True, kw_only=True)
class Parts:
    """All of them."""

    folder: Path
    running: list[Part] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        where: tuple[str, int],
        path: str,
        said: str = "",
    ) -> None:
        """Start one; `said` goes to its standard input."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                # A group of its own: Ctrl-C reaches the demo alone, which then ends each part once and in order.
                process_group=0,
                # The parent has no threads, and without this a killed demo would leave its parts running.
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - see above
            )
        part = Part(name=name, host=where[0], port=where[1], path=path, log=log, process=process)
        self.running.append(part)
        _tell(process, said)

    def complete(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], said: str
    ) -> Callable[[], None]:
        """Start work that ends by itself; the returned function waits for it, or raises Ended with its words."""
        self.start(name, command, environment=environment, where=("", 0), path="", said=said)
        part = self.running.pop()

        def done() -> None:
            if part.process.wait() != 0:
                raise Ended(log_text(part.log))

        return done

    def wait_until_ready(self, stopped: Callable[[], bool]) -> None:
        """Wait until each answers, or say which does not."""
        deadline = time.monotonic() + PATIENCE
        waiting = list(self.running)
        while waiting and not stopped():
            self.check()
            waiting = [part for part in waiting if not _answers(part)]
            if waiting and time.monotonic() > deadline:
                raise Ended(f"{waiting[0].name} does not answer.\n{_last_words(waiting[0].log)}")
            time.sleep(0.02)

    def check(self) -> None:
        """Raise Ended when one is gone."""
        for part in self.running:
            status = part.process.poll()
            if status is not None:
                how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
                raise Ended(f"The {part.name} ended {how}. Its last words:\n{_last_words(part.log)}")

    def end(self) -> None:
        """Ask each to end, and insist after a while."""
        for part in reversed(self.running):
            if part.process.poll() is None:
                part.process.terminate()
        deadline = time.monotonic() + GRACE
        for part in self.running:
            try:
                part.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                # With its workers, which no one else would end.
                os.killpg(part.process.pid, signal.SIGKILL)
                part.process.wait()


def _end_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _tell(process: subprocess.Popen[bytes], said: str) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(said.encode())
        process.stdin.close()
    except BrokenPipeError:
        # It died at once: check() will say so, with its last words.
        return


def _answers(part: Part) -> bool:
    line = HTTPConnection(part.host, part.port, timeout=1)
    try:
        line.request("GET", part.path)
        return line.getresponse().status == OK
    except (OSError, HTTPException):
        return False
    finally:
        line.close()


def _last_words(log: Path) -> str:
    return "\n".join(f"  {line}" for line in log_text(log).splitlines()[-LAST_WORDS:]) or "  (none)"


def log_text(log: Path) -> str:
    """Return what a part wrote."""
    return log.read_text("utf-8", "replace").strip()
