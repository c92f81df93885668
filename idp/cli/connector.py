"""`idp connector`: directories and other providers that people sign in from, and the roles their groups give."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import click

from idp.accounts import connectors, federated, standing
from idp.accounts.connectors import Definition
from idp.accounts.sync import Sync
from idp.audit.log import readable
from idp.cli import connector_trial
from idp.cli.connector_rows import facts_of, find, in_words, refuse_declared, rules_of, sealer_of
from idp.cli.context import opened, read_secret
from idp.cli.key import config_option, json_option, moment
from idp.cli.progress import bar
from idp.cli.role import find_role
from idp.cli.shown import facts, show, table
from idp.federation.connector import PasswordConnector, SyncedConnector
from idp.federation.directory import examine
from idp.store import connector as store
from idp.store import identity

DIRECTORIES = frozenset({"active_directory", "ldap"})
PREFIXES = {"group:": "key", "name:": "name", "claim:": "claim"}
UNREAD = "only a directory can be read; of other providers each sign-in brings what has changed"


@click.group(name="connector")
def cli() -> None:
    """Directories and other providers that people sign in from."""


for command in connector_trial.COMMANDS:
    cli.add_command(command)


@cli.command(name="add")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--secret", "secret_name", help="Ask for this secret (bind_password, client_secret) instead of a file.")
@click.option("--secret-stdin", is_flag=True, help="Read it from standard input.")
@config_option
@json_option
def add(
    name: str,
    file: Path,
    secret_name: str | None,
    config: Path | None,
    *,
    secret_stdin: bool,
    as_json: bool,
) -> None:
    """Connect what a TOML FILE describes. One of this name is replaced; its people stay."""
    wanted = _described(name, file)
    if secret_name is not None:
        wanted[secret_name] = read_secret("Secret", from_stdin=secret_stdin)
    with opened(config) as context, in_words():
        definition = Definition.parse(name, wanted, beside=file.parent)
        sealer = sealer_of(context)
        with context.db.write() as tx:
            refuse_declared(store.find(tx, name))
            row = connectors.save(tx, sealer, definition, context.now, declared=False)
            context.record(tx, "connector.saved", connector=name, kind=row.kind)
            shown = facts_of(tx, row)
    show(shown, as_json=as_json, told_as=f"{name} is connected. Try it: idp connector test {name}")
    for warning in _warnings(definition):
        click.echo(warning, err=True)


@cli.command(name="list")
@config_option
@json_option
def listing(config: Path | None, *, as_json: bool) -> None:
    """List every connector in the order of the sign-in page."""
    with opened(config) as context, context.db.read() as tx:
        rows = [facts_of(tx, row) for row in store.listing(tx)]
    columns = ("name", "kind", "state", "people", "last sync", "trouble")
    show({"connectors": rows}, as_json=as_json, told_as=lambda: table("Connectors", columns, rows))


@cli.command(name="show")
@click.argument("name")
@config_option
@json_option
def display(name: str, config: Path | None, *, as_json: bool) -> None:
    """Show a connector and its rules; its secrets are not shown to anybody."""
    with opened(config) as context, context.db.read() as tx:
        row = find(tx, name)
        shown = facts_of(tx, row) | {
            "domains": row.domains,
            "provisioning": row.provisioning,
            "declared": row.declared,
            "config": row.config,
            "rules": rules_of(tx, row),
        }
    show(shown, as_json=as_json, told_as=lambda: facts(name, shown))


@cli.command(name="sync")
@click.argument("name")
@click.option("--full", is_flag=True, help="Read everybody, and not only who has changed since the last time.")
@click.option("--dry-run", "dry", is_flag=True, help="Change nothing; say what would change, a line for each person.")
@click.option("--force", is_flag=True, help="Believe it even when very many people are gone.")
@config_option
@json_option
def sync(name: str, config: Path | None, *, full: bool, dry: bool, force: bool, as_json: bool) -> None:
    """Read a directory: close who is disabled or gone there, and let groups be roles again."""
    with opened(config) as context, in_words():
        with context.db.read() as tx:
            row = find(tx, name)
        ready = connectors.make(row, sealer_of(context))
        if not isinstance(ready.connector, SyncedConnector):
            ready.connector.close()
            raise click.ClickException(UNREAD)
        worker = Sync(
            db=context.db,
            audit=context.audit,
            holder=f"cli:{os.getpid()}",
            clock=moment,
            whole_every=context.settings.directory_full_sync,
        )
        try:
            with bar(name, quiet=as_json) as shown:
                report = worker.run(
                    ready, full=full, dry=dry, force=force, progress=lambda done, total: shown("people", done, total)
                )
        finally:
            ready.connector.close()
    if report is None:
        raise click.ClickException("another process reads this directory just now")
    said = {"connector": name, "dry_run": dry} | report.counts()
    lists = {each: sorted(getattr(report, each)) for each in ("closed", "gone", "reopened", "roles")}
    if not as_json:
        for change in report.changes:
            click.echo(readable(change.line()))
    show(said | lists | {"trouble": report.trouble}, as_json=as_json, told_as=lambda: facts(name, said))
    if report.trouble is not None:
        raise click.ClickException(report.trouble)


@cli.command(name="disable")
@click.argument("name")
@config_option
@json_option
def disable(name: str, config: Path | None, *, as_json: bool) -> None:
    """Sign nobody in by it; accounts, sessions and links stay."""
    with opened(config) as context, context.db.write() as tx:
        row = find(tx, name)
        store.disable(tx, row.id, context.now)
        context.record(tx, "connector.disabled", connector=name)
    show({"name": name, "state": "off"}, as_json=as_json, told_as=f"Nobody signs in by {name} any more.")


@cli.command(name="enable")
@click.argument("name")
@config_option
@json_option
def enable(name: str, config: Path | None, *, as_json: bool) -> None:
    """Sign people in by it again."""
    with opened(config) as context, context.db.write() as tx:
        row = find(tx, name)
        store.enable(tx, row.id, context.now)
        context.record(tx, "connector.enabled", connector=name)
    show({"name": name, "state": "on"}, as_json=as_json, told_as=f"People sign in by {name} again.")


@cli.command(name="remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def remove(name: str, config: Path | None, *, yes: bool, as_json: bool) -> None:
    """Forget a connector, its links and roles, and close the accounts that have no other way in."""
    with opened(config) as context:
        with context.db.read() as tx:
            row = find(tx, name)
            people = identity.count(tx, row.id)
        refuse_declared(row)
        if not yes:
            click.confirm(f"{people} people are linked to {name}. Remove it?", abort=True)
        with context.db.write() as tx:
            linked = identity.accounts_of(tx, row.id)
            store.remove(tx, row.id)
            closed = standing.close_stranded(tx, linked, context.now)
            context.record(tx, "connector.removed", connector=name, people=len(linked), closed=closed)
    told = f"{name} is gone; {closed} accounts without another way in are closed."
    show({"name": name, "people": people, "closed": closed}, as_json=as_json, told_as=told)


@cli.command(name="map")
@click.argument("name")
@click.argument("group")
@click.argument("audience")
@click.argument("role")
@click.option("--remove", "away", is_flag=True, help="Take the rule away, and the role from everybody it gave it to.")
@config_option
@json_option
def map_group(
    name: str, group: str, audience: str, role: str, config: Path | None, *, away: bool, as_json: bool
) -> None:
    """Give ROLE of the API AUDIENCE to a group: group:DN, name:PATTERN with *, or claim:NAME=VALUE."""
    match, pattern = _pattern(group)
    with opened(config) as context, context.db.write() as tx:
        row, found = find(tx, name), find_role(tx, audience, role)
        rule = {"connector_id": row.id, "match": match, "pattern": pattern, "role_id": found.id}
        if not away:
            _refuse_hopeless(row.kind, match, pattern)
            store.add_rule(tx, **rule, now=context.now)
        elif not federated.drop_rule(tx, **rule, now=context.now):
            raise click.ClickException(f"there is no such rule; see `idp connector show {name}`")
        done = "connector.rule_removed" if away else "connector.rule_added"
        context.record(tx, done, connector=name, match=match, pattern=pattern, audience=audience, role=role)
    told = "The rule is gone." if away else f"{pattern} gives {role}, from the next sign-in or sync of each person."
    show({"connector": name, "match": match, "pattern": pattern, "role": role}, as_json=as_json, told_as=told)


def _warnings(definition: Definition) -> list[str]:
    """Say what works and should not be left so."""
    connector = definition.build()
    connector.close()
    return [each.words for each in examine.single(connector.tries)] if isinstance(connector, PasswordConnector) else []


def _described(name: str, file: Path) -> dict[str, object]:
    """Read the file: the table itself, or `[connectors.NAME]` as the settings have it."""
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise click.ClickException("the file is not TOML") from None
    inner = found.get("connectors")
    if isinstance(inner, Mapping) and isinstance(inner.get(name), Mapping):
        return dict(inner[name])
    return dict(found)


def _refuse_hopeless(kind: str, match: str, pattern: str) -> None:
    """Refuse a rule that nobody can ever match, which would look like one that works."""
    if match == "claim" and not pattern.partition("=")[2]:
        raise click.UsageError("write claim:NAME=VALUE")
    if match == "key" and kind in DIRECTORIES and "=" not in pattern:
        raise click.UsageError("group: wants the whole DN, as in group:CN=Clerks,...; name: means it by its name")


def _pattern(group: str) -> tuple[str, str]:
    for prefix, match in PREFIXES.items():
        if group.startswith(prefix) and len(group) > len(prefix):
            return match, group.removeprefix(prefix)
    raise click.UsageError("write group:DN, name:PATTERN or claim:NAME=VALUE")
