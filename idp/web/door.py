"""The door for names and passwords, and the browsers that it knows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flask import request

from idp.accounts.entrance import Entrance
from idp.accounts.local import LocalSignIn
from idp.accounts.new_password import NewPasswords
from idp.store import device
from idp.store.digests import digest
from idp.web import cookies
from idp.web.services import services

if TYPE_CHECKING:
    from datetime import datetime

    from flask import Response

    from idp.store.database import Session

DEVICE_LIFETIME: Final = timedelta(days=365)


def entrance() -> Entrance:
    """Return the door."""
    parts = services()
    local = LocalSignIn(db=parts.db, passwords=parts.passwords, throttle=parts.throttle, audit=parts.audit)
    return Entrance(local=local, connectors=parts.connectors)


def new_passwords() -> NewPasswords:
    """Return what changes passwords where they are kept."""
    return NewPasswords(entrance=entrance(), sessions=services().sessions, clock=services().clock)


def device_hash() -> bytes | None:
    """Return by what this browser may be known."""
    known = cookies.device_secret(request)
    return None if known is None else digest(known)


def remember(tx: Session, account_id: str, fresh: str, now: datetime) -> None:
    """Let an account know this browser by a fresh secret, as others may that know it already."""
    known = device_hash()
    if known is not None:
        # A secret planted in this browser before is worth nothing after.
        device.rotate(tx, known, digest(fresh))
    device.remember(tx, digest(fresh), account_id, now)


def set_device(response: Response, fresh: str) -> None:
    """Give the browser the secret by which it is known."""
    cookies.set_device(response, fresh, DEVICE_LIFETIME)
