"""One round of a sync: people as they come from the directory, a batch at a time, each made true in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from idp.accounts import federated, mapping, standing
from idp.accounts.connectors import Ready
from idp.accounts.federated import Before
from idp.accounts.mapping import plain_dn
from idp.accounts.sync_report import Report
from idp.audit.log import AuditLog
from idp.federation.connector import Identity
from idp.store import connector as connectors
from idp.store import identity as store
from idp.store import lease
from idp.store.account import Account
from idp.store.database import Database, Session

BATCH: Final = 200
LEASE: Final = timedelta(minutes=5)
DAY: Final = timedelta(days=1)
MOST_GONE: Final = 0.1  # of all whose accounts are open, in a day; more is not believed
FEW: Final = 5  # so many may go in a day however few there are

Progress = Callable[[int, int], object]
"""Told how many were read, and of how many; 0: nobody knows."""


class Lost(Exception):
    """Another worker has taken over: this one was silent for too long."""


class Undone(Exception):
    """Rolls back what a dry run has done."""


@dataclass(slots=True, kw_only=True)
class Round:
    """What a round works with, and how far it is."""

    db: Database
    audit: AuditLog
    holder: str
    clock: Callable[[], datetime]
    ready: Ready
    report: Report
    rules: Sequence[connectors.ConnectorRule]
    role_names: dict[str, str]
    dry: bool
    progress: Progress | None = None
    expected: int = 0  # people, as far as an earlier look has counted them
    seen: set[str] = field(default_factory=set)  # the ids of whoever was looked at
    watched: set[str] = field(default_factory=set)  # the groups that count for something, in one spelling
    held_until: datetime | None = None

    def take(self, people: Iterable[Identity]) -> None:
        """Make true what the directory says of these people."""
        each = iter(people)
        while batch := list(islice(each, BATCH)):
            fresh = [who for who in batch if who.external_id not in self.seen]
            self.seen.update(who.external_id for who in fresh)
            self.report.read += len(fresh)
            with self.db.read() as tx:
                here = store.among(tx, self.ready.id, [who.external_id for who in fresh])
            known = [who for who in fresh if who.external_id in here]
            self.report.linked += len(known)
            if known:
                self._make_true(known)
            self.keep()
            if self.progress is not None:
                self.progress(self.report.read, self.expected if self.report.full else 0)

    def begin_anew(self) -> None:
        """Forget whom this round has looked at: everybody comes."""
        self.seen.clear()
        self.report.read = self.report.linked = 0
        if self.dry:
            self.report.changes.clear()

    def keep(self) -> None:
        """Keep the lease, or stop."""
        now = self.clock()
        if self.held_until is not None and now < self.held_until - LEASE / 2:
            return
        with self.db.write() as tx:
            self._hold(tx, now)

    def remembering(self, groups: set[str]) -> list[str]:
        """Return the ids of whoever has something by these groups and was not looked at."""
        return [
            each.external_id
            for each in self.roster()
            if each.external_id not in self.seen
            and any(plain_dn(group.key) in groups for group in mapping.memberships(each.groups))
        ]

    def roster(self) -> Iterator[store.Known]:
        """Give everybody who is linked."""
        after = ""
        while True:
            with self.db.read() as tx:
                page = store.roster(tx, self.ready.id, after=after)
            if not page:
                return
            yield from page
            after = page[-1].external_id

    def close(self, missing: Sequence[store.Known], *, empty: bool, force: bool) -> None:
        """Close who is not there any more, unless there are too many to be believed."""
        for each in missing:
            self.report.add("gone", each.username)
        with self.db.read() as tx:
            there = store.census(tx, self.ready.id, self.clock() - DAY)
        gone, total = len(missing) + there.gone, there.open + there.gone
        if missing and not force and (empty or gone > max(FEW, total * MOST_GONE)):
            within = f" within a day, {there.gone} of them before" if there.gone else ""
            self.report.trouble = f"{gone} of {total} people are gone{within}: not believed; look, then say --force"
            return
        if self.dry:
            return
        for start in range(0, len(missing), BATCH):
            now = self.clock()
            ids = [each.external_id for each in missing[start : start + BATCH]]
            with self.db.write() as tx:
                self._hold(tx, now)
                for link, account in store.among(tx, self.ready.id, ids).values():
                    # Who went with somebody's word does not count against those who go after them.
                    if standing.close(tx, link, account, now, gone=not force):
                        self._record(tx, "account.disabled", account.id, reason="gone")

    def _make_true(self, known: Sequence[Identity]) -> None:
        now = self.clock()
        try:
            with self.db.write() as tx:
                self._hold(tx, now)
                here = store.among(tx, self.ready.id, [who.external_id for who in known])
                links = [link.id for link, _ in here.values()]
                roles = store.roles_among(tx, links)
                for who in known:
                    if who.external_id in here:
                        link, account = here[who.external_id]
                        self._one(tx, who, link, Before(account=account, rules=self.rules, roles=roles[link.id]))
                # Last: a sign-in holds an account before its identity, and each would wait for the other.
                store.seen_together(tx, links, self.clock())
                _undo(when=self.dry)
        except Undone:
            return

    def _one(self, tx: Session, who: Identity, link: store.Identity, before: Before) -> None:
        now, account = self.clock(), before.account
        if account is not None:
            self._standing(tx, who, link, account, now)
        renewed = federated.take_over(tx, who, link, before, now)
        self.watched.update(plain_dn(group.key) for group in mapping.memberships(renewed.groups))
        if renewed.came or renewed.went:
            came, went = ([self.role_names.get(each, each) for each in ids] for ids in (renewed.came, renewed.went))
            self.report.add("roles", link.username, came=came, went=went)
            self._record(tx, "roles.changed", link.account_id, came=sorted(renewed.came), went=sorted(renewed.went))

    def _standing(self, tx: Session, who: Identity, link: store.Identity, account: Account, now: datetime) -> None:
        if standing.reopen(tx, link, account, who, now):
            self.report.add("reopened", account.username)
            self._record(tx, "account.enabled", account.id)
        if who.standing is not None and standing.close(tx, link, account, now):
            self.report.add("closed", account.username, who.standing.value)
            self._record(tx, "account.disabled", account.id, reason=who.standing.value)

    def _hold(self, tx: Session, now: datetime) -> None:
        if not lease.take(tx, f"sync:{self.ready.id}", self.holder, now, now + LEASE):
            raise Lost
        self.held_until = now + LEASE

    def _record(self, tx: Session, event: str, account_id: str, **detail: Any) -> None:
        self.audit.record(tx, event, account_id=account_id, actor=f"connector:{self.ready.name}", **detail)


def _undo(*, when: bool) -> None:
    if when:
        raise Undone
