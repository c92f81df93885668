"""`idp conformance-demo`: everything the OpenID certification tests need, over https, in one command."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from idp.cli.run import serve
from idp.cli.serving import certificate
from idp.demo import conformance
from idp.settings import Settings, SettingsError
from idp.store.sealed import create_master_key

LOOPBACK = "127.0.0.1"
HTTPS = 443
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
CA_HELP = (
    "PEM file of authorities. If it exists, https calls to clients trust it. If it does not exist and no --cert is "
    "given, the self-signed certificate is written there, for clients to trust; the next run renews it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command was told."""

    host: str
    port: int
    cert: Path | None
    key: Path | None
    clients: Path | None
    ca: Path | None
    workers: int


def _host(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if HOST.fullmatch(value.lower()) is None:
        raise click.BadParameter("write a host name or an IPv4 address, without scheme or port")
    return value.lower()


@click.command(name="conformance-demo")
@click.option(
    "--host", default="localhost", show_default=True, callback=_host, help="Name in the issuer; lead it to 127.0.0.1."
)
@click.option("--port", default=9443, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--cert", type=EXISTING, help="Certificate chain (PEM); self-signed if none is given.")
@click.option("--key", type=EXISTING, help="Private key of the certificate (PEM).")
@click.option("--clients", type=EXISTING, help="JSON list of static clients, members as in RFC 7591.")
@click.option("--ca", type=click.Path(dir_okay=False, path_type=Path), help=CA_HELP)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 8), help="Worker processes.")
def cli(**told: object) -> None:
    """Serve a provider with a known person (alice / alice-password) and static clients. Loopback only."""
    wishes = Wishes(**told)  # type: ignore[arg-type]  # click has parsed them
    if (wishes.cert is None) != (wishes.key is None):
        raise click.UsageError("--cert and --key go together")
    try:
        clients = conformance.read_clients(wishes.clients)
        with _folder() as folder:
            _serve(wishes, clients, folder)
    except (SettingsError, conformance.UnusableClients) as refused:
        raise click.ClickException(str(refused)) from None


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder that only its owner may enter, gone when the server ends or is told to."""
    signal.signal(signal.SIGTERM, _stop)
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-conformance-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _serve(wishes: Wishes, clients: tuple[conformance.StaticClient, ...], folder: Path) -> None:
    create_master_key(folder / "master.key")
    _into_environment(_settings(wishes, folder), folder)
    if wishes.ca is not None and wishes.ca.exists():
        os.environ["REQUESTS_CA_BUNDLE"] = str(wishes.ca.absolute())
    chosen = Settings.load()
    conformance.seed(chosen, clients, datetime.now(UTC))
    click.echo(f"Gatehouse for certification: {chosen.issuer}/.well-known/openid-configuration")
    click.echo(f"person: {conformance.USERNAME} / {conformance.PASSWORD}   clients: {len(clients)}")
    serve(chosen)


def _settings(wishes: Wishes, folder: Path) -> dict[str, object]:
    pair = _pair(wishes, folder)
    return {
        "issuer": f"https://{wishes.host}" if wishes.port == HTTPS else f"https://{wishes.host}:{wishes.port}",
        "host": LOOPBACK,
        "port": wishes.port,
        "workers": wishes.workers,
        "front": "tls",
        "tls_certificate": pair.certificate.absolute(),
        "tls_key": pair.key.absolute(),
        "database_url": f"sqlite:///{folder / 'idp.db'}",
        "master_key_file": folder / "master.key",
        "signing_algs": "RS256,ES256,PS256,EdDSA",
        "metrics_port": 0,
        "conformance": True,
    }


def _pair(wishes: Wishes, folder: Path) -> certificate.Pair:
    if wishes.cert is not None and wishes.key is not None:
        return certificate.Pair(certificate=wishes.cert, key=wishes.key)
    pair = certificate.make(wishes.host, folder)
    if wishes.ca is not None and (not wishes.ca.exists() or certificate.is_ours(wishes.ca)):
        try:
            shutil.copyfile(pair.certificate, wishes.ca)
        except OSError as error:
            raise click.ClickException(f"--ca: this file cannot be written ({error.strerror})") from None
    return pair


def _into_environment(settings: dict[str, object], folder: Path) -> None:
    # The workers read their settings from the environment: these and no others of the caller's shell.
    for name in [name for name in os.environ if name.startswith("IDP_")]:
        del os.environ[name]
    os.environ.update({f"IDP_{name.upper()}": str(value) for name, value in settings.items()})
    # An idp.toml in the folder this is started from must not reach in.
    file = folder / "idp.toml"
    file.touch()
    os.environ["IDP_CONFIG"] = str(file)
