"""A new password in the directory that keeps the old one.

The old one is proved as at a sign-in and counts as one, at the same counters: whoever guesses gains nothing here.
Whoever has changed it is signed in with the new one, by the same rules as ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from idp.accounts.connectors import Ready
from idp.accounts.entrance import Changed, Entrance, Knock, NewPassword, Told, Vouched
from idp.accounts.local import Attempt, Refused
from idp.accounts.passwords import PasswordTooLong
from idp.accounts.rules import too_long
from idp.accounts.throttle import Refusal
from idp.federation.connector import Identity as Who
from idp.federation.connector import (
    MayTry,
    NotSignedIn,
    Outcome,
    PasswordChanger,
    PasswordConnector,
)
from idp.store.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPasswords:
    """Changes passwords where they are kept."""

    entrance: Entrance

    def change(self, attempt: Attempt, new: str, now: datetime) -> Vouched | Refused | Told | NewPassword:
        """Set a new password with the old one, and sign in with it."""
        knock = self._knock(attempt, new, now)
        if knock is None:
            return Refused.TOO_MANY
        homes = self.entrance.homes(attempt.login, knock.account, now)
        if not homes or knock.taken.refusal is not None:
            # The work of a hash all the same: whose password is kept here is not to be seen by its speed.
            self.entrance.local.evaluate(attempt, None, knock.taken)
            return Refused.NO_MATCH

        def act(directory: PasswordConnector, attempt: Attempt, may_try: MayTry) -> Who:
            return self._change(directory, attempt, new, may_try)

        return self.entrance.ask(homes, knock, act)

    def change_own(
        self, ready: Ready, mine: Identity, attempt: Attempt, new: str, now: datetime
    ) -> Vouched | Refused | Told | NewPassword:
        """Set a new password for somebody who is signed in; `mine` is who they are in the directory.

        Their name there may be another person's by now: then the password goes nowhere (FD11).
        """
        knock = self._knock(attempt, new, now)
        if knock is None:
            return Refused.TOO_MANY
        if knock.taken.refusal is not None:
            return Refused.NO_MATCH

        def act(directory: PasswordConnector, attempt: Attempt, may_try: MayTry) -> Who:
            return self._change(directory, attempt, new, lambda key: key == mine.external_id and may_try(key))

        there = replace(knock, attempt=replace(attempt, login=mine.username))
        return self.entrance.ask((ready,), there, act)

    def _knock(self, attempt: Attempt, new: str, now: datetime) -> Knock | None:
        """Take a try, as for a sign-in; None when there were too many."""
        self.entrance.local.check_length(attempt)
        if too_long(new):
            raise PasswordTooLong("password is too long")
        account, taken = self.entrance.local.take(attempt, now)
        if taken.refusal in {Refusal.ADDRESS, Refusal.EVERYWHERE}:
            return None
        return Knock(attempt=attempt, account=account, taken=taken, now=now)

    def _change(self, directory: PasswordConnector, attempt: Attempt, new: str, may_try: MayTry) -> Who:
        if not isinstance(directory, PasswordChanger) or not directory.changes:
            raise NotSignedIn(Outcome.NO_MATCH, "no change here")
        directory.change_password(attempt.login, attempt.password, new, may_try)
        with self.entrance.local.db.write() as tx:
            self.entrance.local.audit.record(
                tx,
                "directory.password_changed",
                client_id=attempt.client_id,
                ip=attempt.address,
                support_id=attempt.support_id,
                connector=directory.name,
            )
        try:
            return directory.authenticate(attempt.login, new, _no_guess)
        except NotSignedIn:
            raise Changed from None


def _no_guess(_external_id: str) -> bool:
    """Let a password go that the directory has just taken: it cannot be wrong."""
    return True
