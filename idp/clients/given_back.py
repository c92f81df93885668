"""Access tokens that a client gives back one by one (RFC 7009): every gateway remembers each until it would expire.

A hostile client could fetch and give back without end, and fill the memory of all gateways. So there is a number of
single tokens in the time that one may live; whoever goes beyond it gives back everything that it has, in one entry, and
again at most once a second. No token that was given back lives on for that: an entry for all covers it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from idp.protocol import subject
from idp.protocol.security_event import Kind
from idp.store import counter, event, grant, token
from idp.store.database import Session

OF_PERSON: Final = 1_000  # of one person and one client
OF_SERVICE: Final = 10_000  # of a service that acts for itself, or for others by exchange
REASON: Final = "too many tokens given back"
_SECOND: Final = timedelta(seconds=1)


def give_back(tx: Session, claims: Mapping[str, object], now: datetime, *, window: timedelta) -> bool:
    """Revoke a token of the client itself; tell whether it was still one that counts alone. Twice is once."""
    jti, ends = str(claims["jti"]), datetime.fromtimestamp(float(str(claims["exp"])), UTC)
    if not token.put(tx, jti, expires_at=ends, now=now):
        return True
    kind, owner, most = _owner(claims)
    names = (kind, owner, str(claims["client_id"]))
    if counter.take(tx, _key("given back", *names), now, limit=most, window=window):
        token.tell(tx, jti, expires_at=ends, now=now)
        return True
    # What else of this grant there is would end a moment later anyway, and the client begins anew with the person.
    if kind == "account" and "grant_id" in claims:
        grant.revoke(tx, str(claims["grant_id"]), now, reason=REASON)
    # Who was told of within this second is covered: the entry is good for the next one too.
    if counter.take(tx, _key("given back whole", *names), now, limit=1, window=_SECOND):
        event.tell(tx, kind, [owner], now, reason=REASON, not_before=now.replace(microsecond=0) + 2 * _SECOND)
    return False


def _owner(claims: Mapping[str, object]) -> tuple[Kind, str, int]:
    """Say whose tokens go together: a client must harm nobody but itself, and a person nobody but themselves."""
    client_id, sub = str(claims["client_id"]), str(claims["sub"])
    if subject.links(claims):  # exchanged: the person has tokens at other clients, which are none of its business
        return "client", client_id, OF_SERVICE
    return "account", sub, OF_SERVICE if sub == client_id else OF_PERSON


def _key(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode(errors="surrogatepass")).hexdigest()
