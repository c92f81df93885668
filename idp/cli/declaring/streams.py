"""`idp gateway streams`: which gateways hear what is revoked, and how far each of them is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from idp.cli.context import opened
from idp.cli.shown import show, stamp, table
from idp.store import event

COLUMNS = ("client id", "stream", "waiting", "lag seconds", "acknowledged until", "last asked")


def streams(config: Path | None, *, as_json: bool) -> None:
    """List every stream. What has no end is acknowledged to this moment."""
    with opened(config) as context, context.db.read() as tx:
        rows = [_row(each, context.now) for each in event.standing(tx)]
    show({"streams": rows}, as_json=as_json, told_as=lambda: table("Gateways that listen", COLUMNS, rows))


def _row(each: event.Standing, now: dt.datetime) -> dict[str, object]:
    return {
        "client_id": each.stream.client_id,
        "stream": each.stream.name,
        "waiting": each.waiting,
        "lag_seconds": round(each.lag(now).total_seconds(), 1),
        "acknowledged_until": stamp(each.oldest) or "everything",
        "last_asked": stamp(each.stream.seen_at),  # written once a minute
        "opened": stamp(each.stream.created_at),
    }
