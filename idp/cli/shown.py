"""What commands show: JSON to programs, tables and sentences to people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from idp.accounts import recovery
from idp.audit.log import readable
from idp.cli.key import answer
from idp.store import api, client, connector, group, identity, invitation, session, totp
from idp.store.account import Account
from idp.store.api import Api
from idp.store.client import Client
from idp.store.database import Session


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
    drawn = Table(title=Text(title))
    for index, column in enumerate(columns):
        drawn.add_column(column, no_wrap=index == 0, overflow="fold")  # an address is broken, never cut
    for row in rows:
        drawn.add_row(*(_cell(row[column.replace(" ", "_")]) for column in columns))
    return drawn


def facts(title: str, row: Mapping[str, object]) -> Table:
    """Draw one thing: a line for each fact."""
    drawn = Table(title=Text(readable(title)), show_header=False)
    drawn.add_column(no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in row.items():
        drawn.add_row(Text(name.replace("_", " ")), _cell(value))
    return drawn


def stamp(value: dt.datetime | None) -> str | None:
    """Write a moment for JSON."""
    return None if value is None else value.isoformat()


def account_line(row: Account) -> dict[str, object]:
    """Say of an account what fits on a line."""
    return {
        "id": row.id,
        "username": row.username,
        "email": row.email,
        "state": "closed" if row.disabled_at else "open",
        "last_sign_in": stamp(row.last_login_at),
    }


def account_facts(tx: Session, row: Account, now: dt.datetime) -> dict[str, object]:
    """Say everything of an account that is no secret."""
    factors = totp.confirmed(tx, row.id)
    return account_line(row) | {
        "email_verified": row.email_verified,
        "has_password": row.password_hash is not None,
        "second_factor": [f"{each.label}{' (locked)' if each.locked_at else ''}" for each in factors],
        "recovery_codes_left": recovery.left(tx, row.id),
        "linked": linked(tx, row),
        "invited": invited(tx, row, now),
        "must_use_second_factor": row.must_enrol,
        "groups": [each.name for each in group.of_account(tx, row.id)],
        "sessions": len(session.of_account(tx, row.id, now)),
        "claims": row.claims,
        "created": stamp(row.created_at),
    }


def linked(tx: Session, row: Account) -> list[str]:
    """Say by which connectors somebody signs in, as whom, and which keeps the account closed."""
    names = {each.id: each.name for each in connector.listing(tx)}
    return [
        f"{names[each.connector_id]}: {each.username}{' (closed there)' if each.closed_at else ''}"
        for each in identity.of_account(tx, row.id)
    ]


def invited(tx: Session, row: Account, now: dt.datetime) -> list[str]:
    """Say by which connectors somebody may take an account, with which e-mail, until when."""
    names = {each.id: each.name for each in connector.listing(tx)}
    return [
        f"{names[each.connector_id]}: {each.email_key} until {stamp(each.expires_at)}"
        for each in invitation.of_account(tx, row.id, now)
    ]


def client_facts(tx: Session, row: Client) -> dict[str, object]:
    """Say everything of a client that is no secret."""
    return {
        "client_id": row.client_id,
        "name": row.name,
        "state": "closed" if row.disabled_at else "open",
        "auth_method": row.auth_method,
        "grant_types": row.grant_types,
        "redirect_uris": row.redirect_uris,
        "post_logout_redirect_uris": row.post_logout_redirect_uris,
        "application_type": row.application_type,
        "require_pkce": row.require_pkce,
        "require_consent": row.require_consent,
        "mfa": row.mfa,
        "access_token_format": row.access_token_format,
        "dpop_bound_access_tokens": row.dpop_bound,
        "tls_client_certificate_bound_access_tokens": row.certificate_bound,
        "tls_client_auth": row.tls_subject,
        "scopes": {audience: sorted(names) for audience, names in client.scopes(tx, row.client_id).items()},
        "created": stamp(row.created_at),
    }


def api_facts(tx: Session, row: Api) -> dict[str, object]:
    """Say everything of an API."""
    return {
        "audience": row.audience,
        "name": row.name,
        "builtin": row.builtin,
        "scopes": [each.name for each in api.scopes(tx, row.id)],
        "resource_clients": sorted(api.resource_clients(tx, row.id)),
        "token_lifetime": row.token_lifetime,
        "signing_alg": row.signing_alg,
        "mfa": row.mfa,
    }


def _cell(value: object) -> Text:
    # Text, not markup, and no character that a terminal would obey: names are chosen by others.
    return Text(_words(value))


def _words(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "\n".join(_words(each) for each in value) or "-"
    if isinstance(value, dict):
        return "\n".join(f"{readable(str(name))}: {_words(each)}" for name, each in value.items()) or "-"
    return readable(str(value))
