"""`idp audit`: read the record, and prove that nobody changed it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from idp.audit.seal import AuditSealer
from idp.audit.verify import Report, verify
from idp.cli.db import opened
from idp.cli.key import answer, config_option, json_option, load, moment
from idp.store import audit
from idp.store.audit import AuditRow
from idp.store.database import Database
from idp.store.sealed import Sealer, load_master_key


@click.group(name="audit")
def cli() -> None:
    """The record of what happened."""


@cli.command(name="verify")
@click.option("--expect", metavar="SEQ:HASH", help="A head noted earlier, which must lie on the chain.")
@config_option
@json_option
def verify_(expect: str | None, config: Path | None, *, as_json: bool) -> None:
    """Walk the chain from the beginning and name every row that is not what was sealed."""
    settings = load(config)
    with opened(settings) as database:
        report = _walk(database, load_master_key(settings.master_key_file), expect, quiet=as_json)
    if as_json:
        problems = [{"seq": each.seq, "id": each.row_id, "problem": each.text} for each in report.problems]
        answer(
            {"intact": report.intact, "rows": report.rows, "waiting": report.waiting, "head": report.head}
            | {"problems": problems}
        )
    else:
        _tell(report)
    if not report.intact:
        raise SystemExit(1)


@cli.command(name="tail")
@click.option("-n", "--lines", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many events.")
@click.option("-f", "--follow", is_flag=True, help="Go on as events come in; end with Ctrl-C.")
@config_option
@json_option
def tail(lines: int, config: Path | None, *, follow: bool, as_json: bool) -> None:
    """Show the newest events, one to a line."""
    with opened(load(config)) as database:
        last = _show(database, lines, "", as_json=as_json)
        while follow:
            time.sleep(1)
            last = _show(database, 10_000, last, as_json=as_json)


def _walk(database: Database, sealer: Sealer, expect: str | None, *, quiet: bool) -> Report:
    # What waits is sealed first: the report is then about everything up to now.
    AuditSealer(database, sealer).run(moment())
    console = Console(stderr=True)
    shown = Progress(console=console, transient=True, disable=quiet or not console.is_terminal)
    with shown, database.read() as tx:
        last = audit.head(tx)
        task = shown.add_task("Verifying", total=(last.seq if last else 0) or 1)
        return verify(tx, sealer, expected=expect, progress=lambda rows: shown.update(task, completed=rows))


def _tell(report: Report) -> None:
    for each in report.problems:
        click.echo(f"- seq {each.seq}, row {each.row_id or 'gone'}: {each.text}")
    if report.intact:
        click.echo(f"Intact: {report.rows:,} rows.")
    else:
        click.echo(f"NOT intact: {len(report.problems)} problems in {report.rows:,} rows.")
    if report.waiting:
        click.echo(f"{report.waiting:,} rows wait for the sealer and prove nothing yet.")
    click.echo(f"Head {report.head}")
    click.echo("Note the head outside of this machine: later, `idp audit verify --expect` finds even a cut-off end.")


def _show(database: Database, lines: int, last: str, *, as_json: bool) -> str:
    with database.read() as tx:
        rows = audit.recent(tx, lines, after=last)
    for row in rows:
        click.echo(json.dumps(_facts(row)) if as_json else _line(row))
    return rows[-1].id if rows else last


def _facts(row: AuditRow) -> dict[str, object]:
    return {
        "id": row.id,
        "seq": row.seq,
        "at": row.at.isoformat(),
        "event": row.event,
        "actor": row.actor,
        "account_id": row.account_id,
        "client_id": row.client_id,
        "ip": row.ip,
        "support_id": row.support_id,
        "detail": row.detail,
    }


def _line(row: AuditRow) -> str:
    subjects = {"account": row.account_id, "client": row.client_id, "ip": row.ip, "by": row.actor}
    subjects["number"] = row.support_id  # what a page has shown to whoever was refused
    told = " ".join(f"{name}={value}" for name, value in subjects.items() if value)
    detail = json.dumps(row.detail, ensure_ascii=False) if row.detail else ""
    return f"{row.at:%Y-%m-%d %H:%M:%S} {row.event} {told} {detail}".rstrip()
