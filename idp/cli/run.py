"""`idp run`: serve the provider until it is told to stop."""

from __future__ import annotations

import os
from pathlib import Path

import click

from idp.cli.serving import gunicorn, metrics
from idp.cli.serving import granian as fast
from idp.settings import Settings, SettingsError
from idp.store import migrate
from idp.store.database import Database

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
    _upgrade(settings)
    _hand_over(settings, config)
    with metrics.exposed(settings.metrics_port):
        if chosen == "granian":
            fast.serve(settings)
        else:
            gunicorn.serve(settings)


def _upgrade(settings: Settings) -> None:
    database = Database.open(settings.database_url)
    try:
        migrate.upgrade(database.engine)
    finally:
        database.close()


def _hand_over(settings: Settings, config: Path | None) -> None:
    """Tell the workers, who read the same file, what the flags said."""
    if config is not None:
        os.environ["IDP_CONFIG"] = str(config)
    os.environ["IDP_HOST"] = settings.host
    os.environ["IDP_PORT"] = str(settings.port)
    os.environ["IDP_WORKERS"] = str(settings.workers)
