"""The arithmetic of the chain: what a row hashes to, and what a checkpoint proves."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json

from idp.store.audit import AuditRow

BEGINNING = bytes(32)


def link(previous: bytes, row: AuditRow, seq: int) -> bytes:
    """Return the hash of a row in its place: SHA-256 over the hash before it and the row in canonical JSON."""
    facts = {
        "seq": seq,
        "id": row.id,
        "at": row.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "event": row.event,
        "actor": row.actor,
        "account_id": row.account_id,
        "client_id": row.client_id,
        "ip": row.ip,
        "support_id": row.support_id,
        "detail": row.detail,
    }
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(previous + canonical.encode("ascii")).digest()


def mac(key: bytes, seq: int, chained: bytes) -> bytes:
    """Return the code of a checkpoint. Whoever holds the database alone cannot make one, so cannot chain anew."""
    return hmac.digest(key, seq.to_bytes(8, "big") + chained, "sha256")


def mac_fits(key: bytes, seq: int, chained: bytes, given: bytes) -> bool:
    """Check the code of a checkpoint in constant time."""
    return hmac.compare_digest(mac(key, seq, chained), given)
