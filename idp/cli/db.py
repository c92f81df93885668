"""`idp db`: bring the tables up to date, look after them, take a backup, bring one back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from idp.cli.key import actor, answer, config_option, json_option, load, moment, told
from idp.cli.progress import bar, working
from idp.keys.rotation import Keyring
from idp.settings import Settings
from idp.store import backup as backups
from idp.store import health, migrate, prune
from idp.store import restore as restores
from idp.store.backends import UnsafeDatabase
from idp.store.database import Database
from idp.store.reseal import reseal
from idp.store.sealed import load_master_key


@click.group(name="db")
def cli() -> None:
    """The database."""


@cli.command(name="upgrade")
@config_option
@json_option
def upgrade(config: Path | None, *, as_json: bool) -> None:
    """Bring the tables to this version. Safe to run at any time, and by several at once."""
    with opened(load(config)) as database:
        before = migrate.current(database.engine)
        with working("Upgrading the tables", quiet=as_json):
            migrate.upgrade(database.engine)
        after = migrate.current(database.engine)
    if as_json:
        answer({"before": before, "after": after, "changed": before != after})
    elif before == after:
        click.echo(f"The tables are at revision {after} already; nothing was changed.")
    else:
        click.echo(f"The tables went from revision {before or 'none'} to {after}.")


@cli.command(name="check", short_help="Look for damage and differences.")
@config_option
@json_option
def check(config: Path | None, *, as_json: bool) -> None:
    """Look for tables that differ, damage, and settings of the database that could lose data."""
    with opened(load(config)) as database, working("Checking the database", quiet=as_json):
        problems = [*migrate.check(database.engine), *health.problems(database)]
        facts = {"kind": database.dialect, "revision": migrate.current(database.engine)}
    if as_json:
        answer({"ok": not problems, **facts, "problems": problems})
    elif not problems:
        click.echo(f"All is well: {facts['kind']}, revision {facts['revision']}.")
    for problem in () if as_json else problems:
        click.echo(f"- {problem}")
    if problems:
        raise SystemExit(1)


@cli.command(name="backup", short_help="Write a backup while the provider serves.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
@json_option
def backup(file: Path, config: Path | None, *, as_json: bool) -> None:
    """Write a consistent backup to FILE while the provider goes on serving."""
    with opened(load(config)) as database, bar("Backup", quiet=as_json) as progress:
        made = backups.backup(database, file, moment(), progress)
    if as_json:
        answer({"file": str(made.file), "bytes": made.bytes, "sha256": made.sha256, "revision": made.revision})
        return
    click.echo(f"Written to {made.file}, {made.bytes:,} bytes (mode 0600).")
    click.echo(f"SHA-256 {made.sha256}")
    click.echo("The master key is not in it: keep that apart, both are needed to come back.")


@cli.command(name="restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace what the database holds.")
@config_option
@json_option
def restore(file: Path, config: Path | None, *, force: bool, as_json: bool) -> None:
    """Bring a backup back. Stop the provider first.

    Nothing that was used or revoked revives: people sign in and consent again, recovery codes are void, signing keys
    change. Passwords, groups and clients are again as they were when the backup was made.
    """
    settings = load(config)
    with opened(settings) as database:
        sealer = load_master_key(settings.master_key_file)
        with bar("Restore", quiet=as_json) as progress:
            done = restores.restore(database, file, sealer, moment, force=force, actor=actor(), progress=progress)
        # The withdrawn keys have successors before anybody asks for a token.
        Keyring(database, sealer, settings).ensure(moment())
        # A backup may be older than the master key: what it brings back must not stay under the one before.
        reseal(database, sealer)
    if as_json:
        answer({"made_at": done.made_at, "made_from": done.made_from, "epoch": done.epoch, "rows": done.rows})
        return
    click.echo(f"Restored the backup of {done.made_at}: {sum(done.rows.values()):,} rows, epoch {done.epoch}.")
    click.echo("Sessions, grants, consents, codes and recovery codes are void; signing keys are new.")
    click.echo("Whoever was disabled, or changed a password, after the backup: do it again now.")


@cli.command(name="prune")
@config_option
@json_option
def prune_(config: Path | None, *, as_json: bool) -> None:
    """Delete what is long over. The provider does this by itself; it is safe at any time."""
    settings = load(config)
    with opened(settings) as database, working("Pruning", quiet=as_json):
        gone = prune.prune(database, moment(), stop=settings.throttle_stop)
    if as_json:
        answer(gone)
        return
    for table, count in gone.items():
        if count:
            click.echo(f"{table}: {count:,} rows deleted")
    if not any(gone.values()):
        click.echo("Nothing was old enough to delete.")


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open the database for one command, and say in a line what an operator can mend."""
    try:
        with told():
            database = Database.open(settings.database_url)
            try:
                yield database
            finally:
                database.close()
    except (UnsafeDatabase, migrate.Outdated, backups.BackupRefused) as error:
        raise click.ClickException(str(error)) from None
