"""The sealer: of all workers one, by lease, numbers and chains the rows that came in."""

from __future__ import annotations

import datetime as dt

from idp.audit import chain
from idp.store import audit, lease
from idp.store.database import Database, Session
from idp.store.ids import new_id
from idp.store.sealed import Sealer

LEASE = "audit"
LEASE_TIME = dt.timedelta(seconds=10)
BATCH = 500
PURPOSE = "audit checkpoint"


class AuditSealer:
    """Chains what waits. Safe to run in every worker: the lease lets one of them through."""

    def __init__(self, db: Database, sealer: Sealer) -> None:
        self._db = db
        self._key = sealer.derive(PURPOSE)
        self._holder = new_id()

    def run(self, now: dt.datetime) -> int:
        """Chain everything that waits, a batch a transaction; return how many rows."""
        total = 0
        while True:
            with self._db.read() as tx:
                # Looked at before the lease is taken: a quiet second costs no write.
                if not audit.unsealed(tx, 1):
                    return total
            with self._db.write() as tx:
                # The lease row stays locked until the commit: two sealers cannot number the same rows.
                if not lease.take(tx, LEASE, self._holder, now, now + LEASE_TIME):
                    return total
                sealed = self._seal(tx, now)
            total += sealed
            if sealed < BATCH:
                return total

    def stop(self) -> None:
        """Give the lease back, so that another worker need not wait for it to run out."""
        with self._db.write() as tx:
            lease.give_back(tx, LEASE, self._holder)

    def _seal(self, tx: Session, now: dt.datetime) -> int:
        last = audit.head(tx)
        seq, chained = (0, chain.BEGINNING) if last is None else (last.seq or 0, last.hash or b"")
        places: list[audit.Place] = []
        for row in audit.unsealed(tx, BATCH):
            seq += 1
            chained = chain.link(chained, row, seq)
            places.append({"id": row.id, "seq": seq, "hash": chained})
        if places:
            audit.seal(tx, places)
            audit.add_checkpoint(tx, seq=seq, chained=chained, mac=chain.mac(self._key, seq, chained), at=now)
        return len(places)
