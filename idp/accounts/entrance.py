"""Which door a name and a password belong to: an account's own password, or a directory.

A password is taken to one directory at most, and never one that was meant for an account here: whoever has a password
here is asked for that. Tries count before anything is looked at, as for local sign-in, and once more by the person
in the directory (`tries`).

A refusal costs the hash of a password that is kept here, wherever it comes from (LG1). What a directory takes to answer
comes on top.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from idp.accounts import federated, standing
from idp.accounts.administration import CHANGED
from idp.accounts.connectors import Connectors, Ready
from idp.accounts.federated import Arrived, NotWelcome, Unwelcome, domain_of
from idp.accounts.local import Attempt, LocalSignIn, Proof, Refused
from idp.accounts.throttle import Refusal, Try
from idp.accounts.tries import Count, Knock, Tries
from idp.federation.connector import (
    TELLING,
    Connector,
    Identity,
    MayTry,
    NotSignedIn,
    Outcome,
    PasswordChanger,
    PasswordConnector,
    PasswordRefused,
)
from idp.store import identity
from idp.store.account import Account
from idp.store.database import Session


class Told(enum.Enum):
    """What only somebody with the right password, or everybody, may be told."""

    CHANGE_PASSWORD = "change_password"  # noqa: S105 - a word
    CHANGED = "changed"  # it is, and the new one did not let them in at once
    AWAY = "away"
    LINK_FIRST = "link_first"
    NOT_INVITED = "not_invited"


TOLD: Final = {
    Outcome.PASSWORD_EXPIRED: Told.CHANGE_PASSWORD,
    Outcome.MUST_CHANGE: Told.CHANGE_PASSWORD,
    Outcome.UNAVAILABLE: Told.AWAY,
}
OVER: Final = frozenset({Outcome.PASSWORD_EXPIRED, Outcome.MUST_CHANGE})
WAITING: Final = "waiting"  # told to nobody: the name had too many failures
UNWELCOME: Final = {
    Unwelcome.LINK_FIRST: Told.LINK_FIRST,
    Unwelcome.NOT_LINKED: Told.NOT_INVITED,
    Unwelcome.DOMAIN: Told.NOT_INVITED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """A directory has said who this is; `accept` makes it count, in the transaction that uses it."""

    ready: Ready
    who: Identity
    attempt: Attempt
    asked_at: datetime
    taken: Try
    keys: tuple[str, ...]
    password_changed: bool = False  # with the old one, a moment ago; this is the new one's word


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    """The directory wants a new password and takes it here; only somebody with the right one hears of it."""

    rules: tuple[str, ...]
    why: str | None = None  # what was wrong with the one that was chosen


class Changed(Exception):
    """The password is changed, and what follows did not go well."""


Act = Callable[[Ready, PasswordConnector, Attempt, MayTry], Identity]
"""What is done with a password at the directory where it belongs."""


def sign_in(_ready: Ready, directory: PasswordConnector, attempt: Attempt, may_try: MayTry) -> Identity:
    """Take it there."""
    return directory.authenticate(attempt.login, attempt.password, may_try)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Sign-in by a name and a password, wherever the password is kept."""

    local: LocalSignIn
    connectors: Connectors

    @property
    def tries(self) -> Tries:
        """How often somebody of a directory may be tried."""
        return Tries(local=self.local)

    def authenticate(self, attempt: Attempt, now: datetime) -> Proof | Vouched | Refused | Told | NewPassword:
        """Check a password where it belongs."""
        self.local.check_length(attempt)
        account, taken = self.local.take(attempt, now)
        if taken.refusal in {Refusal.ADDRESS, Refusal.EVERYWHERE}:
            return Refused.TOO_MANY
        homes = self.homes(attempt.login, account, now)
        if not homes:
            return self.local.evaluate(attempt, account, taken)
        if taken.refusal is not None and attempt.device_hash is None:
            return self.local.refuse(attempt, account, taken, WAITING)
        return self.alike(attempt, self.ask(homes, Knock(attempt=attempt, account=account, taken=taken, now=now)))

    def alike(
        self, attempt: Attempt, found: Vouched | Refused | Told | NewPassword
    ) -> Vouched | Refused | Told | NewPassword:
        """Let a refusal cost what it costs where the password is kept here (LG1). The try was one, hash or not."""
        if isinstance(found, Refused):
            self.local.in_vain(attempt)
        return found

    def accept(self, tx: Session, proof: Proof | Vouched, now: datetime) -> Account | Told | None:
        """Let a proof count: None if the account is closed, or its password changed meanwhile."""
        if isinstance(proof, Proof):
            return self.local.accept(tx, proof, now)
        try:
            arrived = federated.arrive(tx, proof.ready, proof.who, now)
        except NotWelcome as refused:
            self.tries.no_guess(tx, proof.keys)
            if refused.why in UNWELCOME:
                self.local.throttle.unevaluated(tx, proof.taken)
            self._record(tx, proof, refused.why.value)
            return UNWELCOME.get(refused.why)
        if _is_outdated(proof, arrived.account):
            self._record(tx, proof, CHANGED)
            return None
        self.local.throttle.succeeded(tx, proof.taken)
        self.tries.no_guess(tx, proof.keys)
        self._record_arrival(tx, proof, arrived)
        return arrived.account

    def homes(self, login: str, account: Account | None, now: datetime) -> tuple[Ready, ...]:
        """Say which directories may be asked about a name, in their order; none: it is a local one."""
        directories = self.connectors.directories(now)
        if not directories:
            return ()
        realm = realm_of(login)
        named = tuple(each for each in directories if realm is not None and realm in each.domains)
        if account is not None:
            if account.password_hash is not None:
                return ()
            with self.local.db.read() as tx:
                linked = {each.connector_id for each in identity.of_account(tx, account.id)}
            return tuple(each for each in directories if each.id in linked) or named
        # A connector with domains of its own is asked for nobody else's.
        return named or tuple(each for each in directories if not each.domains)

    def ask(self, homes: tuple[Ready, ...], knock: Knock, act: Act = sign_in) -> Vouched | Refused | Told | NewPassword:
        """Ask directories, in their order, until one knows somebody of this name; only that one gets the password."""
        attempt = knock.attempt
        last = NotSignedIn(Outcome.NO_MATCH, "unknown")
        directory: Connector | None = None
        for ready in homes:
            count = Count(taken=knock.taken)
            directory = ready.connector
            if not isinstance(directory, PasswordConnector):
                continue
            try:
                who = act(ready, directory, attempt, self.tries.counted(ready, directory, count, knock))
            except PasswordRefused as refused:
                self.tries.no_failure(count)
                return NewPassword(rules=_rules(directory, attempt), why=str(refused))
            except Changed:
                self.tries.no_failure(count)
                return Told.CHANGED
            except NotSignedIn as refused:
                last = refused
                self._believe(ready, refused, knock.now)
                if refused.outcome is Outcome.NO_MATCH and not count.keys:
                    continue  # nobody of this name there: the password went nowhere, the next may be asked
                self.tries.give_back(refused, count)
                break
            taken, keys = count.taken, count.keys
            return Vouched(ready=ready, who=who, attempt=attempt, asked_at=knock.now, taken=taken, keys=keys)
        self.local.record_miss(attempt, knock.account, _reason(knock, last), directory=last.code)
        if last.outcome not in TELLING:
            return Refused.NO_MATCH
        if last.outcome in OVER and isinstance(directory, PasswordChanger) and directory.changes:
            return NewPassword(rules=_rules(directory, attempt))
        return TOLD[last.outcome]

    def _believe(self, ready: Ready, refused: NotSignedIn, now: datetime) -> None:
        """Close whoever is closed over there, at once: what they have here need not last until the next sync (FD7)."""
        if refused.closed is None:
            return
        external_id, why = refused.closed
        with self.local.db.write() as tx:
            found = identity.with_account(tx, ready.id, external_id)
            if found is not None and standing.close(tx, *found, now):
                actor = f"connector:{ready.name}"
                self.local.audit.record(tx, "account.disabled", account_id=found[1].id, actor=actor, reason=why.value)

    def _record(self, tx: Session, proof: Vouched, reason: str) -> None:
        found = identity.find(tx, proof.ready.id, proof.who.external_id)
        self.local.audit.record(
            tx,
            "signin.refused",
            account_id=None if found is None else found.account_id,
            client_id=proof.attempt.client_id,
            ip=proof.attempt.address,
            support_id=proof.attempt.support_id,
            reason=reason,
            connector=proof.ready.name,
            external_id=proof.who.external_id,
        )

    def _record_arrival(self, tx: Session, proof: Vouched, arrived: Arrived) -> None:
        for happened, event in ((arrived.created, "account.created"), (arrived.reopened, "account.enabled")):
            if happened:
                self.local.audit.record(tx, event, account_id=arrived.account.id, actor=f"connector:{proof.ready.name}")
        if arrived.roles_came or arrived.roles_went:
            self.local.audit.record(
                tx,
                "roles.changed",
                account_id=arrived.account.id,
                actor=f"connector:{proof.ready.name}",
                came=sorted(arrived.roles_came),
                went=sorted(arrived.roles_went),
            )


def _is_outdated(proof: Vouched, account: Account) -> bool:
    """Say whether the password that a proof rests on was changed while the directory looked at it."""
    changed_at = account.password_changed_at
    return not proof.password_changed and changed_at is not None and proof.asked_at < changed_at


def realm_of(login: str) -> str | None:
    r"""Return the realm that a name carries: DOMAIN\user, or what follows its only @ (FD14)."""
    prefix, backslash, rest = login.strip().partition("\\")
    if backslash:
        # NetBIOS names have few letters beside these, and a dash is common.
        plain = prefix.replace("-", "").replace("_", "")
        return prefix.lower() if plain.isalnum() and plain.isascii() and rest and "\\" not in rest else None
    return domain_of(login)


def _reason(knock: Knock, refused: NotSignedIn) -> str:
    """Name a refusal for the record."""
    return refused.outcome.value if knock.taken.refusal is None else WAITING


def _rules(directory: Connector, attempt: Attempt) -> tuple[str, ...]:
    """Say the rules for their password, if the directory does."""
    try:
        return directory.password_rules(attempt.login) if isinstance(directory, PasswordChanger) else ()
    except NotSignedIn:
        return ()
