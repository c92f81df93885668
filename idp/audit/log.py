"""Writing the audit: events with ids and words, never secrets."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Callable

from idp.store import audit
from idp.store.database import Session
from idp.store.types import JsonObject

LONGEST = 500
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
SECRETS = frozenset({"password", "secret", "client_secret", "code", "otp", "token", "access_token", "refresh_token"})


class AuditLog:
    """Records events at the time of its clock."""

    def __init__(self, clock: Callable[[], dt.datetime]) -> None:
        self._clock = clock

    def record(
        self,
        tx: Session,
        event: str,
        *,
        account_id: str | None = None,
        client_id: str | None = None,
        ip: str | None = None,
        actor: str | None = None,
        support_id: str | None = None,
        **detail: object,
    ) -> None:
        """Write one event into the transaction that makes it true."""
        if SECRETS & detail.keys():
            raise ValueError("the audit takes no secrets")
        audit.append(
            tx,
            event=event,
            at=self._clock(),
            actor=_text(actor),
            account_id=_text(account_id),
            client_id=_text(client_id),
            ip=_text(ip),
            support_id=_text(support_id),
            detail={name: _plain(value) for name, value in detail.items() if value is not None},
        )


def readable(text: str) -> str:
    """Write characters that a terminal or a log reader would obey as their escapes, and cut what is too long.

    Done when the row enters, so that every reader of it is safe: one event stays one record.
    """
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    if cut.isprintable():
        return cut  # nearly every text: nothing in it to escape
    return "".join(_escaped(letter) if unicodedata.category(letter) in UNSEEN else letter for letter in cut)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def _text(value: str | None) -> str | None:
    return None if value is None else readable(value)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dict):
        inner: JsonObject = {readable(str(name)): _plain(each) for name, each in value.items()}
        return inner
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(readable(str(each)) for each in value)
    return readable(str(value))
