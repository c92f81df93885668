"""`idp gateway`: run the gateway, or only look whether its file is sound. Needs none of the provider's libraries."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from pathlib import Path

import click

from idp.cli import gateway_declare, gateway_policy
from idp.cli.gateway_policy import read
from idp.gateway.client import Unusable
from idp.gateway.config import Route
from idp.gateway.load import ConfigError, load
from idp.gateway.policy import words
from idp.gateway.policy.judge import Judge
from idp.gateway.policy.lint import Finding, findings
from idp.gateway.policy.model import RoleAny, Scope
from idp.gateway.serve import run as serve
from idp.gateway.status.figures import many
from idp.jose.keys import ALGS, SigningKey

_FILE = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default=Path("gateway.toml"),
    show_default=True,
    help="The routes.",
)


@click.group(name="gateway")
def cli() -> None:
    """Guard APIs with the provider's tokens."""


for command in (*gateway_policy.COMMANDS, *gateway_declare.COMMANDS):
    cli.add_command(command)


@cli.command()
@_FILE
@click.option("--host", help="Address to listen on, instead of the file's.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on, instead of the file's.")
def run(file: Path, host: str | None, port: int | None) -> None:
    """Serve until told to stop; what is being answered then is finished first."""
    config = read(file)
    listen = config.server.listen
    if host is not None or port is not None:
        listen = dataclasses.replace(
            listen, host=host or listen.host, port=listen.port if port is None else port, unix=None
        )
    try:
        serve(dataclasses.replace(config, server=dataclasses.replace(config.server, listen=listen)))
    except Unusable as unusable:
        raise click.ClickException(str(unusable)) from None


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--alg", type=click.Choice(ALGS), default="ES256", show_default=True, help="What it signs with.")
def key(file: Path, alg: str) -> None:
    """Make a private key with which this gateway proves itself, and print what the provider must know of it."""
    made = SigningKey.generate(alg)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as trouble:
        raise click.ClickException(f"{file}: {trouble.strerror}") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(made.private_pem())
    click.echo(json.dumps({"keys": [made.public_jwk()]}, indent=2))


@cli.command()
@_FILE
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--strict", is_flag=True, help="End with 1 for notes too, not only for problems and warnings.")
def check(file: Path, *, as_json: bool, strict: bool) -> None:
    """Say what the file allows and what looks wrong with it, or why it cannot be used."""
    try:
        config = load(file)
    except ConfigError as error:
        if as_json:
            problems = [dataclasses.asdict(problem) for problem in error.problems]
            click.echo(json.dumps({"ok": False, "file": str(file), "problems": problems}, indent=2))
            raise click.exceptions.Exit(1) from None
        raise click.ClickException(str(error)) from None
    found = findings(config, dt.datetime.now(dt.UTC).date())
    if as_json:
        routes = [_row(route) for route in config.routes]
        told = [dataclasses.asdict(finding) for finding in found]
        click.echo(json.dumps({"ok": True, "file": str(file), "routes": routes, "findings": told}, indent=2))
    else:
        counted = f"{many(len(config.routes), 'route')}, {many(len(config.issuers), 'issuer')}"
        click.echo(f"{file}: {counted}; everything else is denied")
        for route in config.routes:
            click.echo("  " + _sentence(route))
        for finding in found:
            click.echo(str(finding))
    if any(_stops(finding, strict=strict) for finding in found):
        raise click.exceptions.Exit(1)


def _stops(finding: Finding, *, strict: bool) -> bool:
    return strict or finding.level == "warning"


def _row(route: Route) -> dict[str, object]:
    return {
        "id": route.id,
        "host": route.host,
        "method": sorted(route.methods),
        "path": route.path.text,
        "audience": route.audience,
        "issuer": route.issuer,
        "scope": sorted(route.require.scopes),
        "role_any": sorted(route.require.role_any),
        "role_all": sorted(route.require.role_all),
        "mode": route.mode,
        "limit": [words.limit(limit) for limit in route.limits or ()],
        "concurrency": route.concurrency,
        "holder": list(words.holder(route)),
        "exchange": None if route.exchange is None else route.exchange.audience,
        "assertion": None if route.assertion is None else route.assertion.audience,
    }


def _sentence(route: Route) -> str:
    roles = [f"role {role}" for role in sorted(route.require.role_any)]
    steps = Judge(route.require, route.when, None, template=route.path).steps
    more = [words.sentence(step.condition) for step in steps if not isinstance(step.condition, Scope | RoleAny)]
    more += words.holder(route)
    needs = ", ".join(filter(None, [" ".join(sorted(route.require.scopes)), " or ".join(roles), *more])) or "any token"
    return "; ".join([f"{route.id}: {words.where(route)} for {route.audience} with {needs}", *words.beside(route)])
