"""What operators do to an account, each with everything that must go with it."""

from __future__ import annotations

import json
import re
from datetime import datetime

from idp.accounts.sessions import Sessions
from idp.accounts.throttle import Throttle
from idp.protocol.claims import ADDRESS, BOOLEANS, STANDARD
from idp.store import account as store
from idp.store import device, identity, session, totp
from idp.store.account import Account
from idp.store.database import Session
from idp.store.session import BrowserSession

# Kept as columns of their own, or computed.
NOT_CLAIMS = frozenset({"email", "email_verified", "updated_at", "preferred_username"})
CHANGED = "password changed"
CLAIMS = tuple(name for name in STANDARD if name not in NOT_CLAIMS)


LONGEST_NAME = 100
LONGEST_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, less the brackets
EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")


class BadClaim(ValueError):
    """The claim is not one of the standard ones, or its value has another shape."""


def name_problem(username: str, email: str | None) -> str | None:
    """Say what is wrong with the names of a new account: they are typed, shown and logged everywhere."""
    if not 0 < len(username) <= LONGEST_NAME or not username.isprintable() or username != username.strip():
        return f"user name: 1 to {LONGEST_NAME} characters that can be shown, without space around"
    if email is not None and (EMAIL.fullmatch(email) is None or len(email) > LONGEST_EMAIL):
        return "e-mail: an address such as ada@example.org"
    return None


def change_password(
    tx: Session, account: Account, password_hash: str, now: datetime, *, sessions: Sessions, throttle: Throttle
) -> None:
    """Set a password and end everything that the old one opened."""
    store.set_password(tx, account.id, password_hash, now)
    end_what_it_opened(tx, account.id, now, sessions=sessions, throttle=throttle)


def end_what_it_opened(
    tx: Session,
    account_id: str,
    now: datetime,
    *,
    sessions: Sessions,
    throttle: Throttle,
    keep: BrowserSession | None = None,
) -> None:
    """End everything that a former password opened, but perhaps the session in use (ASVS 5.0 section 7.4.3)."""
    if keep is None:
        sessions.end_all(tx, account_id, now, reason=CHANGED)
    else:
        sessions.end_others(tx, keep, now, reason=CHANGED)
    # Whoever guessed the old password may have signed in with it: no device is known any more.
    device.forget(tx, account_id)
    throttle.unlock(tx, account_id)


def disable(tx: Session, account: Account, now: datetime) -> None:
    """Close an account and end its sessions and tokens (ASVS 5.0 section 7.4.2). No directory opens it again."""
    store.disable(tx, account.id, now)
    session.end_account(tx, account.id, now)
    identity.settled(tx, account.id)


def enable(tx: Session, account: Account, now: datetime) -> None:
    """Open an account again; a directory that has it closed closes it when it next says so."""
    store.enable(tx, account.id, now)
    identity.settled(tx, account.id)


def remove_factors(tx: Session, account: Account, now: datetime, *, sessions: Sessions) -> int:
    """Take every authenticator and recovery code away, and end the sessions they had raised; return how many."""
    factors = totp.confirmed(tx, account.id)
    for factor in factors:
        totp.remove(tx, factor.id)
    totp.discard_pending(tx, account.id)
    totp.replace_recovery_codes(tx, account.id, (), now)
    sessions.end_all(tx, account.id, now, reason="second factor reset")
    return len(factors)


def unlock(tx: Session, account: Account, *, throttle: Throttle) -> None:
    """Forget failed tries of password and codes."""
    throttle.unlock(tx, account.id)
    totp.unlock(tx, account.id)


def claim(name: str, text: str) -> object:
    """Read the value of a standard claim as its type demands (OpenID Connect Core section 5.1)."""
    if name not in CLAIMS:
        raise BadClaim(f"not a claim that can be set here; one of: {', '.join(CLAIMS)}")
    if name in BOOLEANS:
        if text not in {"true", "false"}:
            raise BadClaim(f"{name} is true or false")
        return text == "true"
    return _address(text) if name == "address" else text


def _address(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(key in ADDRESS and isinstance(value[key], str) for key in value):
        raise BadClaim(f"address is a JSON object of texts named {', '.join(ADDRESS)}")
    return value
