"""A store and the parts of the accounts on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest

from idp.accounts.connectors import Ready
from idp.accounts.local import Attempt, LocalSignIn, Proof, Refused
from idp.accounts.passwords import Cost, Passwords
from idp.accounts.throttle import Limits, Throttle
from idp.audit.log import AuditLog
from idp.store import account, connector, device
from idp.store.account import Account
from idp.store.database import Database
from idp.store.digests import digest
from idp.store.sealed import Sealer, key_id
from tests.accounts.elsewhere import ready

PASSWORD = "correct horse battery staple"
CHEAP = Cost(memory_kib=8, time_cost=1, parallelism=1)


@pytest.fixture
def sealer() -> Sealer:
    key = secrets.token_bytes(32)
    return Sealer({key_id(key): key}, active=key_id(key))


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(CHEAP)


@pytest.fixture
def person(db: Database, passwords: Passwords, clock: Callable[[], datetime]) -> Account:
    """Somebody who can sign in, by user name or e-mail."""
    with db.write() as tx:
        return account.create(
            tx, username="Ada", email="Ada@Example.org", password_hash=passwords.hash(PASSWORD), now=clock()
        )


@dataclass(frozen=True, kw_only=True)
class Door:
    """The sign-in, tried from one place."""

    local: LocalSignIn
    clock: Callable[[], datetime]
    address: str = "192.0.2.7"
    device: str | None = None

    def knock(self, login: str, password: str) -> Proof | Refused:
        """Try once; a right password is accepted at once, as the page does."""
        known = None if self.device is None else digest(self.device)
        found = self.local.authenticate(
            Attempt(login=login, password=password, device_hash=known, address=self.address), self.clock()
        )
        if isinstance(found, Proof):
            with self.local.db.write() as tx:
                assert self.local.accept(tx, found, self.clock())
        return found

    def opens(self, login: str = "ada", password: str = PASSWORD) -> bool:
        """Say whether this try signs in."""
        return isinstance(self.knock(login, password), Proof)

    def miss(self, times: int, login: str = "ada") -> None:
        """Try wrong passwords."""
        for _ in range(times):
            assert self.knock(login, "wrong") is Refused.NO_MATCH

    def on(self, secret: str) -> Door:
        """Return the same door, seen from a device."""
        return Door(local=self.local, clock=self.clock, address=self.address, device=secret)

    def from_address(self, address: str) -> Door:
        """Return the same door, seen from elsewhere."""
        return Door(local=self.local, clock=self.clock, address=address, device=self.device)


@pytest.fixture
def limits() -> Limits:
    return Limits(address_tries=100_000, everywhere_tries=100_000)


@pytest.fixture
def door(db: Database, passwords: Passwords, limits: Limits, clock: Callable[[], datetime]) -> Door:
    local = LocalSignIn(db=db, passwords=passwords, throttle=Throttle(limits), audit=AuditLog(clock))
    return Door(local=local, clock=clock)


@pytest.fixture
def known_device(db: Database, person: Account, clock: Callable[[], datetime]) -> str:
    """The secret of a device on which the person has signed in before."""
    with db.write() as tx:
        device.remember(tx, digest("a device of Ada"), person.id, clock())
    return "a device of Ada"


@pytest.fixture
def corp(db: Database, clock: Callable[[], datetime]) -> Ready:
    with db.write() as tx:
        row = connector.put(tx, name="corp", kind="ldap", label="Corp", config={}, now=clock())
    return ready(row)


@pytest.fixture
def other(db: Database, clock: Callable[[], datetime]) -> Ready:
    """Another directory."""
    with db.write() as tx:
        row = connector.put(tx, name="branch", kind="ldap", label="Branch", config={}, now=clock())
    return ready(row)
