"""What a command works with: settings, store, audit and the name of its operator; no Flask."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from idp.accounts.passwords import Passwords
from idp.accounts.rules import Rules
from idp.accounts.sessions import Sessions
from idp.accounts.throttle import Limits, Throttle
from idp.audit.log import AuditLog
from idp.cli.key import actor, load, moment, told
from idp.clients.registration import Unregistrable
from idp.protocol.errors import InvalidRequest
from idp.settings import Settings
from idp.store.account import Account, NameTaken, find, find_by_login
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
        named = find_by_login(tx, login)
        found = named and find(tx, named.id)
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
    except (NameTaken, InvalidRequest, Unregistrable) as error:
        raise click.ClickException(str(error)) from None


def read_secret(what: str, *, from_stdin: bool) -> str:
    """Read a secret from the first line of standard input, or ask for it twice without showing it."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask: use --password-stdin")
    typed: str = click.prompt(what, hide_input=True, confirmation_prompt=True)
    return typed
