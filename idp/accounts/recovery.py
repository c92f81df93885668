"""Recovery codes: ten, single use, shown once, kept as digests (ASVS 5.0 section 6.5.2)."""

from __future__ import annotations

import secrets
from datetime import datetime

from idp.accounts import normalise
from idp.store import totp as store
from idp.store.database import Session
from idp.store.digests import digest

COUNT = 10
# 24 of 32 letters are 120 random bits: above 112 a plain digest may stand for a code.
LENGTH = 24
GROUP = 4
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u


def issue(tx: Session, account_id: str, now: datetime) -> list[str]:
    """Replace an account's recovery codes and return the new ones, as people read them."""
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(COUNT)]
    store.replace_recovery_codes(tx, account_id, [digest(code) for code in codes], now)
    return ["-".join(code[at : at + GROUP] for at in range(0, LENGTH, GROUP)) for code in codes]


def use(tx: Session, account_id: str, typed: str, now: datetime) -> bool:
    """Use one code up; the second of two parallel tries gets nothing."""
    return store.claim_recovery_code(tx, account_id, digest(normalise.recovery_code(typed)), now)


def left(tx: Session, account_id: str) -> int:
    """Count the codes that still open."""
    return store.recovery_codes_left(tx, account_id)
