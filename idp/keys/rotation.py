"""The keyring: the keys of this provider as every worker sees them, and the three ways they change.

The rows are the record. A change is made under one lock row, after looking again, so that any number of workers
that find the same key missing at once make exactly one. Key pairs are generated before the transaction, because
writers wait for each other.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from idp.audit.log import AuditLog
from idp.jose.keys import ALGS, KeySet, SigningKey
from idp.keys import schedule
from idp.keys.schedule import Birth, Rules
from idp.keys.snapshot import MAX_AGE, Snapshot
from idp.settings import Settings
from idp.store import lease, signing_key
from idp.store.database import Database, Session, StoreUnavailable
from idp.store.sealed import Sealer

TABLE, COLUMN = "signing_key", "private_sealed"
_LOCK = "signing-keys"
_ATTEMPTS = 5

Signers = Callable[[str], SigningKey]


class NoSigningKey(Exception):
    """An algorithm is asked for that the setting `signing_algs` does not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What somebody wants of the keys, beyond what the schedule wants anyway."""

    now: dt.datetime
    forced: frozenset[str] = frozenset()
    withdrawn: frozenset[str] = frozenset()
    actor: str | None = None


class Keyring:
    """Signing and verifying keys, at most a second behind the store."""

    def __init__(self, db: Database, sealer: Sealer, settings: Settings) -> None:
        self._db = db
        self._sealer = sealer
        self._rules = Rules.of(settings)
        # A key must be on show in every worker well within its lead, or gateways meet it only when it signs.
        self._max_age = min(MAX_AGE, self._rules.lead / 4)
        self._memory = settings.session_absolute
        self._snapshot: Snapshot | None = None
        self._opened: dict[str, SigningKey] = {}
        self._refreshing = threading.Lock()
        self._failures = 0

    @property
    def algs(self) -> frozenset[str]:
        """The algorithms a token of ours can have. All of them: each published key is pinned to its own."""
        return frozenset(ALGS)

    def signing(self, alg: str, now: dt.datetime) -> SigningKey:
        """Give the key that signs now."""
        return self.signers(now)(alg)

    def signers(self, now: dt.datetime) -> Signers:
        """Look once; what is returned names keys without the store, so a transaction may ask it."""
        seen = self._current(now)

        def signing(alg: str) -> SigningKey:
            row = seen.signer(alg, now)
            if row is None:
                raise NoSigningKey("signing_algs: this algorithm has no key")
            return self._opened.get(row.id) or self._open(row)

        return signing

    def public(self, now: dt.datetime) -> list[dict[str, object]]:
        """Give the published JWKs (RFC 7517 section 4)."""
        return [dict(jwk) for jwk in self._current(now).published(now).jwks]

    def jwks_document(self, now: dt.datetime) -> tuple[bytes, str]:
        """Give the JWK Set as it is served, with its ETag (RFC 7517 section 5, RFC 9110 section 8.8.3)."""
        view = self._current(now).published(now)
        return view.document, view.etag

    def verifying(self, now: dt.datetime) -> KeySet:
        """Give the keys that our own live tokens verify with."""
        return self._current(now).published(now).key_set

    def verifying_hints(self, now: dt.datetime) -> KeySet:
        """Give these and keys removed while a session may last: ID tokens serve as hints after their end."""
        return self._current(now).remembered(now, self._memory).key_set

    def ensure(self, now: dt.datetime) -> tuple[str, ...]:
        """Make what is missing and retire what was followed; safe at any time, in any number of workers."""
        return self._change(Change(now=now))

    def rotate(self, now: dt.datetime, *, actor: str | None = None) -> tuple[str, ...]:
        """Publish a next key for every algorithm that has none waiting; return the new kids."""
        return self._change(Change(now=now, forced=self.algs, actor=actor))

    def withdraw(self, kid: str, now: dt.datetime, *, actor: str | None = None) -> bool:
        """Take a key away at once and have another sign; false if it is unknown or was withdrawn before."""
        with self._db.read() as tx:
            row = signing_key.find(tx, kid)
        if row is None or row.withdrawn_at is not None:
            return False
        self._change(Change(now=now, withdrawn=frozenset({kid}), actor=actor))
        return True

    def withdraw_all(self, now: dt.datetime, *, actor: str | None = None) -> frozenset[str]:
        """Take every key away at once and have new ones sign, as after a restore; return the old kids."""
        kids = frozenset(row.id for row in self._rows() if row.withdrawn_at is None)
        self._change(Change(now=now, withdrawn=kids, actor=actor))
        return kids

    def listing(self, now: dt.datetime) -> list[tuple[signing_key.SigningKey, str]]:
        """Give every key there ever was with its state, oldest first; changes nothing."""
        with self._db.read() as tx:
            rows = signing_key.listing(tx)
        return [(row, schedule.state(row, rows, now)) for row in rows]

    def _current(self, now: dt.datetime) -> Snapshot:
        """Give the rows, read again after a second; whoever finds work to do then does it."""
        known = self._snapshot
        if known is not None and known.fresh(now, self._max_age):
            return known
        failures = self._failures
        with self._refreshing:
            known = self._snapshot
            if known is not None and known.fresh(now, self._max_age):
                return known
            if self._failures != failures:
                # Looking again one after the other would add up: the last of ten would wait for ten timeouts.
                raise StoreUnavailable("the store is not available", reason="another thread found so while we waited")
            try:
                return self._look(now)
            except StoreUnavailable:
                self._failures += 1
                raise

    def _look(self, now: dt.datetime) -> Snapshot:
        rows = self._rows()
        if schedule.births(rows, now, self._rules) or schedule.retirements(rows, now, self._rules):
            self._change(Change(now=now))
            rows = self._rows()
        return self._keep(rows, now)

    def _keep(self, rows: tuple[signing_key.SigningKey, ...], now: dt.datetime) -> Snapshot:
        kept = {row.id for row in rows if row.withdrawn_at is None and not schedule.removed(row, now)}
        self._opened = {kid: key for kid, key in self._opened.items() if kid in kept}
        known = self._snapshot
        fresh = Snapshot(rows=rows, read_at=now) if known is None else known.successor(rows, now)
        self._snapshot = fresh
        return fresh

    def _rows(self) -> tuple[signing_key.SigningKey, ...]:
        with self._db.read() as tx:
            return tuple(signing_key.listing(tx))

    def _open(self, row: signing_key.SigningKey) -> SigningKey:
        pem = self._sealer.open(TABLE, COLUMN, row.id, row.private_sealed)
        key = self._opened[row.id] = SigningKey.from_pem(pem, alg=row.alg, kid=row.id)
        return key

    def _change(self, change: Change) -> tuple[str, ...]:
        """Bring the rows to what is wanted, in one transaction that looks again."""
        for _ in range(_ATTEMPTS):
            needed = self._births(self._rows(), change)
            spare = {birth.alg: SigningKey.generate(birth.alg) for birth in needed}
            with self._db.write() as tx:
                made = self._commit(tx, change, spare)
            if made is not None:
                self._snapshot = None
                return made
        raise RuntimeError("signing keys keep changing under us")

    def _births(self, rows: Iterable[signing_key.SigningKey], change: Change) -> list[Birth]:
        left = [row for row in rows if row.id not in change.withdrawn]
        return schedule.births(left, change.now, self._rules, change.forced)

    def _commit(self, tx: Session, change: Change, spare: dict[str, SigningKey]) -> tuple[str, ...] | None:
        """Write the change, or None if by now more keys are missing than were generated."""
        # Everybody takes the same lease as the same holder: it never refuses, its row is a lock until the commit.
        lease.take(tx, _LOCK, _LOCK, change.now, change.now)
        needed = self._births(signing_key.listing(tx), change)
        if not all(birth.alg in spare for birth in needed):
            return None
        audit = AuditLog(lambda: change.now)
        for kid in sorted(change.withdrawn):
            if signing_key.withdraw(tx, kid, change.now):
                audit.record(tx, "key.withdrawn", actor=change.actor, kid=kid)
        for birth in needed:
            key = spare[birth.alg]
            self._create(tx, change.now, birth, key)
            audit.record(tx, "key.created", actor=change.actor, kid=key.kid, alg=key.alg, sign_from=birth.sign_from)
        for end in schedule.retirements(signing_key.listing(tx), change.now, self._rules):
            if signing_key.retire(tx, end.kid, retired_at=end.retired_at, remove_at=end.remove_at):
                audit.record(tx, "key.retired", kid=end.kid, remove_at=end.remove_at)
        return tuple(spare[birth.alg].kid for birth in needed)

    def _create(self, tx: Session, now: dt.datetime, birth: Birth, key: SigningKey) -> None:
        signing_key.create(
            tx,
            kid=key.kid,
            alg=key.alg,
            public_jwk=dict(key.public_jwk()),
            private_sealed=self._sealer.seal(TABLE, COLUMN, key.kid, key.private_pem()),
            now=now,
            publish_at=min(now, birth.sign_from),
            sign_from=birth.sign_from,
        )
