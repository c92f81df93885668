"""The file of the routes, read again when it changes or when SIGHUP asks: whole and sound, or not at all (GW25).

A file that is torn while it is being written is the danger: cut off between two lines it may still be sound TOML,
and miss the very line that guards something. So a file counts when two looks find it the same, when it did not change
while it was read and when it ends with a line; and where the file in force ends with the line `# end`, its successor
must do so too.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from idp.gateway.client import Unusable
from idp.gateway.config import Config, ServerConfig
from idp.gateway.decide import Gate
from idp.gateway.issuers import CannotChange
from idp.gateway.load import ConfigError, parse, read
from idp.gateway.log import Log

_EVERY: Final = 0.5
_LAST: Final = 1.0
_PATIENCE: Final = 10  # looks until a file is tried again whose issuer has not answered

Sight = tuple[int, int, int]  # inode, size, time of change


class Reload:
    """Watches one file for one gate."""

    def __init__(self, path: Path, gate: Gate, *, log: Log, prepare: Callable[[Config], None] | None = None) -> None:
        self.problems: tuple[str, ...] = ()  # of the file that was refused last, for the status
        self._path = path
        self._gate = gate
        self._prepare = prepare  # reads what a file names; raises Unusable
        self._log = log
        self._seen = self._done = _look(path)
        self._ends = gate.rules.config.ended
        self._waits = 0
        self._server = gate.rules.config.server
        self._turn = threading.Lock()
        self._asked = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch from now on."""
        self._thread = threading.Thread(target=self._run, name="policy-reload", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping = True
        self._asked.set()
        if self._thread is not None:
            self._thread.join(_LAST)  # it may be fetching keys, and whoever drains does not wait for that

    def ask(self) -> None:
        """Read the file at once, changed or not; safe in a signal handler."""
        self._asked.set()

    def _run(self) -> None:
        while not self._stopping:
            asked = self._asked.wait(_EVERY)
            self._asked.clear()
            if not self._stopping:
                self.look(asked=asked)

    def look(self, *, asked: bool = False) -> bool:
        """Look at the file once; tell whether it has taken over."""
        sight = _look(self._path)
        settled, self._seen = sight == self._seen, sight
        if self._waits and settled:
            self._waits -= 1
            asked = asked or self._waits == 0
        if not asked and (sight == self._done or not settled):
            return False
        self._done = sight
        with self._turn:
            return self._load(sight)

    def _load(self, sight: Sight | None) -> bool:
        try:
            text = read(self._path)
            if _look(self._path) != sight or not text.endswith("\n"):
                return self._kept("the file ends in the middle of a line, or was changed while it was read")
            config = parse(text, source=str(self._path))
            if self._ends and not config.ended:
                return self._kept('the last line is not "# end", with which the file in force ends')
            if self._prepare is not None:
                self._prepare(config)
            self._gate.replace(config)
        except ConfigError as error:
            return self._kept(*map(str, error.problems))
        except (CannotChange, Unusable) as cannot:
            self._waits = _PATIENCE
            return self._kept(str(cannot))
        except Exception as fault:  # noqa: BLE001 - the thread must live, and what is in force stays in force
            return self._kept(f"fault of the gateway: {type(fault).__name__}")
        self.problems, self._waits, self._ends = (), 0, config.ended
        self._log.event(
            "policy.replaced",
            policy=config.digest,
            routes=len(config.routes),
            needs_restart=_listener(config.server) != _listener(self._server),
        )
        return True

    def _kept(self, *problems: str) -> bool:
        """Say why the file in force stays in force."""
        self.problems = problems
        self._log.event("policy.kept", policy=self._gate.rules.config.digest, problems=problems)
        return False


def _look(path: Path) -> Sight | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _listener(server: ServerConfig) -> ServerConfig:
    """What only a new start can change. The address may come from the command line, and hosts belong to the rules."""
    return dataclasses.replace(server, listen=ServerConfig().listen, hosts=frozenset())
