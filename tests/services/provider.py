"""The provider as operators run it: `idp run`, its own processes, a real port."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import requests

from idp.accounts.connectors import KEPT
from idp.clients import issuer_api
from idp.settings import Settings
from idp.store import migrate
from idp.store.database import Database
from idp.store.sealed import create_master_key, load_master_key
from tests.services.authority import Certificate
from tests.services.program import GRACE, Program, free_port, gone

IDP = Path(sys.executable).with_name("idp")


class Provider:
    """One `idp run` in a folder of its own. `services` reaches its store from the test, as the command line does."""

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str | None = None,
        server: str | None = None,
        certificate: Certificate | None = None,
        **chosen: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._server = folder, server
        self.port = free_port()
        scheme = "http" if certificate is None else "https"
        self.issuer = f"{scheme}://localhost:{self.port}"
        facts: dict[str, Any] = {
            "issuer": self.issuer,
            "port": self.port,
            "database_url": database_url or f"sqlite:///{folder / 'idp.db'}",
            "master_key_file": str(folder / "master.key"),
            "metrics_port": 0,
            **chosen,
        }
        if certificate is not None:
            facts |= {"front": "tls", "tls_certificate": str(certificate.chain), "tls_key": str(certificate.key)}
        self.config = folder / "idp.toml"
        self.config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in facts.items()))
        if not (folder / "master.key").exists():
            create_master_key(folder / "master.key")
        self.settings = Settings.load(self.config)
        self.db = Database.open(self.settings.database_url)
        migrate.upgrade(self.db.engine)
        issuer_api.ensure(self.db, self.issuer, self.clock())
        self.sealer = load_master_key(self.settings.master_key_file)
        self.services: Any = SimpleNamespace(db=self.db, settings=self.settings, sealer=self.sealer, clock=self.clock)
        self.program: Program | None = None

    @staticmethod
    def clock() -> datetime:
        """The real time."""
        return datetime.now(UTC)

    def start(self) -> Self:
        """Start the server and wait until it answers, and not what is left of the one before.

        Threads of one that was killed may hold its socket a moment longer, and the kernel takes connections for them.
        """
        deadline = time.monotonic() + GRACE
        while _listening(self.port) and time.monotonic() < deadline:
            time.sleep(0.005)
        chosen = () if self._server is None else ("--server", self._server)
        argv = [IDP, "run", "--config", self.config, *chosen]
        self.program = Program(argv, log=self.folder / "provider.log", cwd=self.folder)
        self.program.wait_for_port(self.port)
        return self

    def url(self, path: str) -> str:
        """An address of this provider."""
        return f"{self.issuer}{path}"

    def workers(self) -> list[int]:
        """The pids of the worker processes that serve now."""
        assert self.program is not None
        return sorted(_children(self.program.pid))

    def idp(self, *words: str, stdin: str | None = None) -> Any:
        """Run the `idp` command on this provider's database and return what it says as JSON."""
        ended = subprocess.run(
            [IDP, *words, "--config", self.config, "--json"],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.folder,
        )
        assert ended.returncode == 0, f"idp {' '.join(words)}: {ended.stdout}{ended.stderr}"
        return json.loads(ended.stdout)

    def connect(self, name: str, file: Path) -> Any:
        """Add a connector, and wait until every worker knows it."""
        said = self.idp("connector", "add", name, str(file))
        if self.program is not None:
            time.sleep(KEPT.total_seconds())
        return said

    def each_serves(self) -> bool:
        """Say whether every worker serves, and not only the first that began."""
        workers, listening = self.workers(), _listening(self.port)
        own = [_sockets(each) & listening for each in workers]
        if not own or not all(own):
            return False
        if len(frozenset.union(*own)) == len(workers):
            return True  # each has a socket of its own, as soon as it serves
        return all(self._alone(each, workers) for each in workers)

    def _alone(self, worker: int, workers: list[int]) -> bool:
        """Ask while the others are stopped: of all that share a socket the kernel may always prefer one."""
        others = [each for each in workers if each != worker]
        try:
            for each in others:
                _tell(each, signal.SIGSTOP)
            with contextlib.suppress(requests.RequestException):
                return session().get(self.url("/healthz"), timeout=20).status_code == requests.codes.ok
            return False
        finally:
            for each in others:
                _tell(each, signal.SIGCONT)

    def kill(self) -> None:
        """End the server and its workers at once, as when the machine goes away."""
        assert self.program is not None
        workers = self.workers()
        self.program.kill()
        for worker in workers:
            _tell(worker, signal.SIGKILL)
        deadline = time.monotonic() + GRACE
        while not all(gone(each) for each in workers) and time.monotonic() < deadline:
            time.sleep(0.005)  # until then their port may answer

    def stop(self) -> None:
        """End the server and let go of the database."""
        if self.program is not None:
            self.program.stop()
        self.db.close()

    def __enter__(self) -> Self:
        if self.program is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def session(trust: Path | None = None) -> requests.Session:
    """A caller whom neither a proxy nor a .netrc of the shell leads astray."""
    made = requests.Session()
    made.trust_env = False
    if trust is not None:
        made.verify = str(trust)
    return made


def _listening(port: int) -> frozenset[str]:
    """The sockets at which somebody listens there, by their numbers."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return frozenset(line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "0A")


def _sockets(pid: int) -> frozenset[str]:
    """The sockets that a process has open."""
    held = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                held.append(str(each.readlink()))
    return frozenset(each[len("socket:[") : -1] for each in held if each.startswith("socket:["))


def _tell(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end before it is asked for its children, and a child before it is asked for its name.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in (task / "children").read_text().split():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    # Helpers of multiprocessing, and the metrics, serve nobody.
                    if "multiprocessing" not in Path(f"/proc/{child}/cmdline").read_text():
                        yield int(child)
