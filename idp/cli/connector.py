"""`idp connector`: directories and other providers that people sign in from, and the roles their groups give."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from idp.accounts import connectors, federated, mapping
from idp.accounts.connectors import Definition
from idp.accounts.sync import Sync
from idp.audit.log import readable
from idp.cli.context import Context, opened, read_secret
from idp.cli.key import config_option, json_option, moment
from idp.cli.progress import bar
from idp.cli.role import find_role
from idp.cli.shown import facts, show, stamp, table
from idp.federation.connector import Misconfigured
from idp.federation.oauth2 import OAuth2
from idp.federation.oidc import Oidc
from idp.jose.strict import JoseError, loads
from idp.store import connector as store
from idp.store import identity
from idp.store.database import Session
from idp.store.sealed import Sealer, load_master_key

PREFIXES = {"group:": "key", "name:": "name", "claim:": "claim"}


@click.group(name="connector")
def cli() -> None:
    """Directories and other providers that people sign in from."""


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
    with opened(config) as context, _in_words():
        definition = Definition.parse(name, wanted, beside=file.parent)
        sealer = _sealer(context)
        with context.db.write() as tx:
            _refuse_declared(store.find(tx, name))
            row = connectors.save(tx, sealer, definition, context.now, declared=False)
            context.record(tx, "connector.saved", connector=name, kind=row.kind)
            shown = _facts(tx, row)
    show(shown, as_json=as_json, told_as=f"{name} is connected. Try it: idp connector test {name}")


@cli.command(name="list")
@config_option
@json_option
def listing(config: Path | None, *, as_json: bool) -> None:
    """List every connector in the order of the sign-in page."""
    with opened(config) as context, context.db.read() as tx:
        rows = [_facts(tx, row) for row in store.listing(tx)]
    columns = ("name", "kind", "state", "people", "last sync", "trouble")
    show({"connectors": rows}, as_json=as_json, told_as=lambda: table("Connectors", columns, rows))


@cli.command(name="show")
@click.argument("name")
@config_option
@json_option
def display(name: str, config: Path | None, *, as_json: bool) -> None:
    """Show a connector and its rules; its secrets are not shown to anybody."""
    with opened(config) as context, context.db.read() as tx:
        row = _find(tx, name)
        shown = _facts(tx, row) | {
            "domains": row.domains,
            "provisioning": row.provisioning,
            "declared": row.declared,
            "config": row.config,
            "rules": [f"{rule.match} {rule.pattern} -> {role.name}" for rule, role in store.rules(tx, row.id)],
        }
    show(shown, as_json=as_json, told_as=lambda: facts(name, shown))


@cli.command(name="test")
@click.argument("name")
@click.option("--user", "sample", help="Also look for this person, as typed on the sign-in page.")
@config_option
@json_option
def test(name: str, sample: str | None, config: Path | None, *, as_json: bool) -> None:
    """Walk every step of a sign-in short of the password, and say in words what was found."""
    with opened(config) as context, _in_words():
        with context.db.read() as tx:
            row = _find(tx, name)
            rules = [rule for rule, _ in store.rules(tx, row.id)]
        ready = connectors.make(row, _sealer(context))
        try:
            found = [
                {"step": each.step, "passed": each.passed, "words": each.words}
                for each in ready.connector.examine(sample)
            ]
        finally:
            ready.connector.close()
    failed = [each for each in found if not each["passed"]]
    columns = ("step", "passed", "words")
    answer = {"connector": name, "passed": not failed, "rules": len(rules), "findings": found}
    show(answer, as_json=as_json, told_as=lambda: table(f"Test of {name}", columns, found))
    if failed:
        raise click.exceptions.Exit(1)


@cli.command(name="claims")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@config_option
@json_option
def claims(name: str, file: IO[bytes], config: Path | None, *, as_json: bool) -> None:
    """Try the claim mapping: who a FILE of the provider's claims (JSON) would be here, and with which roles."""
    document = _claims_in(file)
    with opened(config) as context, _in_words():
        with context.db.read() as tx:
            row = _find(tx, name)
            rules = list(store.rules(tx, row.id))
        ready = connectors.make(row, _sealer(context))
    if not isinstance(ready.connector, Oidc | OAuth2):
        raise click.ClickException("a directory has no claims; see `idp connector test --user`")
    paths = ready.connector.common.claims
    external_id = paths.subject_of(document)
    if external_id is None:
        raise click.ClickException("nobody would be signed in: the claim that is the subject is absent")
    who = paths.identity(name, external_id, [document])
    given = {each.rule_id for each in mapping.match([rule for rule, _ in rules], who)}
    shown = {
        "subject": who.external_id,
        "username": who.username,
        "email": who.email,
        "email_verified": who.email_verified,
        "groups": [each.name for each in who.groups],
        "claims": dict(who.claims),
        "roles": sorted(role.name for rule, role in rules if rule.id in given),
    }
    show(shown, as_json=as_json, told_as=lambda: facts(f"Who this would be by {name}", shown))


@cli.command(name="sync")
@click.argument("name")
@click.option("--full", is_flag=True, help="Read everybody, and not only who has changed since the last time.")
@click.option("--dry-run", "dry", is_flag=True, help="Change nothing; say what would change, a line for each person.")
@click.option("--force", is_flag=True, help="Believe it even when very many people are gone.")
@config_option
@json_option
def sync(name: str, config: Path | None, *, full: bool, dry: bool, force: bool, as_json: bool) -> None:
    """Read a directory: close who is disabled or gone there, and let groups be roles again."""
    with opened(config) as context, _in_words():
        with context.db.read() as tx:
            row = _find(tx, name)
        ready = connectors.make(row, _sealer(context))
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
        row = _find(tx, name)
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
        row = _find(tx, name)
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
            row = _find(tx, name)
            people = identity.count(tx, row.id)
        _refuse_declared(row)
        if not yes:
            click.confirm(f"{people} people are linked to {name}. Remove it?", abort=True)
        with context.db.write() as tx:
            linked = identity.accounts_of(tx, row.id)
            store.remove(tx, row.id)
            closed = federated.close_stranded(tx, linked, context.now)
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
        row, found = _find(tx, name), find_role(tx, audience, role)
        rule = {"connector_id": row.id, "match": match, "pattern": pattern, "role_id": found.id}
        if away:
            if not federated.drop_rule(tx, **rule, now=context.now):
                raise click.ClickException("there is no such rule; see `idp connector show`")
        else:
            store.add_rule(tx, **rule, now=context.now)
        done = "connector.rule_removed" if away else "connector.rule_added"
        context.record(tx, done, connector=name, match=match, pattern=pattern, audience=audience, role=role)
    told = "The rule is gone." if away else f"{pattern} gives {role}, from the next sign-in or sync of each person."
    show({"connector": name, "match": match, "pattern": pattern, "role": role}, as_json=as_json, told_as=told)


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


def _claims_in(file: IO[bytes]) -> dict[str, object]:
    try:
        return loads(file.read())
    except JoseError as wrong:
        raise click.ClickException(f"the file is not one JSON object: {wrong.reason}") from None


def _pattern(group: str) -> tuple[str, str]:
    for prefix, match in PREFIXES.items():
        if group.startswith(prefix) and len(group) > len(prefix):
            return match, group.removeprefix(prefix)
    raise click.UsageError("write group:DN, name:PATTERN or claim:NAME=VALUE")


def _facts(tx: Session, row: store.Connector) -> dict[str, object]:
    last = store.sync(tx, row.id)
    return {
        "name": row.name,
        "kind": row.kind,
        "label": row.label,
        "state": "off" if row.disabled_at else "on",
        "people": identity.count(tx, row.id),
        "last_sync": stamp(last.finished_at) if last else None,
        "trouble": last.trouble if last else None,
    }


def _find(tx: Session, name: str) -> store.Connector:
    found = store.find(tx, name)
    if found is None:
        raise click.ClickException("no such connector; see `idp connector list`")
    return found


def _refuse_declared(row: store.Connector | None) -> None:
    if row is not None and row.declared and row.disabled_at is None:
        raise click.ClickException("this connector stands in the settings file; change it there")


def _sealer(context: Context) -> Sealer:
    return load_master_key(context.settings.master_key_file)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except Misconfigured as trouble:
        raise click.ClickException(str(trouble)) from None
