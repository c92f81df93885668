"""What a directory says, made true here: who is disabled or gone is closed, and groups become roles again.

Only people who have an account here are touched. Most looks ask for what has changed since the one before; everybody
is read when there is no such mark (the first time, another server, other settings or rules), once a day, and when
somebody says so. A look is read to its end before anybody is closed for being gone, one in which too many are gone is
not believed (a wrong base, an empty replica), and the mark moves only with what was applied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from idp.accounts import mapping
from idp.accounts.connectors import Ready
from idp.accounts.mapping import plain_dn
from idp.accounts.sync_report import Report
from idp.accounts.sync_round import LEASE, Lost, Progress, Round
from idp.accounts.sync_state import State
from idp.audit.log import AuditLog
from idp.federation.connector import Cannot, FollowedConnector, Look, NotSignedIn, SyncedConnector
from idp.store import connector as connectors
from idp.store import identity as store
from idp.store import lease
from idp.store.database import Database

__all__ = ["Report", "Sync"]

UNFINISHED: Final = "it broke off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Syncs connectors; of all workers one at a time does one."""

    db: Database
    audit: AuditLog
    holder: str
    clock: Callable[[], datetime]
    whole_every: timedelta = timedelta(days=1)

    def run(
        self,
        ready: Ready,
        *,
        dry: bool = False,
        force: bool = False,
        full: bool = False,
        progress: Progress | None = None,
    ) -> Report | None:
        """Sync one connector; None while another does."""
        directory = ready.connector
        if not isinstance(directory, SyncedConnector):
            return Report(trouble="this kind of connector cannot be read")
        name, now = f"sync:{ready.id}", self.clock()
        with self.db.write() as tx:
            if not lease.take(tx, name, self.holder, now, now + LEASE):
                return None
            last = connectors.sync(tx, ready.id)
            if not dry:
                connectors.sync_began(tx, ready.id, now)
        report = Report(trouble=UNFINISHED)
        work = self._round(ready, report, dry=dry, progress=progress)
        state = None if last is None else State.read(last.state)
        work.expected = 0 if state is None else state.people
        before = state if self._goes_on(last, state, work, now) and not full else None
        after: State | None = None
        try:
            after = self._look(directory, work, before, force=force)
            report.trouble = None if report.trouble is UNFINISHED else report.trouble
        except NotSignedIn as trouble:
            report.trouble = trouble.code
        except Lost:
            report.trouble = "another process has taken over"
        finally:
            self._ended(ready, report, after, dry=dry)
        return report

    def due(self, ready: Ready, every: timedelta) -> bool:
        """Say whether a connector was not looked at for so long."""
        with self.db.read() as tx:
            last = connectors.sync(tx, ready.id)
        return last is None or last.started_at + every <= self.clock()

    def _round(self, ready: Ready, report: Report, *, dry: bool, progress: Progress | None) -> Round:
        with self.db.read() as tx:
            rules = connectors.rules(tx, ready.id)
        return Round(
            db=self.db,
            audit=self.audit,
            holder=self.holder,
            clock=self.clock,
            ready=ready,
            report=report,
            rules=[rule for rule, _ in rules],
            role_names={role.id: role.name for _, role in rules},
            dry=dry,
            progress=progress,
        )

    def _goes_on(self, last: connectors.ConnectorSync | None, state: State | None, work: Round, now: datetime) -> bool:
        """Say whether this look can go on from where the one before it was."""
        if last is None or last.full_at is None or last.full_at + self.whole_every <= now:
            return False
        return state is not None and state.holds(work.ready, work.rules)

    def _look(self, directory: SyncedConnector, work: Round, before: State | None, *, force: bool) -> State | None:
        if not isinstance(directory, FollowedConnector):
            work.report.full = True
            work.take(directory.everybody())
            self._close(work, work.seen, force=force)
            return None
        now = self.clock()
        with directory.look(None if before is None else before.mark, now) as look:
            work.report.full = before is None or not look.follows or not self._follow(look, work, before, force=force)
            if work.report.full:
                work.begin_anew()
                work.take(look.everybody())
                self._close(work, work.seen, force=force)
            return State.after(look.mark(), now, work)

    def _follow(self, look: Look, work: Round, before: State, *, force: bool) -> bool:
        """Look at what has changed; false when that cannot be told."""
        work.watched |= before.groups
        with self.db.read() as tx:
            for groups in store.arrived(tx, work.ready.id, before.at):
                work.watched |= {plain_dn(group.key) for group in mapping.memberships(groups)}
        work.take(look.changed())
        try:
            self._follow_groups(look, work)
        except Cannot:
            return False
        gone = look.gone()
        if gone is None:
            self._close(work, set(look.ids()), force=force)
        else:
            missing = set(gone) - work.seen
            work.close(
                [each for each in work.roster() if each.external_id in missing and not each.closed] if missing else [],
                empty=False,
                force=force,
            )
        return True

    def _follow_groups(self, look: Look, work: Round) -> None:
        """Look at whoever is in a group that has changed and counts for something, and whoever was before."""
        touched = [
            climbed[0].key
            for climbed in list(look.changed_groups())
            if plain_dn(climbed[0].key) in work.watched or mapping.touches(work.rules, climbed)
        ]
        lost = work.watched - {plain_dn(key) for key in look.groups()} if work.watched else set()
        if touched:
            work.take(look.people_in(touched))
        concerned = lost | {plain_dn(key) for key in touched}
        if concerned:
            work.take(look.these(work.remembering(concerned)))
        work.watched -= lost

    def _close(self, work: Round, present: set[str], *, force: bool) -> None:
        missing = [each for each in work.roster() if each.external_id not in present and not each.closed]
        work.close(missing, empty=not present, force=force)

    def _ended(self, ready: Ready, report: Report, after: State | None, *, dry: bool) -> None:
        whole = report.trouble is None
        facts: dict[str, object] = {"full": whole and report.full}
        if whole:
            facts["state"] = None if after is None else after.written()
        with self.db.write() as tx:
            lease.give_back(tx, f"sync:{ready.id}", self.holder)
            if not dry:
                connectors.sync_ended(
                    tx, ready.id, self.clock(), counts=report.counts(), trouble=report.trouble, **facts
                )
