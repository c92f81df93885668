"""`idp key`: the master key that seals secrets, and the keys that sign tokens."""

from __future__ import annotations

import datetime as dt
import getpass
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from idp.audit.log import AuditLog
from idp.cli.progress import bar
from idp.keys.rotation import Keyring
from idp.settings import Settings, SettingsError
from idp.store import sealed
from idp.store.database import Database, StoreUnavailable
from idp.store.reseal import reseal
from idp.store.signing_key import SigningKey

config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file; idp.toml here by default."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
# A kid may begin with a dash: short options would swallow it.
_ANY_KID = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


@click.group(name="key")
def cli() -> None:
    """Master key and signing keys."""


@cli.command(name="init")
@config_option
@json_option
def init(config: Path | None, *, as_json: bool) -> None:
    """Write the master key file, if there is none. Signing keys are made when the provider first needs them."""
    # Exposed settings are refused without a master key; asked as if on loopback, so that it can be made.
    settings = load(config, issuer="http://localhost", host="127.0.0.1")
    file = settings.master_key_file
    with told():
        try:
            name, made = sealed.create_master_key(file), True
        except FileExistsError:
            name, made = sealed.load_master_key(file).active, False
    if as_json:
        answer({"master_key_file": str(file), "key_id": name, "created": made})
        return
    if not made:
        click.echo(f"{file} is there already and can be read; nothing was changed.")
        return
    click.echo(f"Master key written to {file} (mode 0600).")
    click.echo("Keep a copy apart from the backups of the database: without it no secret in them can be opened.")


@cli.command(name="list")
@config_option
@json_option
def listing(config: Path | None, *, as_json: bool) -> None:
    """Show every signing key and where it stands."""
    now = moment()
    with opened(config) as keyring:
        found = keyring.listing(now)
    if as_json:
        answer({"keys": [_facts(row, state) for row, state in found]})
        return
    if not found:
        click.echo("No signing keys yet: the provider makes them when it first needs them.")
        return
    table = Table("kid", "alg", "state", "what comes next", box=SIMPLE_HEAD)
    table.columns[0].no_wrap = True
    for row, state in found:
        table.add_row(row.id, row.alg, state, _next(row, state))
    Console().print(table)


@cli.command(name="rotate")
@config_option
@json_option
def rotate(config: Path | None, *, as_json: bool) -> None:
    """Publish the next key of every algorithm; it signs when the gateways have had time to fetch it."""
    now = moment()
    with opened(config) as keyring:
        made = keyring.rotate(now, actor=actor())
        found = [(row, state) for row, state in keyring.listing(now) if row.id in made]
    if as_json:
        answer({"created": [_facts(row, state) for row, state in found]})
        return
    if not found:
        click.echo("Nothing to do: every algorithm has a next key that waits already.")
    for row, state in found:
        click.echo(f"{row.alg}: {row.id} is published and {_next(row, state)}.")


@cli.command(name="withdraw", context_settings=_ANY_KID)
@click.argument("kid", required=False)
@click.option("--all", "everything", is_flag=True, help="Withdraw every key, as when the machine was broken into.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def withdraw(kid: str | None, config: Path | None, *, everything: bool, yes: bool, as_json: bool) -> None:
    """Take a key away at once and have another sign; every token it signed is refused from then on."""
    if everything == (kid is not None):
        raise click.UsageError("name one key, or say --all")
    if not yes and not as_json:
        click.confirm("Every token signed with what you withdraw will be refused. Go on?", abort=True)
    now = moment()
    with opened(config) as keyring:
        gone = keyring.withdraw_all(now, actor=actor()) if kid is None else _one(keyring, kid, now)
        signing = [row for row, state in keyring.listing(now) if state == "signing"]
    if as_json:
        answer({"withdrawn": sorted(gone), "signing": {row.alg: row.id for row in signing}})
        return
    click.echo(
        "Withdrawn. The provider and the gateways that hear its events refuse its tokens within a second, "
        "other gateways with their next fetch of the keys."
    )
    for row in signing:
        click.echo(f"{row.alg} is signed by {row.id}.")


@cli.command(name="reseal")
@click.option("--new", is_flag=True, help="Make a new master key first, and seal everything under that.")
@config_option
@json_option
def reseal_(config: Path | None, *, new: bool, as_json: bool) -> None:
    """Seal every secret in the database anew under the newest master key. May be broken off and run again.

    The provider may go on serving. The older key stays in the file: it opens older backups, and cookies and the marks
    in the audit hang on the first one.
    """
    settings = load(config)
    with told(), closing(Database.open(settings.database_url)) as database:
        if new:
            sealed.add_master_key(settings.master_key_file)
        sealer = sealed.load_master_key(settings.master_key_file)
        with bar("Reseal", quiet=as_json) as progress:
            rows = reseal(database, sealer, progress)
        with database.write() as tx:
            AuditLog(moment).record(tx, "master_key.resealed", actor=actor(), key_id=sealer.active, rows=rows)
    if as_json:
        answer({"key_id": sealer.active, "created": new, "rows": rows})
        return
    if new:
        click.echo(f"A new master key is in {settings.master_key_file}. Keep a copy, apart from the backups.")
    count = sum(rows.values())
    click.echo(f"{count:,} sealed anew." if count else "Everything was sealed under the newest master key already.")


def _one(keyring: Keyring, kid: str, now: dt.datetime) -> frozenset[str]:
    if not keyring.withdraw(kid, now, actor=actor()):
        raise click.ClickException("no such key, or it was withdrawn before; see `idp key list`")
    return frozenset({kid})


def load(config: Path | None, **overrides: object) -> Settings:
    """Read the settings, or say what is wrong with them."""
    try:
        return Settings.load(config, **overrides)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def opened(config: Path | None) -> Iterator[Keyring]:
    """Open the store and its keyring for one command."""
    settings = load(config)
    with told():
        sealer = sealed.load_master_key(settings.master_key_file)
        database = Database.open(settings.database_url)
        try:
            yield Keyring(database, sealer, settings)
        finally:
            database.close()


@contextmanager
def told() -> Iterator[None]:
    """Turn what an operator can mend into one line."""
    try:
        yield
    except sealed.UnsafeKeyFile as error:
        raise click.ClickException(str(error)) from None
    except sealed.SealBroken:
        raise click.ClickException("master_key_file: this is not the key the database was sealed with") from None
    except StoreUnavailable:
        raise click.ClickException(
            "database_url: the database is away, or has no tables or older ones than this version needs; "
            "see `idp db check` and `idp db upgrade`"
        ) from None


def answer(value: object) -> None:
    """Print JSON for programs."""
    click.echo(json.dumps(value, indent=2))


def moment() -> dt.datetime:
    """Read the clock."""
    return dt.datetime.now(dt.UTC)


def actor() -> str:
    """Name who runs the command, for the audit."""
    return f"cli:{getpass.getuser()}"


def _facts(row: SigningKey, state: str) -> dict[str, str | None]:
    moments = ("created_at", "publish_at", "sign_from", "retired_at", "remove_at", "withdrawn_at")
    stamps = {name: getattr(row, name) for name in moments}
    told_moments = {name: stamp.isoformat() if stamp else None for name, stamp in stamps.items()}
    return {"kid": row.id, "alg": row.alg, "state": state, **told_moments}


def _next(row: SigningKey, state: str) -> str:
    """Say what happens to a key from here on."""
    if state == "withdrawn":
        return f"gone since {_stamp(row.withdrawn_at)}"
    if state == "waiting":
        return f"signs from {_stamp(row.sign_from)}"
    if state == "signing":
        return f"signs since {_stamp(row.sign_from)}"
    if row.remove_at is None:
        return "leaves when the provider next looks"
    return f"{'left' if state == 'removed' else 'leaves'} {_stamp(row.remove_at)}"


def _stamp(moment_of: dt.datetime | None) -> str:
    return "" if moment_of is None else f"{moment_of:%Y-%m-%d %H:%M} UTC"
