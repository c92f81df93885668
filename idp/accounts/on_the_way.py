"""People on their way to another provider and back: what has to match is sealed here until their browser returns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from idp.accounts.connectors import Ready
from idp.federation.connector import Handshake, Identity, Membership
from idp.store import handshake as store
from idp.store.database import Session
from idp.store.digests import digest
from idp.store.ids import new_id
from idp.store.sealed import Sealer

TABLE = "handshake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """Somebody's browser is back, with what it left with."""

    handshake_id: str
    signin_id: str | None
    session_id: str | None
    kept: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Somebody from elsewhere who may be linked to the account that signs in here."""

    handshake_id: str
    connector_id: str
    who: Identity


def leave(
    tx: Session,
    sealer: Sealer,
    ready: Ready,
    shake: Handshake,
    *,
    flow: str,
    signin_id: str | None = None,
    session_id: str | None = None,
    now: datetime,
) -> None:
    """Keep what has to match on the way back: into a sign-in, or to the account of a session."""
    row_id = new_id()
    store.begin(
        tx,
        handshake_id=row_id,
        state_hash=digest(shake.kept["state"]),
        flow_hash=digest(flow),
        connector_id=ready.id,
        signin_id=signin_id,
        session_id=session_id,
        kept_sealed=sealer.seal(TABLE, "kept_sealed", row_id, json.dumps(dict(shake.kept)).encode()),
        now=now,
    )


def come_back(tx: Session, sealer: Sealer, ready: Ready, *, state: str, flow: str, now: datetime) -> Returned | None:
    """Use up what was kept: once, in the browser that left, for the connector it left by (FD15, FD20)."""
    row = store.claim(tx, state_hash=digest(state), flow_hash=digest(flow), connector_id=ready.id, now=now)
    if row is None or row.kept_sealed is None:
        return None
    kept = json.loads(sealer.open(TABLE, "kept_sealed", row.id, row.kept_sealed))
    return Returned(handshake_id=row.id, signin_id=row.signin_id, session_id=row.session_id, kept=kept)


def wait(tx: Session, sealer: Sealer, handshake_id: str, who: Identity) -> None:
    """Remember somebody until they have signed in here and say whether to link."""
    told = json.dumps(asdict(who), default=str).encode()
    store.keep_who(tx, handshake_id, sealer.seal(TABLE, "who_sealed", handshake_id, told))


def waiting(
    tx: Session, sealer: Sealer, now: datetime, *, signin_id: str | None = None, session_id: str | None = None
) -> Waiting | None:
    """Return who waits in a sign-in, or in a session."""
    row = store.waiting(tx, now, signin_id=signin_id, session_id=session_id)
    if row is None or row.who_sealed is None:
        return None
    told = json.loads(sealer.open(TABLE, "who_sealed", row.id, row.who_sealed))
    groups = tuple(Membership(**each) for each in told.pop("groups"))
    who = Identity(**{**told, "groups": groups, "amr": tuple(told["amr"])})
    return Waiting(handshake_id=row.id, connector_id=row.connector_id, who=who)
