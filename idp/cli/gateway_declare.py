"""Commands of `idp gateway` that work on the provider's store. Its libraries are loaded when one of them runs.

So the other commands of the gateway start where only its own few libraries are installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings of the provider; idp.toml here by default."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


def _common(command: F) -> F:
    options = (
        click.argument("file", type=click.Path(path_type=Path, dir_okay=False)),
        click.option("--name", help="Under which name it is remembered; the gateway's client id if left out."),
        click.option(
            "--jwks", type=click.Path(path_type=Path), help="The gateway's public keys, if its key_file is elsewhere."
        ),
        click.option("--prune", is_flag=True, help="Take away what people made by hand and the file does not name."),
        _CONFIG,
        _JSON,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_common
def plan(*, as_json: bool, **given: Any) -> None:
    """Say what must change at the provider so that it agrees with FILE: APIs, scopes, roles, exchanges, this gateway.

    Changes nothing. Ends with 0 when they agree and with 2 when they do not.
    """
    commands = _provider("commands")
    commands.plan(commands.Options(**given), as_json=as_json)


@click.command()
@_common
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--plan", "expected", metavar="PLAN", help="Apply only if this is still what `plan` said.")
def apply(*, as_json: bool, yes: bool, expected: str | None, **given: Any) -> None:
    """Make the provider agree with FILE: all of it or nothing, after showing what changes.

    What an earlier apply has made and FILE no longer names is taken back; what people made by hand stays.
    """
    commands = _provider("commands")
    commands.apply(commands.Options(**given), yes=yes, expected=expected, as_json=as_json)


@click.command()
@_CONFIG
@_JSON
def streams(*, config: Path | None, as_json: bool) -> None:
    """List the gateways that hear from the provider what is revoked, and how far each of them is."""
    _provider("streams").streams(config, as_json=as_json)


COMMANDS = (plan, apply, streams)


def _provider(name: str) -> Any:
    try:
        return importlib.import_module(f"idp.cli.declaring.{name}")
    except ModuleNotFoundError as missing:
        raise click.ClickException(
            f"run this where the provider is installed; here {missing.name} is missing"
        ) from None
