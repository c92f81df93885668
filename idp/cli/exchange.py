"""`idp exchange`: who may exchange a token for one API into a token for another (RFC 8693)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from idp.cli.api import find_api, find_scope
from idp.cli.context import opened
from idp.cli.key import config_option, json_option, moment
from idp.cli.shown import facts, show, table
from idp.clients.client import NONE, TOKEN_EXCHANGE
from idp.protocol import acr
from idp.settings import durations
from idp.store import client, exchange_policy, taking
from idp.store.api import Api
from idp.store.client import Client
from idp.store.database import Session
from idp.store.exchange_policy import ExchangePolicy

COLUMNS = ("client id", "audience", "scopes", "ways", "review by")


@click.group(name="exchange")
def cli() -> None:
    """Exchanges that are allowed; there are no others."""


@cli.command(name="allow")
@click.argument("client_id")
@click.argument("audience")
@click.option("--scope", "scopes", multiple=True, required=True, help="A scope it may get; may be repeated.")
@click.option("--delegation/--no-delegation", default=True, show_default=True, help="Its token names who acts.")
@click.option("--impersonation", is_flag=True, help="Its token may name the person alone; nobody sees who acts.")
@click.option("--max-ttl", help="Longest life of its token, such as 60s; the API's lifetime if left out.")
@click.option("--require-acr", type=click.Choice(acr.LEVELS), help="The sign-in must have been at least this strong.")
@click.option("--require-may-act", is_flag=True, help="The token it brings must name it in may_act.")
@click.option("--may-act", metavar="CLIENT", help="Only this client may act with its token.")
@click.option("--narrow", is_flag=True, help="Leave out scopes beyond what it may get, instead of refusing.")
@click.option("--per-minute", type=click.IntRange(min=1), help="How often at most; as all clients if left out.")
@click.option("--owner", help="Who answers for it.")
@click.option("--review-by", type=click.DateTime(["%Y-%m-%d"]), help="When to look at it again.")
@config_option
@json_option
def allow(client_id: str, audience: str, config: Path | None, *, as_json: bool, **given: object) -> None:
    """Let CLIENT_ID exchange tokens it serves or owns for tokens for AUDIENCE; said again, it replaces what was said.

    The result has the scopes that the token it brings, this policy and the person's roles have in common.
    """
    if not given["delegation"] and not given["impersonation"]:
        raise click.UsageError("allow delegation, impersonation or both")
    with opened(config) as context, context.db.write() as tx:
        found, target = _find_client(tx, client_id), find_api(tx, audience)
        wanted = _policy(tx, target, given)
        taking.exchange_of_client(tx, client_id, target, moment(), wanted)
        if TOKEN_EXCHANGE not in found.grant_types:
            client.change(tx, client_id, context.now, {"grant_types": [*found.grant_types, TOKEN_EXCHANGE]})
        context.record(tx, "exchange.allowed", client_id=client_id, audience=audience, policy=_recorded(wanted))
        row = _row(_found(tx, client_id, audience), audience, context.now.date())
    show(row, as_json=as_json, told_as=lambda: facts(f"{client_id} may exchange for {audience}", row))


@cli.command(name="list")
@click.option("--client", "client_id", help="Of this client alone.")
@config_option
@json_option
def listing(client_id: str | None, config: Path | None, *, as_json: bool) -> None:
    """List every exchange that is allowed, and which of them are due for review."""
    with opened(config) as context, context.db.read() as tx:
        found = exchange_policy.listing(tx) if client_id is None else exchange_policy.of_client(tx, client_id)
        rows = [_row(policy, target.audience, context.now.date()) for policy, target in found]
    show({"exchanges": rows}, as_json=as_json, told_as=lambda: table("Exchanges", COLUMNS, rows))


@cli.command(name="remove")
@click.argument("client_id")
@click.argument("audience")
@config_option
@json_option
def remove(client_id: str, audience: str, config: Path | None, *, as_json: bool) -> None:
    """Allow it no longer; gateways that listen refuse what it has exchanged, for any API, within a second."""
    with opened(config) as context, context.db.write() as tx:
        if not taking.exchange_from_client(tx, client_id, find_api(tx, audience).id, moment()):
            raise click.ClickException("no such exchange; see `idp exchange list`")
        context.record(tx, "exchange.removed", client_id=client_id, audience=audience)
    row = {"client_id": client_id, "audience": audience, "allowed": False}
    show(row, as_json=as_json, told_as=f"{client_id} may no longer exchange for {audience}.")


def _find_client(tx: Session, client_id: str) -> Client:
    found = client.find(tx, client_id)
    if found is None:
        raise click.ClickException("no such client; see `idp client list`")
    if found.auth_method == NONE:
        # RFC 8693 section 5: whoever swaps tokens has to be known.
        raise click.ClickException("a public client proves nothing, so it may not exchange tokens")
    return found


def _policy(tx: Session, target: Api, given: dict[str, object]) -> dict[str, object]:
    names = given["scopes"] if isinstance(given["scopes"], tuple) else ()
    review_by = given["review_by"]
    if given["may_act"] is not None and client.find(tx, str(given["may_act"])) is None:
        raise click.ClickException("may-act: no such client; see `idp client list`")
    return {
        "allowed_scopes": [find_scope(tx, target, str(name)).name for name in names],
        "allow_delegation": given["delegation"],
        "allow_impersonation": given["impersonation"],
        "max_ttl": _seconds(given["max_ttl"]),
        "require_acr": given["require_acr"],
        "require_may_act": given["require_may_act"],
        "may_act": given["may_act"],
        "mode": exchange_policy.NARROW if given["narrow"] else exchange_policy.REFUSE,
        "per_minute": given["per_minute"],
        "owner": given["owner"],
        "review_by": review_by.date() if isinstance(review_by, dt.datetime) else None,
    }


def _seconds(text: object) -> int | None:
    if text is None:
        return None
    try:
        wanted = durations.parse(str(text))
    except ValueError as error:
        raise click.ClickException(f"max-ttl: {error}") from None
    if not isinstance(wanted, dt.timedelta) or wanted < dt.timedelta(seconds=1):
        raise click.ClickException("max-ttl: at least 1s")
    return int(wanted.total_seconds())


def _recorded(policy: dict[str, object]) -> dict[str, object]:
    return {name: str(value) if isinstance(value, dt.date) else value for name, value in policy.items()}


def _found(tx: Session, client_id: str, audience: str) -> ExchangePolicy:
    found = exchange_policy.find(tx, client_id, audience)
    if found is None:
        raise click.ClickException("no such exchange; see `idp exchange list`")
    return found


def _row(policy: ExchangePolicy, audience: str, today: dt.date) -> dict[str, object]:
    ways = {"delegation": policy.allow_delegation, "impersonation": policy.allow_impersonation}
    return {
        "client_id": policy.client_id,
        "audience": audience,
        "scopes": policy.allowed_scopes,
        "ways": [way for way, allowed in ways.items() if allowed],
        "max_ttl": policy.max_ttl,
        "require_acr": policy.require_acr,
        "require_may_act": policy.require_may_act,
        "may_act": policy.may_act,
        "mode": policy.mode,
        "per_minute": policy.per_minute,
        "owner": policy.owner,
        "review_by": None if policy.review_by is None else policy.review_by.isoformat(),
        "review_overdue": policy.overdue(today),
    }
