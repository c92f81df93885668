"""A private PostgreSQL cluster."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg

from tests.services.program import Program, free_port

READY_WITHIN = 60.0
CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
synchronous_commit = on
fsync = {durable}
full_page_writes = {durable}
"""
# The password goes over loopback in clear: the handshake of SCRAM would cost more than most tests.
ACCESS = "host all all 127.0.0.1/32 password\n"


def binaries() -> Path:
    """Return the folder of the newest PostgreSQL on this machine."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    if found is None:
        raise RuntimeError("PostgreSQL is missing: `make test` installs it or names the line that does")
    return Path(found).resolve().parent


class Cluster:
    """initdb, start, databases, stop. PostgreSQL refuses to run as root, so root hands the folder to `postgres`."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._password = secrets.token_hex(16)
        self._user = "postgres" if os.geteuid() == 0 else None
        self.port = free_port()
        folder.mkdir(mode=0o755)
        if self._user:
            shutil.chown(folder, self._user, self._user)
        self._initialise("on" if durable else "off")
        self.start()

    def _initialise(self, durable: str) -> None:
        secret = self._folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)
        identity = {} if self._user is None else {"user": self._user, "group": self._user, "extra_groups": []}
        argv = [binaries() / "initdb", "-D", self._data, "-U", "postgres", f"--pwfile={secret}", "--auth=password"]
        subprocess.run(
            [*argv, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            check=True,
            capture_output=True,
            cwd=self._folder,
            **identity,
        )
        secret.unlink()
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(CONFIGURATION.format(port=self.port, durable=durable))
        (self._data / "pg_hba.conf").write_text(ACCESS)

    def start(self) -> None:
        """Start, also again after a crash."""
        log = self._folder / "postgres.log"
        argv = [binaries() / "postgres", "-D", self._data]
        self.program = Program(argv, log=log, user=self._user, cwd=self._folder, ends_with=signal.SIGINT)
        self.program.wait_for_port(self.port)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """The port answers before the database does, above all after a crash."""
        deadline = time.monotonic() + READY_WITHIN
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def url(self, name: str) -> str:
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{name}"

    def create(self, name: str, *, template: str = "template1") -> str:
        """Make a database from a template and return its URL."""
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        return self.url(name)

    def drop(self, name: str) -> None:
        self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def stop(self) -> None:
        self.program.stop()
