"""`idp api`: resource servers, their audiences, scopes and resource clients."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from urllib.parse import urlsplit

import click

from idp.cli.context import MFA, Context, opened
from idp.cli.key import config_option, json_option
from idp.cli.shown import api_facts, facts, show, table
from idp.jose.keys import ALGS
from idp.protocol import scope as scopes
from idp.settings import durations
from idp.settings.model import Settings
from idp.store import api, client
from idp.store.api import Api, ApiScope
from idp.store.database import Session

AUDIENCE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,500}")


@click.group(name="api")
def cli() -> None:
    """APIs and their scopes."""


@cli.command(name="create")
@click.argument("audience")
@click.option("--name", required=True, help="Name shown to people when they consent.")
@click.option("--scope", "named", multiple=True, metavar="NAME[=TEXT]", help="A scope and its words; may be repeated.")
@click.option("--token-lifetime", help="Lifetime of its access tokens, such as 5m.")
@click.option("--alg", type=click.Choice(ALGS), default="ES256", show_default=True, help="Signs its access tokens.")
@click.option("--mfa", type=MFA, default="optional", show_default=True, help="Second factor of whoever calls it.")
@config_option
@json_option
def create(  # noqa: PLR0917 - the options of one command
    audience: str,
    name: str,
    named: tuple[str, ...],
    token_lifetime: str | None,
    alg: str,
    mfa: str,
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Register an API by its audience, an absolute URI without fragment (RFC 8707 section 2)."""
    with opened(config) as context:
        _check_audience(audience)
        if alg not in context.settings.signing_algs:
            raise click.ClickException(f"{alg} has no key here; add it to the setting signing_algs")
        seconds = _lifetime(token_lifetime, context.settings)
        with context.db.write() as tx:
            if api.find(tx, audience) is not None:
                raise click.ClickException("there is an API with this audience already")
            made = api.create(
                tx, audience=audience, name=name, now=context.now, token_lifetime=seconds, signing_alg=alg, mfa=mfa
            )
            for each in named:
                word, _, text = each.partition("=")
                _add_scope(tx, context, made, word, text)
            context.record(tx, "api.created", audience=audience)
            row = api_facts(tx, made)
    show(
        row, as_json=as_json, told_as=f"{name} is registered. Give people roles with `idp role create {audience} NAME`."
    )


@cli.command(name="list")
@config_option
@json_option
def listing(config: Path | None, *, as_json: bool) -> None:
    """List every API."""
    with opened(config) as context, context.db.read() as tx:
        rows = [api_facts(tx, each) for each in api.listing(tx)]
    columns = ("audience", "name", "scopes", "signing alg", "mfa")
    show({"apis": rows}, as_json=as_json, told_as=lambda: table("APIs", columns, rows))


@cli.command(name="show")
@click.argument("audience")
@config_option
@json_option
def display(audience: str, config: Path | None, *, as_json: bool) -> None:
    """Show one API."""
    with opened(config) as context, context.db.read() as tx:
        row = api_facts(tx, find_api(tx, audience))
    show(row, as_json=as_json, told_as=lambda: facts(audience, row))


@cli.command(name="scope")
@click.argument("audience")
@click.argument("name")
@click.option("--text", default="", help="What it allows, in words for the consent page.")
@config_option
@json_option
def scope(audience: str, name: str, text: str, config: Path | None, *, as_json: bool) -> None:
    """Add a scope to an API."""
    with opened(config) as context, context.db.write() as tx:
        found = find_api(tx, audience)
        _add_scope(tx, context, found, name, text)
        row = api_facts(tx, found)
    show(row, as_json=as_json, told_as=f"{audience} has the scope {name}.")


@cli.command(name="resource-client")
@click.argument("audience")
@click.argument("client_id")
@click.option("--remove", "taken", is_flag=True, help="It no longer serves the API.")
@config_option
@json_option
def resource_client(audience: str, client_id: str, config: Path | None, *, taken: bool, as_json: bool) -> None:
    """Name a client (a gateway, an API server) that may introspect the API's tokens."""
    with opened(config) as context, context.db.write() as tx:
        found = find_api(tx, audience)
        if client.find(tx, client_id) is None:
            raise click.ClickException("no such client; see `idp client list`")
        (api.remove_resource_client if taken else api.add_resource_client)(tx, found.id, client_id)
        event = "api.resource_client_removed" if taken else "api.resource_client_added"
        context.record(tx, event, client_id=client_id, audience=audience)
    row = {"audience": audience, "client_id": client_id, "serves": not taken}
    show(row, as_json=as_json, told_as=f"{client_id} {'no longer serves' if taken else 'serves'} {audience}.")


def find_api(tx: Session, audience: str) -> Api:
    """Find an API, or say that there is none."""
    found = api.find(tx, audience)
    if found is None:
        raise click.ClickException("no such API; see `idp api list`")
    return found


def find_scope(tx: Session, of: Api, name: str) -> ApiScope:
    """Find a scope of an API, or say that there is none."""
    found = api.find_scope(tx, of.id, name)
    if found is None:
        raise click.ClickException(f"{of.audience} has no scope {name}; see `idp api show`")
    return found


def _add_scope(tx: Session, context: Context, to: Api, name: str, text: str) -> None:
    if not scopes.TOKEN.fullmatch(name):
        raise click.ClickException("a scope is printable ASCII without space, quote or backslash (RFC 6749, 3.3)")
    if name in scopes.OIDC and not to.builtin:
        raise click.ClickException(f"{name} belongs to the provider itself; choose another word")
    if api.find_scope(tx, to.id, name) is not None:
        raise click.ClickException(f"{to.audience} has the scope {name} already")
    api.add_scope(tx, to.id, name, text)
    context.record(tx, "api.scope_added", audience=to.audience, scope=name)


def _check_audience(audience: str) -> None:
    try:
        parts = urlsplit(audience)
    except ValueError:
        parts = urlsplit("")
    if not AUDIENCE.fullmatch(audience) or "#" in audience or not (parts.netloc or parts.path):
        raise click.ClickException("the audience is an absolute URI without fragment, such as https://orders.example")


def _lifetime(text: str | None, settings: Settings) -> int | None:
    if text is None:
        return None
    try:
        wanted = durations.parse(text)
    except ValueError as error:
        raise click.ClickException(f"token-lifetime: {error}") from None
    longest = settings.access_token_longest
    if not isinstance(wanted, dt.timedelta) or not dt.timedelta(seconds=1) <= wanted <= longest:
        raise click.ClickException(
            f"token-lifetime: between 1s and {durations.show(longest)} (setting access_token_longest)"
        )
    return int(wanted.total_seconds())
