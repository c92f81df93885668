"""`idp client edit`, and the options of `create` that it shares: by which key or certificate a client is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from idp.cli.context import opened
from idp.cli.key import config_option, json_option
from idp.cli.shown import client_facts, facts, show
from idp.clients import registration
from idp.clients.certificate import NAMES
from idp.clients.client import AUTH_METHODS
from idp.clients.registration import Registration, Unregistrable
from idp.store import client

Command = TypeVar("Command", bound=Callable[..., Any])
CHANGED = ("auth_method", "jwks", "dpop_bound", "certificate_bound", "tls_subject", "require_pkce")


def tls_subject_options(command: Command) -> Command:
    """Let one name of a certificate be given, each kind by its own option (RFC 8705 section 2.1.2)."""
    for name in reversed(NAMES):
        said = f"For tls_client_auth: {name} of its certificate."
        command = click.option(f"--tls-{name.replace('_', '-')}", f"tls_{name}", help=said)(command)
    return command


def tls_subject(given: Mapping[str, object]) -> tuple[str, str] | None:
    """Return the name that was given; two are one too many."""
    named = [(name, str(given[f"tls_{name}"])) for name in NAMES if given[f"tls_{name}"] is not None]
    if len(named) > 1:
        raise click.UsageError("a certificate is known by one name: give one of the --tls options")
    return named[0] if named else None


@click.command(name="edit")
@click.argument("client_id")
@click.option("--auth-method", type=click.Choice(AUTH_METHODS), help="How it proves itself from now on.")
@click.option("--jwks", type=click.File("rb"), help="File with its public keys or, as x5c, its certificates.")
@click.option("--dpop-bound/--no-dpop-bound", default=None, help="Its tokens are bound to a key that it proves (DPoP).")
@click.option("--certificate-bound/--no-certificate-bound", default=None, help="Its tokens are bound to a certificate.")
@tls_subject_options
@config_option
@json_option
def edit(client_id: str, config: Path | None, *, as_json: bool, **given: Any) -> None:
    """Change how a client proves itself and what its tokens are bound to. Earlier tokens stay as they are."""
    with opened(config) as context, context.db.write() as tx:
        row = client.find(tx, client_id)
        if row is None:
            raise click.ClickException("no such client; see `idp client list`")
        wanted = _wanted(registration.registered(row), given)
        if wanted.has_secret and row.secret_hash is None:
            raise click.ClickException("this client has no secret: register another one")
        wrong = registration.problems(wanted)
        if wrong:
            raise Unregistrable(wrong)
        columns = {name: getattr(wanted, name) for name in CHANGED}
        if wanted.tls_subject is not None:
            columns["tls_subject"] = dict([wanted.tls_subject])
        client.change(tx, client_id, context.now, columns)
        bound = [name for name in ("dpop_bound", "certificate_bound") if getattr(wanted, name)]
        said = {"auth_method": wanted.auth_method, "bound": " ".join(bound)}
        context.record(tx, "client.changed", client_id=client_id, **said)
        tx.expire_all()
        row = client.find(tx, client_id)
        shown = {} if row is None else client_facts(tx, row)
    show(shown, as_json=as_json, told_as=lambda: facts(client_id, shown))


def _wanted(now: Registration, given: Mapping[str, Any]) -> Registration:
    changes: dict[str, Any] = {
        name: given[name] for name in ("auth_method", "dpop_bound", "certificate_bound") if given[name] is not None
    }
    if given["jwks"] is not None:
        changes["jwks"] = read_jwks(given["jwks"])
    named = tls_subject(given)
    if named is not None or "auth_method" in changes:
        changes["tls_subject"] = named
    return dataclasses.replace(now, **changes)


def read_jwks(file: Any) -> dict[str, object]:
    """Read a key set that somebody names as a file."""
    try:
        keys = json.load(file)
    except ValueError:
        keys = None
    if not isinstance(keys, dict):
        raise click.ClickException("jwks: the file does not hold a JWK Set")
    return keys
