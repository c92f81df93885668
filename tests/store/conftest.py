"""A database of each kind, brought to the newest tables; and two processes' worth of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from idp.store import migrate
from idp.store.database import Database

BIN = Path("/usr/lib/postgresql/15/bin")


def _as_postgres(*command):
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *map(str, command)], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def local_postgresql():
    """Return the URL of a server of our own, without the database name."""
    folder = Path(tempfile.mkdtemp(prefix="idp-pg-"))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _as_postgres(BIN / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
    _as_postgres(BIN / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start")
    yield f"postgresql://postgres@127.0.0.1:{port}"
    _as_postgres(BIN / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _postgresql_database(server):
    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server}/{name}"
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    """Return the URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/idp.db"
        return
    with _postgresql_database(request.getfixturevalue("local_postgresql")) as url:
        yield url


@pytest.fixture
def db(empty_url):
    """Return a database with every table."""
    database = Database.open(empty_url)
    migrate.upgrade(database.engine)
    yield database
    database.close()
