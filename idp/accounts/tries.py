"""How often the password of somebody in a directory is tried from here.

By the person, whatever spelling of their name was typed: we stop before the directory would lock them (FD10). The last
tries are kept for devices that know the person: no stranger can hold them back there (LG7).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from idp.accounts.connectors import Ready
from idp.accounts.local import Attempt, LocalSignIn
from idp.accounts.throttle import Try
from idp.federation.connector import TELLING, FinerConnector, MayTry, NotSignedIn, Outcome, PasswordConnector
from idp.store import counter, device
from idp.store.account import Account
from idp.store.database import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """Somebody at the door: what they brought, whom their name means here, and the try that was counted."""

    attempt: Attempt
    account: Account | None
    taken: Try
    now: datetime


@dataclass(slots=True, kw_only=True)
class Count:
    """What a try at one directory has taken: from whoever tries, and from the person there if one has the name."""

    taken: Try
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """Counts tries at directories, each before its password leaves."""

    local: LocalSignIn

    def counted(self, ready: Ready, directory: PasswordConnector, count: Count, knock: Knock) -> MayTry:
        """Count a try of one person in the directory before the password leaves for it."""

        def may_try(external_id: str) -> bool:
            everybodys, strangers = (_key(kind, ready.id, external_id) for kind in ("directory", "strangers"))
            count.keys = (everybodys, strangers)
            tries, seconds = directory.tries, directory.tries_window
            if isinstance(directory, FinerConnector):
                tries, seconds = directory.tries_of(external_id)

            def take(key: str, limit: int) -> bool:
                window = timedelta(seconds=seconds)
                return counter.take(tx, key, knock.now, limit=limit, window=window, from_last=True)

            with self.local.db.write() as tx:
                owner = self._owner(tx, ready, external_id, knock)
                if knock.taken.refusal is not None and not self._wait_is_not_theirs(tx, owner, count, knock):
                    return False
                # The strangers' share first: what they may not try takes nothing from those who are known.
                return (owner is not None or take(strangers, tries - kept(tries))) and take(everybodys, tries)

        return may_try

    def _owner(self, tx: Session, ready: Ready, external_id: str, knock: Knock) -> str | None:
        """Return the account of the person in the directory, if it knows this device."""
        cookie, account = knock.attempt.device_hash, knock.account
        if cookie is None:
            return None
        return device.owner(tx, cookie, ready.id, external_id, "" if account is None else account.id)

    def _wait_is_not_theirs(self, tx: Session, owner: str | None, count: Count, knock: Knock) -> bool:
        """Say whether whoever tries may go on though their name must wait; a device that knows them counts by itself.

        The name alone did not tell whose it is: a directory has many for one person.
        """
        if owner is None or knock.attempt.device_hash is None:
            return False
        own = self.local.throttle.take_on_device(tx, knock.attempt.device_hash, owner, knock.now)
        if own is not None:
            count.taken = replace(own, returned=knock.taken.returned)
        return own is not None

    def give_back(self, refused: NotSignedIn, count: Count) -> None:
        """What the directory did not take for a wrong password is no failed try."""
        if refused.outcome is Outcome.UNAVAILABLE:
            count.keys = ()  # nobody knows whether it has counted
        if refused.outcome in TELLING:
            self.no_failure(count)

    def no_failure(self, count: Count) -> None:
        """Take back what was counted."""
        with self.local.db.write() as tx:
            self.local.throttle.unevaluated(tx, count.taken)
            for key in count.keys:
                counter.reset(tx, key)

    def no_guess(self, tx: Session, keys: tuple[str, ...]) -> None:
        """Forget the failures in the directory, as it does after the right password."""
        for key in keys:
            counter.reset(tx, key)


def kept(tries: int) -> int:
    """Say how many of the tries of somebody's password are kept for devices that know them; of a single one none."""
    return min(tries - 1, max(1, tries // 3))


def _key(kind: str, connector_id: str, external_id: str) -> str:
    return hashlib.sha256(f"{kind}\x00{connector_id}\x00{external_id}".encode(errors="surrogatepass")).hexdigest()
