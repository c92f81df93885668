"""`idp group`: groups of people, and the roles they give."""

from __future__ import annotations

from pathlib import Path

import click

from idp.cli.context import MFA, Context, opened
from idp.cli.key import config_option, json_option, moment
from idp.cli.role import find_role
from idp.cli.shown import facts, show, table
from idp.store import account, group, taking
from idp.store.database import Session
from idp.store.group import Group


@click.group(name="group")
def cli() -> None:
    """Groups of people."""


@cli.command(name="create")
@click.argument("name")
@click.option("--mfa", type=MFA, default="optional", show_default=True, help="Second factor of its members.")
@config_option
@json_option
def create(name: str, mfa: str, config: Path | None, *, as_json: bool) -> None:
    """Create a group."""
    with opened(config) as context, context.db.write() as tx:
        if group.find(tx, name) is not None:
            raise click.ClickException("there is a group of this name already")
        group.create(tx, name=name, mfa=mfa)
        context.record(tx, "group.created", group=name, mfa=mfa)
    show({"name": name, "mfa": mfa}, as_json=as_json, told_as=f"Group {name} is there.")


@cli.command(name="list")
@config_option
@json_option
def listing(config: Path | None, *, as_json: bool) -> None:
    """List every group."""
    with opened(config) as context, context.db.read() as tx:
        rows = [
            {"name": each.name, "mfa": each.mfa, "members": len(group.members(tx, each.id))}
            for each in group.listing(tx)
        ]
    columns = ("name", "members", "mfa")
    show({"groups": rows}, as_json=as_json, told_as=lambda: table("Groups", columns, rows))


@cli.command(name="show")
@click.argument("name")
@config_option
@json_option
def display(name: str, config: Path | None, *, as_json: bool) -> None:
    """Show the members of a group."""
    with opened(config) as context, context.db.read() as tx:
        found = _find(tx, name)
        people = [account.find(tx, each) for each in group.members(tx, found.id)]
        row = {"name": name, "mfa": found.mfa, "members": sorted(each.username for each in people if each)}
    show(row, as_json=as_json, told_as=lambda: facts(name, row))


@cli.command(name="mfa")
@click.argument("name")
@click.argument("choice", type=MFA)
@config_option
@json_option
def mfa(name: str, choice: str, config: Path | None, *, as_json: bool) -> None:
    """Say whether members need a second factor."""
    with opened(config) as context, context.db.write() as tx:
        _find(tx, name).mfa = choice
        context.record(tx, "group.mfa_changed", group=name, mfa=choice)
    show({"name": name, "mfa": choice}, as_json=as_json, told_as=f"Second factor in {name}: {choice}.")


@cli.command(name="add")
@click.argument("name")
@click.argument("login")
@config_option
@json_option
def add(name: str, login: str, config: Path | None, *, as_json: bool) -> None:
    """Put a person into a group."""
    with opened(config) as context, context.db.write() as tx:
        person = context.account(tx, login)
        group.add_member(tx, _find(tx, name).id, person.id)
        context.record(tx, "group.member_added", account_id=person.id, group=name)
    row = {"group": name, "username": person.username}
    show(row, as_json=as_json, told_as=f"{person.username} is in {name}.")


@cli.command(name="remove")
@click.argument("name")
@click.argument("login")
@config_option
@json_option
def remove(name: str, login: str, config: Path | None, *, as_json: bool) -> None:
    """Take a person out of a group; gateways that listen want a token without its roles within a second."""
    with opened(config) as context, context.db.write() as tx:
        person = context.account(tx, login)
        taking.person_from_group(tx, _find(tx, name).id, person.id, moment())
        context.record(tx, "group.member_removed", account_id=person.id, group=name)
    row = {"group": name, "username": person.username}
    show(row, as_json=as_json, told_as=f"{person.username} is no longer in {name}.")


@cli.command(name="role")
@click.argument("name")
@click.argument("audience")
@click.argument("role_name", metavar="ROLE")
@click.option("--remove", "taken", is_flag=True, help="Take the role away instead.")
@config_option
@json_option
def role(name: str, audience: str, role_name: str, config: Path | None, *, taken: bool, as_json: bool) -> None:
    """Give a group a role of an API. Taken away, gateways that listen want its members' tokens anew within a second."""
    with opened(config) as context, context.db.write() as tx:
        _give(tx, context, name, audience, role_name, taken=taken)
    row = {"group": name, "audience": audience, "role": role_name, "given": not taken}
    told_as = f"{name} {'no longer has' if taken else 'has'} the role {role_name} at {audience}."
    show(row, as_json=as_json, told_as=told_as)


def _give(tx: Session, context: Context, name: str, audience: str, role_name: str, *, taken: bool) -> None:
    found, given = _find(tx, name), find_role(tx, audience, role_name)
    if taken:
        taking.role_from_group(tx, found.id, given.id, moment())
    else:
        group.add_role(tx, found.id, given.id)
    event = "group.role_removed" if taken else "group.role_added"
    context.record(tx, event, group=name, audience=audience, role=role_name)


def _find(tx: Session, name: str) -> Group:
    found = group.find(tx, name)
    if found is None:
        raise click.ClickException("no such group; see `idp group list`")
    return found
