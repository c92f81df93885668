"""`idp role`: roles of an API, and the scopes they grant."""

from __future__ import annotations

from pathlib import Path

import click

from idp.accounts import explaining
from idp.cli import role_explained
from idp.cli.api import find_api, find_scope
from idp.cli.context import MFA, opened
from idp.cli.key import config_option, json_option, moment
from idp.cli.shown import show, table
from idp.store import client, role, taking
from idp.store.database import Session
from idp.store.role import Role


@click.group(name="role")
def cli() -> None:
    """Roles of APIs."""


@cli.command(name="create")
@click.argument("audience")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="Grant this scope of the API; may be repeated.")
@click.option("--mfa", type=MFA, default="optional", show_default=True, help="Second factor of whoever has the role.")
@config_option
@json_option
def create(audience: str, name: str, scopes: tuple[str, ...], mfa: str, config: Path | None, *, as_json: bool) -> None:
    """Create a role of an API."""
    with opened(config) as context, context.db.write() as tx:
        found = find_api(tx, audience)
        if role.find(tx, found.id, name) is not None:
            raise click.ClickException("this API has a role of this name already")
        made = role.create(tx, api_id=found.id, name=name, mfa=mfa)
        for each in scopes:
            role.add_scope(tx, made.id, find_scope(tx, found, each).id)
        context.record(tx, "role.created", audience=audience, role=name, scopes=list(scopes), mfa=mfa)
    row = {"audience": audience, "name": name, "scopes": sorted(scopes), "mfa": mfa}
    show(row, as_json=as_json, told_as=f"Role {name} is there. Give it with `idp group role GROUP {audience} {name}`.")


@cli.command(name="list")
@click.argument("audience")
@config_option
@json_option
def listing(audience: str, config: Path | None, *, as_json: bool) -> None:
    """List the roles of an API."""
    with opened(config) as context, context.db.read() as tx:
        rows = [
            {"name": each.name, "scopes": sorted(role.scopes(tx, each.id)), "mfa": each.mfa}
            for each in role.listing(tx, find_api(tx, audience).id)
        ]
    columns = ("name", "scopes", "mfa")
    show({"roles": rows}, as_json=as_json, told_as=lambda: table(f"Roles of {audience}", columns, rows))


@cli.command(name="grant")
@click.argument("audience")
@click.argument("name")
@click.argument("scopes", nargs=-1, required=True)
@click.option("--remove", "taken", is_flag=True, help="Take the scopes away instead.")
@config_option
@json_option
def grant(
    audience: str, name: str, scopes: tuple[str, ...], config: Path | None, *, taken: bool, as_json: bool
) -> None:
    """Let a role grant scopes of its API."""
    with opened(config) as context, context.db.write() as tx:
        found, api = find_role(tx, audience, name), find_api(tx, audience)
        for each in scopes:
            scope_id = find_scope(tx, api, each).id
            if taken:
                taking.scope_from_role(tx, found.id, scope_id, moment())
            else:
                role.add_scope(tx, found.id, scope_id)
        event = "role.scopes_removed" if taken else "role.scopes_added"
        context.record(tx, event, audience=audience, role=name, scopes=list(scopes))
        row = {"audience": audience, "name": name, "scopes": sorted(role.scopes(tx, found.id))}
    told_as = f"{name} grants: {', '.join(row['scopes']) or 'nothing'}."
    show(row, as_json=as_json, told_as=told_as)


@cli.command(name="client")
@click.argument("audience")
@click.argument("name")
@click.argument("client_id")
@click.option("--remove", "taken", is_flag=True, help="Take the role away instead.")
@config_option
@json_option
def service(audience: str, name: str, client_id: str, config: Path | None, *, taken: bool, as_json: bool) -> None:
    """Give a role to a service client, for when it acts for itself."""
    with opened(config) as context, context.db.write() as tx:
        found = find_role(tx, audience, name)
        if client.find(tx, client_id) is None:
            raise click.ClickException("no such client; see `idp client list`")
        if taken:
            taking.role_from_client(tx, found.id, client_id, moment())
        else:
            role.add_client(tx, found.id, client_id)
        event = "role.client_removed" if taken else "role.client_added"
        context.record(tx, event, client_id=client_id, audience=audience, role=name)
    row = {"audience": audience, "role": name, "client_id": client_id, "given": not taken}
    show(row, as_json=as_json, told_as=f"{client_id} {'no longer has' if taken else 'has'} the role {name}.")


@cli.command(name="explain")
@click.argument("login", metavar="USER")
@config_option
@json_option
def explain(login: str, config: Path | None, *, as_json: bool) -> None:
    """Say why a person has their roles: group, group around it, rule, role, scopes, claim."""
    with opened(config) as context, context.db.read() as tx:
        person = context.account(tx, login)
        found = explaining.explain(tx, person.id)
    closed = person.disabled_at is not None
    row = {"username": person.username, "closed": closed, "apis": [role_explained.facts(each) for each in found]}
    show(row, as_json=as_json, told_as=role_explained.told(person.username, found, closed=closed))


def find_role(tx: Session, audience: str, name: str) -> Role:
    """Find a role, or say that there is none."""
    found = role.find(tx, find_api(tx, audience).id, name)
    if found is None:
        raise click.ClickException("this API has no such role; see `idp role list`")
    return found
