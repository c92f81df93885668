"""How often a client may ask for exchanges: counted in the store before anything is looked at, whatever comes of it.

All workers count in one row, each time by one statement. PostgreSQL keeps it locked until the commit, so exchanges of
one client take turns: that is the price of never giving one too many.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from idp.protocol.errors import TooManyRequests
from idp.store import counter
from idp.store.database import Session

WINDOW: Final = timedelta(minutes=1)


def take(tx: Session, client_id: str, now: datetime, *, limit: int, audience: str = "") -> None:
    """Take one of the exchanges that a client has in a minute, at one target or at all; refuse when none is left."""
    key = _key("exchange", client_id, audience)
    if counter.take(tx, key, now, limit=limit, window=WINDOW):
        return
    # One of a minute is recorded: a client that asks in a loop must not fill the audit.
    first = counter.take(tx, _key("exchange refused", client_id, audience), now, limit=1, window=WINDOW)
    raise TooManyRequests("too many exchanges in a minute", retry_after=_left(tx, key, now), first=first)


def _left(tx: Session, key: str, now: datetime) -> int:
    """Say in how many seconds the minute is over (RFC 9110 section 10.2.3)."""
    left = (counter.began(tx, key) or now) + WINDOW - now
    return min(max(ceil(left.total_seconds()), 1), int(WINDOW.total_seconds()))


def _key(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode(errors="surrogatepass")).hexdigest()
