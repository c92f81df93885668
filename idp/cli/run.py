"""`idp run`: serve the provider until it is told to stop."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import click

from idp.cli.key import told
from idp.cli.serving import granian as fast
from idp.cli.serving import gunicorn, metrics
from idp.cli.serving.tls import Unusable
from idp.clients.client import AUTHORIZATION_CODE as CODE
from idp.settings import Settings, SettingsError
from idp.store import api, client, revision
from idp.store.backends import UnsafeDatabase
from idp.store.database import Database
from idp.store.sealed import load_master_key

SERVERS = ("granian", "gunicorn")


@click.command(name="run")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; idp.toml here by default.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@click.option("--workers", type=int, help="Worker processes.")
@click.option("--server", type=click.Choice(SERVERS), help="By default granian, and gunicorn when TLS ends here.")
def cli(config: Path | None, host: str | None, port: int | None, workers: int | None, server: str | None) -> None:
    """Serve the provider."""
    try:
        settings = Settings.load(config, host=host, port=port, workers=workers)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    serve(settings, config=config, server=server)


def serve(settings: Settings, *, config: Path | None = None, server: str | None = None) -> None:
    """Bring the database up to date, hand the settings to the workers, and serve."""
    chosen = server or ("gunicorn" if settings.front == "tls" else "granian")
    if chosen == "granian" and settings.front == "tls":
        # granian reads a certificate once: a renewal would need a restart.
        raise click.UsageError("granian does not end TLS here: use gunicorn, or set front to proxy")
    # Until the server listens to signals itself: a stop tidies up whenever it comes.
    signal.signal(signal.SIGTERM, _stop)
    _upgrade(settings)
    _try_port(settings)
    _hand_over(settings, config)
    with metrics.exposed(settings.metrics_port), _in_words():
        if chosen == "granian":
            fast.serve(settings)
        else:
            gunicorn.serve(settings)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _upgrade(settings: Settings) -> None:
    # What would stop every worker is told here, once and in words.
    with _opened(settings) as database:
        if not revision.is_newest(database.engine):
            _migrate(database)
        with database.read() as tx:
            asked = {each.audience: each.signing_alg for each in api.listing(tx)}
            asked |= {each.client_id: each.id_token_alg for each in client.listing(tx) if CODE in each.grant_types}
    for name, alg in asked.items():
        if alg not in settings.signing_algs:
            click.echo(f"signing_algs: {name} is to have tokens signed with {alg}, and will get none", err=True)
    with told():
        load_master_key(settings.master_key_file)


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    with told():
        try:
            database = Database.open(settings.database_url)
        except UnsafeDatabase as error:
            raise click.ClickException(str(error)) from None
        with closing(database):
            yield database


def _migrate(database: Database) -> None:
    # Loaded only when there is something to do: every worker would inherit Alembic, which is 11 MB.
    migrate = importlib.import_module("idp.store.migrate")
    try:
        migrate.upgrade(database.engine)
    except migrate.Outdated as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except Unusable as error:
        raise click.ClickException(str(error)) from None


def _try_port(settings: Settings) -> None:
    # Workers of granian share their port, and would share it with another provider's.
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
            probe.listen()
    except OSError as error:
        where = f"{settings.host} port {settings.port}"
        raise click.ClickException(f"host, port: cannot listen on {where} ({error.strerror})") from None


def _hand_over(settings: Settings, config: Path | None) -> None:
    """Tell the workers, who read the same file, what the flags said."""
    if config is not None:
        os.environ["IDP_CONFIG"] = str(config)
    os.environ["IDP_HOST"] = settings.host
    os.environ["IDP_PORT"] = str(settings.port)
    os.environ["IDP_WORKERS"] = str(settings.workers)
