"""What a worker knows of the keys for at most a second, and what follows from it at a given moment."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field

from idp.jose.keys import KeySet
from idp.keys import schedule
from idp.store.signing_key import SigningKey

MAX_AGE = dt.timedelta(seconds=1)
_KEPT_VIEWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The published keys at one moment, in the forms they are needed in."""

    kids: tuple[str, ...]
    jwks: list[dict[str, object]]
    document: bytes
    etag: str
    key_set: KeySet


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """All rows as read at one moment. Views are kept: they change only when a key comes or goes."""

    rows: tuple[SigningKey, ...]
    read_at: dt.datetime
    _views: dict[tuple[str, ...], View] = field(default_factory=dict)

    def fresh(self, now: dt.datetime, max_age: dt.timedelta) -> bool:
        """Say whether this may still be used; a clock that went back makes it old."""
        return dt.timedelta(0) <= now - self.read_at < max_age

    def signer(self, alg: str, now: dt.datetime) -> SigningKey | None:
        """Give the row of the key that signs now."""
        return schedule.signer(self.rows, alg, now)

    def published(self, now: dt.datetime) -> View:
        """Give the published keys."""
        return self._view(schedule.published(self.rows, now))

    def remembered(self, now: dt.datetime, memory: dt.timedelta) -> View:
        """Give the published keys and those removed within `memory`."""
        return self._view(schedule.remembered(self.rows, now, memory))

    def successor(self, rows: tuple[SigningKey, ...], now: dt.datetime) -> Snapshot:
        """Give a snapshot of newer rows that keeps what did not change."""
        views = dict(self._views) if len(self._views) <= _KEPT_VIEWS else {}
        return Snapshot(rows=rows, read_at=now, _views=views)

    def _view(self, rows: list[SigningKey]) -> View:
        kids = tuple(row.id for row in rows)
        found = self._views.get(kids)
        if found is None:
            found = self._views[kids] = _view(kids, [dict(row.public_jwk) for row in rows])
        return found


def _view(kids: tuple[str, ...], jwks: list[dict[str, object]]) -> View:
    document = json.dumps({"keys": jwks}, separators=(",", ":")).encode("ascii")
    etag = f'"{hashlib.sha256(document).hexdigest()[:32]}"'
    return View(kids=kids, jwks=jwks, document=document, etag=etag, key_set=KeySet.from_own(jwks))
