"""Restoring a backup: what people have comes back, what they had used or lost does not.

A backup knows nothing of what happened after it. So everything that may be used once or revoked is left behind:
people sign in again, consent again and make new recovery codes; authenticators skip the present step; keys change.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, inspect, or_, select, update
from sqlalchemy.orm import Session

from idp.store import audit, copying, event, meta, migrate, used_jti
from idp.store.account import Account
from idp.store.backup import FORMAT, FORMAT_KEY, MADE_AT_KEY, MADE_FROM_KEY, BackupRefused
from idp.store.client import Client
from idp.store.copying import Progress, silent
from idp.store.database import Database
from idp.store.sealed import Sealer
from idp.store.signing_key import SigningKey
from idp.store.tables import metadata
from idp.store.totp import Totp
from idp.store.types import JsonObject

LEFT_BEHIND = frozenset(
    {
        "authorization_grant",
        "code",
        "connector_sync",
        "consent",
        "counter",
        "device",
        "event_stream",
        "event_waiting",
        "handshake",
        "invitation",
        "lease",
        "recovery_code",
        "reference_token",
        "refresh_token",
        "revoked_token",
        "session",
        "signin",
        "upstream_session",
        "used_jti",
    }
)
# A database that holds any of these is not empty.
WITNESSES = ("account", "client", "audit")
STEP_SECONDS = 30
BACKUP_FACTS = (FORMAT_KEY, MADE_AT_KEY, MADE_FROM_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came back."""

    made_at: str
    made_from: str
    epoch: int
    rows: dict[str, int]


def restore(
    db: Database,
    file: Path,
    sealer: Sealer,
    clock: Callable[[], dt.datetime],
    *,
    force: bool = False,
    actor: str | None = None,
    progress: Progress = silent,
) -> Restored:
    """Replace the database by a backup, in one transaction: it comes back whole or stays as it was."""
    with _opened(file) as source, migrate.alone(db.engine) as target:
        facts = _facts(source)
        _can_open(source, sealer)
        before = _replaced(target, force=force)
        migrate.rebuild(target)
        rows = copying.copy(source, target, without=LEFT_BEHIND, progress=progress)
        # Only now: what was done elsewhere while this copied must not count after it.
        now = clock()
        with Session(target, join_transaction_mode="rollback_only") as tx:
            epoch = max(before.epoch, meta.epoch(tx)) + 1
            _void(tx, now, epoch)
            _record(tx, now, actor, _told(facts, before, epoch))
            tx.flush()
    return Restored(made_at=facts[MADE_AT_KEY], made_from=facts[MADE_FROM_KEY], epoch=epoch, rows=rows)


@contextmanager
def _opened(file: Path) -> Iterator[Connection]:
    """Open a copy of the backup, brought to the tables of this version; the backup itself is only read."""
    if not file.is_file():
        raise BackupRefused(f"{file}: there is no such backup")
    _sound(file)
    with tempfile.TemporaryDirectory(prefix="idp-restore-") as folder:
        copy = Path(folder) / "backup.db"
        shutil.copyfile(file, copy)
        source = Database.open(f"sqlite:///{copy}")
        try:
            if migrate.current(source.engine) not in migrate.known():
                raise BackupRefused("this backup was made by a newer version")
            migrate.upgrade(source.engine)
            with source.engine.connect() as connection:
                yield connection
        finally:
            source.close()


def _sound(file: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{file.absolute()}?mode=ro", uri=True)) as opened:
            answer = opened.execute("PRAGMA integrity_check").fetchone()
            found = opened.execute("SELECT value FROM meta WHERE key = ?", (FORMAT_KEY,)).fetchone()
    except sqlite3.Error:
        raise BackupRefused(f"{file} is not a backup, or it is damaged") from None
    if answer != ("ok",) or found is None:
        raise BackupRefused(f"{file} is not a backup, or it is damaged")
    if found[0] != FORMAT:
        raise BackupRefused("this backup has a format of another version")


def _facts(source: Connection) -> dict[str, str]:
    rows = source.execute(select(meta.Meta.key, meta.Meta.value)).all()
    return {key: value for key, value in rows if key in BACKUP_FACTS}


def _can_open(source: Connection, sealer: Sealer) -> None:
    """Refuse a backup whose authenticators nobody could use: its master key is another one."""
    for sealed in source.scalars(select(Totp.seed_sealed)):
        if not sealer.knows(sealed):
            raise BackupRefused("this backup was sealed under a master key that is not in master_key_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What a restore replaces."""

    epoch: int
    audit_head: str | None


def _replaced(target: Connection, *, force: bool) -> _Before:
    if not inspect(target).has_table("alembic_version"):
        return _Before(epoch=0, audit_head=None)
    held = [name for name in WITNESSES if copying.count(target, metadata.tables[name])]
    if held and not force:
        raise BackupRefused("the database is not empty; to replace what it holds, say --force")
    with Session(target, join_transaction_mode="rollback_only") as tx:
        last = audit.head(tx)
        head = None if last is None else f"{last.seq}:{(last.hash or b'').hex()}"
        return _Before(epoch=meta.epoch(tx), audit_head=head)


def _void(tx: Session, now: dt.datetime, epoch: int) -> None:
    """Let nothing of before count: tokens, authenticator steps, signing keys, client assertions."""
    tx.execute(delete(meta.Meta).where(meta.Meta.key.in_(BACKUP_FACTS)))
    meta.put(tx, meta.EPOCH, str(epoch))
    moment = now.replace(microsecond=0)
    tx.execute(update(Account).values(not_before=moment))
    tx.execute(update(Client).values(not_before=moment))
    # A code seen before the restore must not fit after it: the present step and the next are spent.
    spent = int(now.timestamp()) // STEP_SECONDS + 1
    behind = or_(Totp.last_step.is_(None), Totp.last_step < spent)
    tx.execute(update(Totp).where(behind).values(last_step=spent))
    tx.execute(update(SigningKey).where(SigningKey.withdrawn_at.is_(None)).values(withdrawn_at=now))
    used_jti.refuse_until(tx, now + used_jti.LONGEST)
    event.tell(tx, "everything", (), now, reason="database restored", not_before=moment)


def _told(facts: dict[str, str], before: _Before, epoch: int) -> JsonObject:
    detail: JsonObject = {"epoch": epoch, "made_at": facts[MADE_AT_KEY]}
    if before.audit_head is not None:
        # The record that is replaced is gone; where it ended is kept, so that nobody can say it never was.
        detail["replaced_audit_head"] = before.audit_head
    return detail


def _record(tx: Session, now: dt.datetime, actor: str | None, detail: JsonObject) -> None:
    audit.append(
        tx,
        event="database.restored",
        at=now,
        actor=actor,
        account_id=None,
        client_id=None,
        ip=None,
        support_id=None,
        detail=detail,
    )
