"""Sign-in by password: the same work for unknown, wrong and locked; better hashes in passing."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest
from argon2 import extract_parameters

from idp.accounts import throttle
from idp.accounts.local import LocalSignIn, Refused
from idp.accounts.passwords import Cost, Passwords, PasswordTooLong
from idp.store import account, counter
from idp.store.account import Account
from idp.store.database import Database

PASSWORD = "correct horse battery staple"


@pytest.mark.parametrize("login", ["Ada", "ada@example.org"])
@pytest.mark.usefixtures("person")
def test_signs_in_by_user_name_or_e_mail(door: Any, login: str) -> None:
    assert door.opens(login)


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", PASSWORD.upper(), "\x00", "\ud800"])
def test_refuses_any_other_password(door: Any, password: str) -> None:
    assert door.knock("ada", password) is Refused.NO_MATCH


@pytest.mark.parametrize("login", ["", " ", "\x00", "nobody", "x" * 100_000, "' or 1=1 --"])
def test_refuses_names_that_are_none(door: Any, login: str) -> None:
    assert door.knock(login, PASSWORD) is Refused.NO_MATCH


def test_an_account_without_a_password_cannot_sign_in_by_one(door: Any, db: Database, clock: Any) -> None:
    with db.write() as tx:
        account.create(tx, username="robot", now=clock())
    assert door.knock("robot", "") is Refused.NO_MATCH


@pytest.mark.attack("LG9")
def test_a_huge_password_is_refused_before_the_store_is_asked(door: Any) -> None:
    with pytest.raises(PasswordTooLong):
        door.knock("ada", "x" * 5000)


@pytest.mark.attack("ST5")
def test_a_sign_in_raises_an_old_hash_to_the_present_cost(door: Any, db: Database, person: Account) -> None:
    dearer = Passwords(Cost(memory_kib=64, time_cost=2, parallelism=1))
    local = door.local
    raised = LocalSignIn(db=db, passwords=dearer, throttle=local.throttle, audit=local.audit)
    assert type(door)(local=raised, clock=door.clock).opens()
    with db.read() as tx:
        row = account.find(tx, person.id)
    assert row is not None
    assert row.password_hash is not None
    assert extract_parameters(row.password_hash).memory_cost == 64
    assert door.opens()


@pytest.mark.attack("LG1")
@pytest.mark.parametrize("pairs", [100, pytest.param(2000, marks=pytest.mark.long)])
@pytest.mark.usefixtures("person")
def test_unknown_wrong_and_waiting_take_the_same_time(door: Any, pairs: int, record_property: Any) -> None:
    """In processor time, hash and statements included: a clock on the wall tells how busy the machine is."""
    took: dict[str, list[float]] = {"Ada": [], "nobody": [], "Locked": []}
    # The real cost of a hash drowns nothing here: a cheap one shows the differences of everything else.
    with door.local.db.write() as tx:
        locked = account.create(tx, username="Locked", password_hash=door.local.passwords.hash("x"), now=door.clock())
    for name in (locked.username, "Ada", "nobody"):
        door.miss(5, name) if name == "Locked" else None
    for _ in range(pairs):
        for login, times in took.items():
            if login != "Locked":
                free(door, login)
            begun = time.thread_time()
            door.knock(login, "wrong")
            times.append(time.thread_time() - begun)
    medians = [statistics.median(times) * 1000 for times in took.values()]
    record_property("tries of each kind", pairs)
    record_property("medians differ by (ms of CPU)", f"{max(medians) - min(medians):.3f}")
    assert max(medians) - min(medians) < 2


def free(door: Any, login: str) -> None:
    """Take the waits of a name away: this is about time, not about tries."""
    with door.local.db.write() as tx:
        found = account.find_by_login(tx, login)
        if found is not None:
            door.local.throttle.unlock(tx, found.id)
        else:
            counter.reset(tx, throttle.unknown_key(login))
