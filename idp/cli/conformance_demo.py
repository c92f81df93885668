"""`idp conformance-demo`: everything the OpenID certification tests need, over https, in one command."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from idp.cli.run import serve
from idp.cli.serving import certificate
from idp.demo import conformance
from idp.settings import Settings, SettingsError
from idp.store.sealed import create_master_key

LOOPBACK = "127.0.0.1"
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(name="conformance-demo")
@click.option("--host", default="localhost", show_default=True, help="Name in the issuer; it must lead to loopback.")
@click.option("--port", default=9443, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option("--cert", type=EXISTING, help="Certificate chain (PEM); self-signed if none is given.")
@click.option("--key", type=EXISTING, help="Private key of the certificate (PEM).")
@click.option("--clients", type=EXISTING, help="JSON list of static clients, members as in RFC 7591.")
@click.option(
    "--ca",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Authorities (PEM) to trust towards clients; if there is no such file, the self-signed certificate is put there.",
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 8), help="Worker processes.")
def cli(
    host: str,
    port: int,
    cert: Path | None,
    key: Path | None,
    clients: Path | None,
    ca: Path | None,
    workers: int,
) -> None:
    """Serve a provider with a known person (alice / alice-password) and static clients. Loopback only."""
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key go together")
    # A folder that only its owner may enter, gone when the server ends.
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-conformance-"))
    try:
        _run(host, port, _pair(host, folder, cert, key, ca), conformance.read_clients(clients), folder, workers, ca)
    except (SettingsError, conformance.UnusableClients) as refused:
        raise click.ClickException(str(refused)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pair(host: str, folder: Path, cert: Path | None, key: Path | None, ca: Path | None) -> certificate.Pair:
    if cert is not None and key is not None:
        return certificate.Pair(certificate=cert, key=key)
    pair = certificate.make(host, folder)
    if ca is not None and not ca.exists():
        shutil.copyfile(pair.certificate, ca)
    return pair


def _run(
    host: str,
    port: int,
    pair: certificate.Pair,
    clients: tuple[conformance.StaticClient, ...],
    folder: Path,
    workers: int,
    ca: Path | None,
) -> None:
    settings = {
        "issuer": f"https://{host}" if port == 443 else f"https://{host}:{port}",  # noqa: PLR2004 - https's own port
        "host": LOOPBACK,
        "port": port,
        "workers": workers,
        "front": "tls",
        "tls_certificate": str(pair.certificate.absolute()),
        "tls_key": str(pair.key.absolute()),
        "database_url": f"sqlite:///{folder / 'idp.db'}",
        "master_key_file": str(folder / "master.key"),
        "signing_algs": "RS256,ES256,PS256,EdDSA",
        "metrics_port": 0,
        "conformance": True,
    }
    create_master_key(folder / "master.key")
    # The workers read their settings from the environment: these and no others of the caller's shell.
    for name in [name for name in os.environ if name.startswith("IDP_")]:
        del os.environ[name]
    os.environ |= {f"IDP_{name.upper()}": str(value) for name, value in settings.items()}
    os.environ["IDP_CONFIG"] = str(_empty_file(folder))
    if ca is not None and ca.exists():
        os.environ["REQUESTS_CA_BUNDLE"] = str(ca.absolute())
    chosen = Settings.load()
    conformance.seed(chosen, clients, datetime.now(UTC))
    click.echo(f"Gatehouse for certification: {chosen.issuer}/.well-known/openid-configuration")
    click.echo(f"person: {conformance.USERNAME} / {conformance.PASSWORD}   clients: {len(clients)}")
    serve(chosen)


def _empty_file(folder: Path) -> Path:
    # An idp.toml in the folder this is started from must not reach in.
    file = folder / "idp.toml"
    file.touch()
    return file
