"""What a command works with: settings, store, audit and the name of its operator; no Flask."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from idp.accounts.passwords import Passwords
from idp.accounts.rules import Rules
from idp.accounts.sessions import Sessions
from idp.accounts.throttle import Limits, Throttle
from idp.audit.log import AuditLog
from idp.cli.key import actor, answer, load, moment, told
from idp.protocol.errors import InvalidRequest
from idp.settings import Settings
from idp.store.account import Account, NameTaken, find_by_login
from idp.store.database import Database, Session

MFA = click.Choice(["off", "optional", "required"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One run of a command."""

    settings: Settings
    db: Database
    audit: AuditLog
    now: dt.datetime

    @property
    def sessions(self) -> Sessions:
        """Sessions as the provider keeps them."""
        return Sessions.from_settings(self.db, self.settings)

    @property
    def throttle(self) -> Throttle:
        """The throttle as the provider keeps it."""
        return Throttle(Limits.from_settings(self.settings))

    def record(
        self, tx: Session, event: str, *, account_id: str | None = None, client_id: str | None = None, **detail: object
    ) -> None:
        """Write down what an operator did."""
        self.audit.record(
            tx, event, account_id=account_id, client_id=client_id, ip=None, actor=actor(), support_id=None, **detail
        )

    def account(self, tx: Session, login: str) -> Account:
        """Find an account by user name or e-mail, or say that there is none."""
        found = find_by_login(tx, login)
        if found is None:
            raise click.ClickException("no such account; see `idp user list`")
        return found

    def new_password(self, username: str, email: str | None, *, from_stdin: bool) -> str:
        """Ask for a password, keep the rules, and return its hash. It never comes from the command line."""
        password = read_secret("Password", from_stdin=from_stdin)
        problems = Rules.from_settings(self.settings).problems(password, username, email)
        if problems:
            raise click.ClickException(" ".join(problems))
        return Passwords.from_settings(self.settings).hash(password)


@contextmanager
def opened(config: Path | None) -> Iterator[Context]:
    """Open the store for one command; what its operator can mend becomes one line."""
    settings = load(config)
    with told(), _in_words():
        database = Database.open(settings.database_url)
        try:
            yield Context(settings=settings, db=database, audit=AuditLog(moment), now=moment())
        finally:
            database.close()


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (NameTaken, InvalidRequest) as error:
        raise click.ClickException(str(error)) from None


def read_secret(what: str, *, from_stdin: bool) -> str:
    """Read a secret from the first line of standard input, or ask for it twice without showing it."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask: use --password-stdin")
    typed: str = click.prompt(what, hide_input=True, confirmation_prompt=True)
    return typed


def show(
    value: object,
    *,
    as_json: bool,
    told_as: Callable[[], Table] | str,
) -> None:
    """Answer a program in JSON, a person in a table or a sentence."""
    if as_json:
        answer(value)
    elif isinstance(told_as, str):
        click.echo(told_as)
    else:
        Console().print(told_as())


def table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Table:
    """Draw rows of facts; the first column is never broken, because it is what the next command needs."""
    drawn = Table(*columns, title=title)
    drawn.columns[0].no_wrap = True
    for row in rows:
        drawn.add_row(*(_cell(row[column.replace(" ", "_")]) for column in columns))
    return drawn


def facts(title: str, row: Mapping[str, object]) -> Table:
    """Draw one thing: a line for each fact."""
    drawn = Table(title=title, show_header=False)
    drawn.add_column(no_wrap=True)
    drawn.add_column()
    for name, value in row.items():
        drawn.add_row(name.replace("_", " "), _cell(value))
    return drawn


def stamp(value: dt.datetime | None) -> str | None:
    """Write a moment for JSON."""
    return None if value is None else value.isoformat()


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "\n".join(str(each) for each in value) or "-"
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_cell(each)}" for name, each in value.items()) or "-"
    return str(value)
