"""Sign-in by a password kept here: look up, take a try, hash, decide. One cost for everybody (LG1)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from idp.accounts.passwords import HashingBusy, Passwords, PasswordTooLong
from idp.accounts.rules import too_long
from idp.accounts.throttle import Refusal, Throttle, Try
from idp.audit.log import AuditLog
from idp.store import account as store
from idp.store.account import Account
from idp.store.database import Database, Session


class Refused(enum.Enum):
    """What the person is told: the first is one text for unknown, wrong, locked and disabled."""

    NO_MATCH = "no_match"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came with a sign-in form."""

    login: str
    password: str = field(repr=False)
    device_hash: bytes | None
    address: str
    client_id: str | None = None
    support_id: str | None = None  # what the page of a refusal shows, and its record too


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A password was right at this moment; `accept` makes it count, in the transaction that uses it."""

    account_id: str
    checked_hash: str
    new_hash: str | None
    taken: Try


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSignIn:
    """Sign-in by user name or e-mail and password."""

    db: Database
    passwords: Passwords
    throttle: Throttle
    audit: AuditLog

    def authenticate(self, attempt: Attempt, now: datetime) -> Proof | Refused:
        """Check a password. The same statements and one hash, whatever is wrong with it."""
        self.check_length(attempt)
        account, taken = self.take(attempt, now)
        if taken.refusal in {Refusal.ADDRESS, Refusal.EVERYWHERE}:
            return Refused.TOO_MANY
        return self.evaluate(attempt, account, taken)

    def check_length(self, attempt: Attempt) -> None:
        """Refuse what is beyond any password, before any work."""
        if too_long(attempt.password):
            raise PasswordTooLong("password is too long")

    def evaluate(self, attempt: Attempt, account: Account | None, taken: Try) -> Proof | Refused:
        """Look at the password of a try that was taken."""
        stored = _usable_hash(account, taken)
        with self._given_back_when_busy(taken):
            verdict = self.passwords.verify(stored, attempt.password)
            # ASVS appendix C: yesterday's cost is raised when the password is at hand.
            new_hash = self.passwords.hash(attempt.password) if verdict.needs_rehash else None
        if account is None or stored is None or not verdict.accepted:
            self.record_miss(attempt, account, _reason(account, taken))
            return Refused.NO_MATCH
        return Proof(account_id=account.id, checked_hash=stored, new_hash=new_hash, taken=taken)

    def refuse(self, attempt: Attempt, account: Account | None, taken: Try, reason: str) -> Refused:
        """Refuse a try whose password belongs elsewhere, at the same cost: the reason is not to be seen by it (LG1)."""
        with self._given_back_when_busy(taken):
            self.in_vain(attempt)
        self.record_miss(attempt, account, reason)
        return Refused.NO_MATCH

    def in_vain(self, attempt: Attempt) -> None:
        """Do the work of a hash, which says nothing."""
        self.passwords.verify(None, attempt.password)

    def accept(self, tx: Session, proof: Proof, now: datetime) -> Account | None:
        """Let a proof count: None if the account was closed or its password changed since it was checked."""
        account = store.hold(tx, proof.account_id)
        if account is None or account.disabled_at is not None or account.password_hash != proof.checked_hash:
            return None
        self.throttle.succeeded(tx, proof.taken)
        if proof.new_hash is not None:
            store.upgrade_hash(tx, account.id, old=proof.checked_hash, new=proof.new_hash)
        store.signed_in(tx, account.id, now)
        return account

    def take(self, attempt: Attempt, now: datetime) -> tuple[Account | None, Try]:
        """Look up whom a name means and take a try, before anything is evaluated."""
        with self.db.write() as tx:
            account = store.find_by_login(tx, attempt.login)
            taken = self.throttle.take(
                tx,
                login=attempt.login,
                account=account,
                device_hash=attempt.device_hash,
                address=attempt.address,
                now=now,
            )
            if taken.refusal is not None and taken.alarm:
                # Once a window: a row for each refused try would let a flood fill the audit.
                self.audit.record(
                    tx, "signin.alarm", client_id=attempt.client_id, ip=attempt.address, reason=taken.refusal.value
                )
        return account, taken

    def record_miss(self, attempt: Attempt, account: Account | None, reason: str, **more: str) -> None:
        """Write down why somebody is not let in. Not the name as typed: people type passwords into the wrong field."""
        with self.db.write() as tx:
            self.audit.record(
                tx,
                "signin.refused",
                account_id=account.id if account else None,
                client_id=attempt.client_id,
                ip=attempt.address,
                support_id=attempt.support_id,
                reason=reason,
                **more,
            )

    @contextmanager
    def _given_back_when_busy(self, taken: Try) -> Iterator[None]:
        try:
            yield
        except HashingBusy:
            with self.db.write() as tx:
                self.throttle.unevaluated(tx, taken)
            raise


def _reason(account: Account | None, taken: Try) -> str:
    if account is None:
        return "unknown"
    if account.disabled_at is not None:
        return "disabled"
    return "waiting" if taken.refusal else "wrong"


def _usable_hash(account: Account | None, taken: Try) -> str | None:
    if account is None or account.disabled_at is not None or taken.refusal is not None:
        return None
    return account.password_hash
