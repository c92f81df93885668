"""What a directory says, made true here: who is disabled or gone is closed, and groups become roles again.

The whole directory is read, a page at a time, and only people who have an account here are touched. It is read to its
end before anybody is closed for being gone, and a look in which too many are gone is not believed (a wrong base, an
empty replica).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from idp.accounts import federated
from idp.accounts.connectors import Ready
from idp.audit.log import AuditLog
from idp.federation.connector import Identity, NotSignedIn, SyncedConnector
from idp.store import connector as connectors
from idp.store import identity as store
from idp.store import lease
from idp.store.account import Account
from idp.store.database import Database, Session

BATCH: Final = 200
LEASE: Final = timedelta(minutes=5)
MOST_GONE: Final = 0.1  # of all who are linked; more is not believed
FEW: Final = 5  # so many may go however few there are

Progress = Callable[[int], object]


@dataclass(slots=True, kw_only=True)
class Report:
    """What a sync found, or would do. Names are for the operator who looks before it happens."""

    read: int = 0
    linked: int = 0
    closed: list[str] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    trouble: str | None = None

    def counts(self) -> dict[str, object]:
        """Return the figures."""
        lists = {"closed": self.closed, "reopened": self.reopened, "gone": self.gone, "roles": self.roles}
        return {"read": self.read, "linked": self.linked, **{name: len(each) for name, each in lists.items()}}


class Undone(Exception):
    """Rolls back what a dry run has done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Syncs connectors; of all workers one at a time does one."""

    db: Database
    audit: AuditLog
    holder: str
    clock: Callable[[], datetime]

    def run(
        self, ready: Ready, *, dry: bool = False, force: bool = False, progress: Progress | None = None
    ) -> Report | None:
        """Sync one connector; None while another does."""
        directory = ready.connector
        if not isinstance(directory, SyncedConnector):
            return Report(trouble="this kind of connector cannot be read")
        name = f"sync:{ready.id}"
        with self.db.write() as tx:
            now = self.clock()
            if not lease.take(tx, name, self.holder, now, now + LEASE):
                return None
            if not dry:
                connectors.sync_began(tx, ready.id, now)
        report = Report()
        try:
            seen = self._read(ready, directory, report, dry=dry, progress=progress)
            self._gone(ready, seen, report, dry=dry, force=force)
        except NotSignedIn as trouble:
            report.trouble = trouble.code
        finally:
            with self.db.write() as tx:
                lease.give_back(tx, name, self.holder)
                if not dry:
                    connectors.sync_ended(tx, ready.id, self.clock(), counts=report.counts(), trouble=report.trouble)
        return report

    def due(self, ready: Ready, every: timedelta) -> bool:
        """Say whether a connector was not looked at for so long."""
        with self.db.read() as tx:
            last = connectors.sync(tx, ready.id)
        return last is None or last.started_at + every <= self.clock()

    def _read(
        self, ready: Ready, directory: SyncedConnector, report: Report, *, dry: bool, progress: Progress | None
    ) -> set[str]:
        seen: set[str] = set()
        for batch in _batches(directory.everybody()):
            report.read += len(batch)
            seen.update(who.external_id for who in batch)
            with self.db.read() as tx:
                here = store.among(tx, ready.id, [who.external_id for who in batch])
            known = [who for who in batch if who.external_id in here]
            report.linked += len(known)
            if known:
                self._apply(ready, known, report, dry=dry)
            if progress is not None:
                progress(report.read)
        return seen

    def _apply(self, ready: Ready, known: Sequence[Identity], report: Report, *, dry: bool) -> None:
        now = self.clock()
        try:
            with self.db.write() as tx:
                lease.take(tx, f"sync:{ready.id}", self.holder, now, now + LEASE)
                here = store.among(tx, ready.id, [who.external_id for who in known])
                for who in known:
                    if who.external_id in here:
                        self._one(tx, ready, who, here[who.external_id], report)
                _undo(when=dry)
        except Undone:
            return

    def _one(
        self, tx: Session, ready: Ready, who: Identity, here: tuple[store.Identity, Account], report: Report
    ) -> None:
        now = self.clock()
        link, account = here
        if federated.reopen(tx, link, account, who, now):
            report.reopened.append(account.username)
            self._record(tx, "account.enabled", account.id, ready)
        if who.standing is not None and federated.close(tx, link, account, now):
            report.closed.append(account.username)
            self._record(tx, "account.disabled", account.id, ready, reason=who.standing.value)
        came, went = federated.renew(tx, ready, who, link, now)
        if came or went:
            report.roles.append(account.username)
            self._record(tx, "roles.changed", account.id, ready, came=sorted(came), went=sorted(went))

    def _gone(self, ready: Ready, seen: set[str], report: Report, *, dry: bool, force: bool) -> None:
        missing: list[store.Identity] = []
        after, total = "", 0
        while True:
            with self.db.read() as tx:
                page = store.page(tx, ready.id, after=after)
            if not page:
                break
            total += len(page)
            after = page[-1].external_id
            missing += [each for each in page if each.external_id not in seen and each.closed_at is None]
        report.gone = [each.username for each in missing]
        if missing and not force and (report.read == 0 or len(missing) > max(FEW, total * MOST_GONE)):
            report.trouble = f"{len(missing)} of {total} people are gone: not believed; look, then say --force"
            return
        if dry:
            return
        for start in range(0, len(missing), BATCH):
            now = self.clock()
            ids = [each.external_id for each in missing[start : start + BATCH]]
            with self.db.write() as tx:
                for link, account in store.among(tx, ready.id, ids).values():
                    if federated.close(tx, link, account, now):
                        self._record(tx, "account.disabled", account.id, ready, reason="gone")

    def _record(self, tx: Session, event: str, account_id: str, ready: Ready, **detail: Any) -> None:
        self.audit.record(tx, event, account_id=account_id, actor=f"connector:{ready.name}", **detail)


def _undo(*, when: bool) -> None:
    if when:
        raise Undone


def _batches(everybody: Iterator[Identity]) -> Iterator[list[Identity]]:
    while batch := list(islice(everybody, BATCH)):
        yield batch
