"""`idp user`: accounts. Passwords are asked for or read from standard input, never given as an argument."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from idp.accounts import administration, unlinking
from idp.accounts.administration import BadClaim
from idp.cli.connector_rows import find as find_connector
from idp.cli.context import Context, opened
from idp.cli.key import config_option, json_option
from idp.cli.shown import account_facts, account_line, facts, show, stamp, table
from idp.store import account, group, identity, invitation
from idp.store.account import Account
from idp.store.database import Session

PAGE = 500
stdin_option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.group(name="user")
def cli() -> None:
    """Accounts of people."""


@cli.command(name="create")
@click.argument("username")
@click.option("--email", help="E-mail address; a second way to name the account at sign-in.")
@click.option("--email-verified", is_flag=True, help="The address is known to be this person's.")
@click.option("--name", help="Full name.")
@click.option("--group", "groups", multiple=True, help="Put into this group; may be repeated.")
@click.option("--require-mfa", is_flag=True, help="This person must set up a second factor at the next sign-in.")
@click.option("--no-password", is_flag=True, help="Create without a password; set one with `idp user password`.")
@stdin_option
@config_option
@json_option
def create(
    username: str,
    email: str | None,
    name: str | None,
    groups: tuple[str, ...],
    config: Path | None,
    *,
    email_verified: bool,
    require_mfa: bool,
    no_password: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Create an account."""
    wrong = administration.name_problem(username, email)
    if wrong is not None:
        raise click.ClickException(wrong)
    with opened(config) as context:
        hashed = None if no_password else context.new_password(username, email, from_stdin=password_stdin)
        with context.db.write() as tx:
            made = account.create(
                tx,
                username=username,
                email=email,
                email_verified=email_verified,
                password_hash=hashed,
                claims={} if name is None else {"name": name},
                must_enrol=require_mfa,
                now=context.now,
            )
            for each in groups:
                _join(tx, made, each)
            context.record(tx, "user.created", account_id=made.id, groups=list(groups))
            found = account_facts(tx, made, context.now)
    show(found, as_json=as_json, told_as=f"{username} can sign in." if hashed else f"{username} has no password yet.")


@cli.command(name="list")
@config_option
@json_option
def listing(config: Path | None, *, as_json: bool) -> None:
    """List every account."""
    rows: list[dict[str, object]] = []
    with opened(config) as context, context.db.read() as tx:
        after = ""
        while page := account.listing(tx, after=after, limit=PAGE):
            rows.extend(account_line(each) for each in page)
            after = page[-1].username_key
    columns = ("username", "email", "state", "last sign in")
    show({"users": rows}, as_json=as_json, told_as=lambda: table("Accounts", columns, rows))


@cli.command(name="show")
@click.argument("login")
@config_option
@json_option
def display(login: str, config: Path | None, *, as_json: bool) -> None:
    """Show one account: groups, factors, sessions, claims."""
    with opened(config) as context, context.db.read() as tx:
        found = account_facts(tx, context.account(tx, login), context.now)
    show(found, as_json=as_json, told_as=lambda: facts(str(found["username"]), found))


@cli.command(name="disable")
@click.argument("login")
@config_option
@json_option
def disable(login: str, config: Path | None, *, as_json: bool) -> None:
    """Close an account; its sessions and tokens end at once."""
    with opened(config) as context, context.db.write() as tx:
        found = context.account(tx, login)
        administration.disable(tx, found, context.now)
        context.record(tx, "user.disabled", account_id=found.id)
    show({"username": found.username, "disabled": True}, as_json=as_json, told_as=f"{found.username} is closed.")


@cli.command(name="enable")
@click.argument("login")
@config_option
@json_option
def enable(login: str, config: Path | None, *, as_json: bool) -> None:
    """Open an account again; sessions and tokens of before stay dead."""
    with opened(config) as context, context.db.write() as tx:
        found = context.account(tx, login)
        administration.enable(tx, found, context.now)
        context.record(tx, "user.enabled", account_id=found.id)
    show({"username": found.username, "disabled": False}, as_json=as_json, told_as=f"{found.username} is open again.")


@cli.command(name="password")
@click.argument("login")
@stdin_option
@config_option
@json_option
def password(login: str, config: Path | None, *, password_stdin: bool, as_json: bool) -> None:
    """Set a new password; every session, token and known device of the account ends."""
    with opened(config) as context:
        with context.db.read() as tx:
            found = context.account(tx, login)
        hashed = context.new_password(found.username, found.email, from_stdin=password_stdin)
        with context.db.write() as tx:
            administration.change_password(
                tx, found, hashed, context.now, sessions=context.sessions, throttle=context.throttle
            )
            context.record(tx, "user.password_set", account_id=found.id)
    told_as = f"{found.username} has a new password and is signed out everywhere."
    show({"username": found.username}, as_json=as_json, told_as=told_as)


@cli.command(name="totp-reset")
@click.argument("login")
@config_option
@json_option
def totp_reset(login: str, config: Path | None, *, as_json: bool) -> None:
    """Remove authenticator and recovery codes; the person sets up new ones when a sign-in demands it."""
    with opened(config) as context, context.db.write() as tx:
        found = context.account(tx, login)
        removed = administration.remove_factors(tx, found, context.now, sessions=context.sessions)
        context.record(tx, "user.factors_removed", account_id=found.id, removed=removed)
    told_as = f"{found.username} has no second factor any more and is signed out everywhere."
    show({"username": found.username, "removed": removed}, as_json=as_json, told_as=told_as)


@cli.command(name="unlock")
@click.argument("login")
@config_option
@json_option
def unlock(login: str, config: Path | None, *, as_json: bool) -> None:
    """Forget failed tries of password and codes."""
    with opened(config) as context, context.db.write() as tx:
        found = context.account(tx, login)
        administration.unlock(tx, found, throttle=context.throttle)
        context.record(tx, "user.unlocked", account_id=found.id)
    show({"username": found.username}, as_json=as_json, told_as=f"{found.username} can try again.")


@cli.command(name="invite")
@click.argument("login")
@click.argument("connector")
@click.option("--email", help="The address by which that connector knows the person; else that of the account.")
@click.option("--days", type=click.IntRange(1, 365), default=14, show_default=True, help="How long it holds.")
@config_option
@json_option
def invite(login: str, connector: str, email: str | None, days: int, config: Path | None, *, as_json: bool) -> None:
    """Let a person take this account by signing in at a connector, once, with a verified e-mail.

    For an account that has no way in yet: `idp user create LOGIN --email ADDRESS --no-password`.
    """
    with opened(config) as context, context.db.write() as tx:
        found, row = context.account(tx, login), find_connector(tx, connector)
        address = email or found.email
        if address is None or administration.name_problem(found.username, address) is not None:
            raise click.ClickException("say by --email which address the person has there")
        if unlinking.has_way_in(tx, found):
            raise click.ClickException("they have a way in already, and link another one at /account/ways-in")
        until = context.now + timedelta(days=days)
        key = account.canonical_login(address)
        invitation.put(tx, account_id=found.id, connector_id=row.id, email_key=key, expires_at=until)
        context.record(tx, "user.invited", account_id=found.id, connector=row.name)
    told = {"username": found.username, "connector": row.name, "email": address, "until": stamp(until)}
    told_as = f"{address}, verified at {row.name}, takes the account {found.username} until {stamp(until)}."
    show(told, as_json=as_json, told_as=told_as)


@cli.command(name="unlink")
@click.argument("login")
@click.argument("connector")
@config_option
@json_option
def unlink(login: str, connector: str, config: Path | None, *, as_json: bool) -> None:
    """Take a way in away: nobody signs in to this account by that connector, and what was opened by it ends."""
    with opened(config) as context, context.db.write() as tx:
        found, row = context.account(tx, login), find_connector(tx, connector)
        held = account.hold(tx, found.id)
        mine = [each for each in identity.of_account(tx, found.id) if each.connector_id == row.id]
        if held is None or not mine:
            raise click.ClickException(f"{found.username} is not linked to {row.name}; see `idp user show {login}`")
        if len(identity.of_account(tx, found.id)) == len(mine) and held.password_hash is None:
            raise click.ClickException("that is the only way in; set a password first, or close it: `idp user disable`")
        for each in mine:
            unlinking.unlink(tx, each, context.now, sessions=context.sessions)
        context.record(tx, "identity.unlinked", account_id=found.id, connector=row.name)
    told_as = f"{found.username} no longer signs in by {row.name}."
    show({"username": found.username, "connector": row.name}, as_json=as_json, told_as=told_as)


@cli.command(name="require-mfa")
@click.argument("login")
@click.option("--off", is_flag=True, help="No longer demand it of this person.")
@config_option
@json_option
def require_mfa(login: str, config: Path | None, *, off: bool, as_json: bool) -> None:
    """Demand a second factor of one person, whatever applications and APIs say."""
    with opened(config) as context, context.db.write() as tx:
        found = context.account(tx, login)
        found.must_enrol, found.updated_at = not off, context.now
        context.record(tx, "user.mfa_changed", account_id=found.id, required=not off)
    told_as = f"{found.username} {'need not' if off else 'must'} use a second factor."
    show({"username": found.username, "must_enrol": not off}, as_json=as_json, told_as=told_as)


@cli.command(name="set-claim")
@click.argument("login")
@click.argument("name")
@click.argument("value", required=False)
@config_option
@json_option
def set_claim(login: str, name: str, value: str | None, config: Path | None, *, as_json: bool) -> None:
    """Set a standard claim (address as a JSON object); without a value it is removed.

    `email` sets the address anew, unverified; `email_verified` is true or false.
    """
    with opened(config) as context, context.db.write() as tx:
        found = context.account(tx, login)
        _change(tx, found, name, value, context)
        context.record(tx, "user.claim_set", account_id=found.id, claim=name)
        shown = account_facts(tx, found, context.now)
    show(shown, as_json=as_json, told_as=f"{name} of {found.username} is {'removed' if value is None else 'set'}.")


def _change(tx: Session, found: Account, name: str, value: str | None, context: Context) -> None:
    if name == "email":
        wrong = administration.name_problem(found.username, value)
        if wrong is not None:
            raise click.ClickException(wrong)
        account.change_email(tx, found, value, verified=False, now=context.now)
        return
    if name == "email_verified":
        if value not in {"true", "false"}:
            raise click.ClickException("email_verified is true or false")
        account.change_email(tx, found, found.email, verified=value == "true", now=context.now)
        return
    try:
        wanted = {} if value is None else {name: administration.claim(name, value)}
    except BadClaim as error:
        raise click.ClickException(str(error)) from None
    # Replaced whole: JSON columns do not notice a change inside.
    found.claims = {key: each for key, each in found.claims.items() if key != name} | wanted
    found.updated_at = context.now


def _join(tx: Session, made: Account, name: str) -> None:
    found = group.find(tx, name)
    if found is None:
        raise click.ClickException(f"no such group: {name}; see `idp group list`")
    group.add_member(tx, found.id, made.id)
