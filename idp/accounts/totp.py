"""Second factor by authenticator app (RFC 6238). The only door to pyotp.

A code is accepted once: its time step is claimed by a conditional UPDATE, so workers cannot both take it.
"""

from __future__ import annotations

import base64
import enum
import hmac
from dataclasses import dataclass
from datetime import datetime

import pyotp
import segno

from idp.accounts import normalise
from idp.store import account as accounts
from idp.store import totp as store
from idp.store.database import Session
from idp.store.ids import new_id
from idp.store.sealed import Sealer

PERIOD = 30
WINDOW = 1  # steps to either side: RFC 6238 section 5.2 allows for the clock of a phone
SEED_BYTES = 20  # RFC 4226 section 4, R6: 160 bits, what every app understands
SEALED = ("totp", "seed_sealed")
LABEL = "Authenticator app"
MISSES = 20  # P <= 6e-5 of a lucky guess at three codes a try


class Outcome(enum.Enum):
    """What came of a code."""

    ACCEPTED = "accepted"
    WRONG = "wrong"
    USED = "used"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A seed that is offered, not yet kept."""

    secret: str
    uri: str
    svg: str

    @property
    def grouped(self) -> str:
        """The secret in groups of four, for typing it in."""
        return " ".join(self.secret[at : at + 4] for at in range(0, len(self.secret), 4))


def begin(sealer: Sealer, *, signin_id: str, account_id: str, username: str, issuer_name: str) -> Enrolment:
    """Offer a seed to one account in one sign-in.

    Derived, not stored: loading the page again shows the same picture and writes nothing, and no other sign-in
    can learn or plant the seed.
    """
    seed = hmac.digest(sealer.derive("totp enrolment"), f"{signin_id}\x00{account_id}".encode(), "sha256")[:SEED_BYTES]
    secret = base64.b32encode(seed).decode()
    uri = pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=issuer_name)
    # Light ground painted in: a dark page would otherwise show an inverted code that few apps read.
    svg = segno.make_qr(uri, error="m").svg_inline(scale=4, omitsize=True, svgclass="qr", lineclass=None, light="#fff")
    return Enrolment(secret=secret, uri=uri, svg=svg)


def confirm(tx: Session, sealer: Sealer, account_id: str, *, enrolment: Enrolment, typed: str, now: datetime) -> bool:
    """Keep the offered seed once a code proves that the app has it; that code counts as used (ASVS 6.5.1).

    Only a first factor comes about this way: the account is held, so of two parallel enrolments one is refused.
    """
    step = _step(enrolment.secret, typed, now)
    accounts.hold(tx, account_id)
    if step is None or store.confirmed(tx, account_id):
        return False
    row = new_id()
    sealed = sealer.seal(*SEALED, row, base64.b32decode(enrolment.secret))
    store.create(tx, totp_id=row, account_id=account_id, label=LABEL, seed_sealed=sealed, now=now)
    return store.confirm(tx, row, step, now)


def check(tx: Session, sealer: Sealer, account_id: str, *, typed: str, now: datetime, limit: int = MISSES) -> Outcome:
    """Check a code of an enrolled account and use it up."""
    # Held until the commit: parallel guesses are counted one after the other and cannot outrun the limit.
    factors = [factor for factor in store.hold(tx, account_id) if factor.locked_at is None]
    if not factors:
        return Outcome.LOCKED
    outcome = Outcome.WRONG
    for factor in factors:
        seed = sealer.open(*SEALED, factor.id, factor.seed_sealed)
        step = _step(base64.b32encode(seed).decode(), typed, now)
        if step is not None and store.claim_step(tx, factor.id, step, now):
            return Outcome.ACCEPTED
        outcome = Outcome.USED if step is not None else outcome
    for factor in factors:
        store.fail(tx, factor.id, now, limit=limit)
    return outcome


def _step(secret: str, typed: str, now: datetime) -> int | None:
    """Return the time step whose code was typed."""
    code = normalise.otp(typed)
    if code is None:
        return None
    generator, present = pyotp.TOTP(secret), int(now.timestamp()) // PERIOD
    for step in (present, present - WINDOW, present + WINDOW):
        if hmac.compare_digest(generator.generate_otp(step), code):
            return step
    return None
