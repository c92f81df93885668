"""A new password in the directory that keeps the old one.

The old one is proved as at a sign-in and counts as one, at the same counters: whoever guesses gains nothing here.
What the old one has opened ends as soon as the directory has said yes, whatever comes after: with the record of it, and
not with the sign-in that follows, which may fail. Whoever has changed it is signed in with the new one, by the same
rules as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from idp.accounts import administration
from idp.accounts.connectors import Ready
from idp.accounts.entrance import WAITING, Changed, Entrance, NewPassword, Told, Vouched
from idp.accounts.local import Attempt, Refused
from idp.accounts.passwords import PasswordTooLong
from idp.accounts.rules import too_long
from idp.accounts.sessions import Current, Sessions
from idp.accounts.throttle import Refusal
from idp.accounts.tries import Knock
from idp.federation.connector import Identity as Who
from idp.federation.connector import (
    MayTry,
    NotSignedIn,
    Outcome,
    PasswordChanger,
    PasswordConnector,
)
from idp.store import account as accounts
from idp.store import identity
from idp.store.identity import Identity
from idp.store.session import BrowserSession


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasswords:
    """Changes passwords where they are kept."""

    entrance: Entrance
    sessions: Sessions
    clock: Callable[[], datetime]

    def change(self, attempt: Attempt, new: str, now: datetime) -> Vouched | Refused | Told | NewPassword:
        """Set a new password with the old one, and sign in with it."""
        knock = self._knock(attempt, new, now)
        if knock is None:
            return Refused.TOO_MANY
        homes = self.entrance.homes(attempt.login, knock.account, now)
        if not homes:
            return self.entrance.local.refuse(attempt, knock.account, knock.taken, "not of a directory")
        if knock.taken.refusal is not None and attempt.device_hash is None:
            return self.entrance.local.refuse(attempt, knock.account, knock.taken, WAITING)

        def act(ready: Ready, directory: PasswordConnector, attempt: Attempt, may_try: MayTry) -> Who:
            self._change(ready, directory, attempt, new, may_try)
            return _sign_in(directory, attempt, new)

        return self.entrance.alike(attempt, _marked(self.entrance.ask(homes, knock, act)))

    def change_own(
        self, ready: Ready, mine: Identity, attempt: Attempt, new: str, now: datetime, *, here: Current
    ) -> Vouched | Refused | Told | NewPassword:
        """Set a new password for somebody who is signed in, and stays so; `mine` is who they are in the directory.

        Their name there may be another person's by now: then the password goes nowhere (FD11).
        """
        knock = self._knock(attempt, new, now)
        if knock is None:
            return Refused.TOO_MANY
        if knock.taken.refusal is not None:
            self.entrance.local.record_miss(attempt, knock.account, WAITING)
            return Refused.NO_MATCH

        def act(ready: Ready, directory: PasswordConnector, attempt: Attempt, may_try: MayTry) -> Who:
            self._change(ready, directory, attempt, new, mine_alone(may_try), keep=here.session)
            return _sign_in(directory, attempt, new)

        def mine_alone(may_try: MayTry) -> MayTry:
            return lambda external_id: external_id == mine.external_id and may_try(external_id)

        there = replace(knock, attempt=replace(attempt, login=mine.username))
        return _marked(self.entrance.ask((ready,), there, act))

    def _knock(self, attempt: Attempt, new: str, now: datetime) -> Knock | None:
        """Take a try, as for a sign-in; None when there were too many."""
        self.entrance.local.check_length(attempt)
        if too_long(new):
            raise PasswordTooLong("password is too long")
        account, taken = self.entrance.local.take(attempt, now)
        if taken.refusal in {Refusal.ADDRESS, Refusal.EVERYWHERE}:
            return None
        return Knock(attempt=attempt, account=account, taken=taken, now=now)

    def _change(
        self,
        ready: Ready,
        directory: PasswordConnector,
        attempt: Attempt,
        new: str,
        may_try: MayTry,
        *,
        keep: BrowserSession | None = None,
    ) -> None:
        if not isinstance(directory, PasswordChanger) or not directory.changes:
            raise NotSignedIn(Outcome.NO_MATCH, "no change here")
        whose: list[str] = []

        def may(external_id: str) -> bool:
            whose.append(external_id)
            return may_try(external_id)

        directory.change_password(attempt.login, attempt.password, new, may)
        self._over(ready, whose[-1], attempt, keep)

    def _over(self, ready: Ready, external_id: str, attempt: Attempt, keep: BrowserSession | None) -> None:
        """End what the old password has opened, and write down that it is changed."""
        now, local = self.clock(), self.entrance.local  # the directory took its time
        with local.db.write() as tx:
            found = identity.find(tx, ready.id, external_id)
            if found is not None:
                accounts.password_changed(tx, found.account_id, now)
                administration.end_what_it_opened(
                    tx, found.account_id, now, sessions=self.sessions, throttle=local.throttle, keep=keep
                )
            local.audit.record(
                tx,
                "directory.password_changed",
                account_id=None if found is None else found.account_id,
                client_id=attempt.client_id,
                ip=attempt.address,
                support_id=attempt.support_id,
                connector=ready.name,
                external_id=external_id,
            )


def _sign_in(directory: PasswordConnector, attempt: Attempt, new: str) -> Who:
    try:
        return directory.authenticate(attempt.login, new, _no_guess)
    except NotSignedIn:
        raise Changed from None


def _marked(found: Vouched | Refused | Told | NewPassword) -> Vouched | Refused | Told | NewPassword:
    """Say of a proof that it is by the new password: it has not been changed since."""
    return replace(found, password_changed=True) if isinstance(found, Vouched) else found


def _no_guess(_external_id: str) -> bool:
    """Let a password go that the directory has just taken: it cannot be wrong."""
    return True
