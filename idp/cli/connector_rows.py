"""What the commands on connectors share: finding one, showing it, opening its secrets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from idp.accounts.explaining import WORDS
from idp.cli.context import Context
from idp.cli.shown import stamp
from idp.federation.connector import Misconfigured
from idp.store import api, identity
from idp.store import connector as store
from idp.store.database import Session
from idp.store.sealed import Sealer, load_master_key


def facts_of(tx: Session, row: store.Connector) -> dict[str, object]:
    """Return what is shown of a connector in a line."""
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


def rules_of(tx: Session, row: store.Connector) -> list[str]:
    """Return the rules of a connector in the words of `idp connector map`."""
    audiences = {each.id: each.audience for each in api.listing(tx)}
    return [
        f"{WORDS[rule.match]}:{rule.pattern} -> {audiences[role.api_id]} {role.name}"
        for rule, role in store.rules(tx, row.id)
    ]


def find(tx: Session, name: str) -> store.Connector:
    """Return a connector, or say that there is none."""
    found = store.find(tx, name)
    if found is None:
        raise click.ClickException("no such connector; see `idp connector list`")
    return found


def refuse_declared(row: store.Connector | None) -> None:
    """Refuse to change what the settings file says."""
    if row is not None and row.declared and row.disabled_at is None:
        raise click.ClickException("this connector stands in the settings file; change it there")


def sealer_of(context: Context) -> Sealer:
    """Return what seals and opens the secrets of connectors."""
    return load_master_key(context.settings.master_key_file)


@contextmanager
def in_words() -> Iterator[None]:
    """Say what a connector cannot be made of."""
    try:
        yield
    except Misconfigured as trouble:
        raise click.ClickException(str(trouble)) from None
