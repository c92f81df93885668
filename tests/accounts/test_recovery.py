"""Recovery codes: ten, once each, kept as digests."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from idp.accounts import recovery
from idp.store.account import Account
from idp.store.database import Database
from idp.store.totp import RecoveryCode


@pytest.fixture
def codes(db: Database, person: Account, clock: Any) -> list[str]:
    with db.write() as tx:
        return recovery.issue(tx, person.id, clock())


def use(db: Database, account_id: str, typed: str, clock: Any) -> bool:
    with db.write() as tx:
        return recovery.use(tx, account_id, typed, clock())


def test_there_are_ten_different_ones(codes: list[str]) -> None:
    assert len(set(codes)) == 10


@pytest.mark.attack("LG18")
def test_a_code_works_once(db: Database, person: Account, codes: list[str], clock: Any) -> None:
    assert [use(db, person.id, codes[3], clock) for _ in range(2)] == [True, False]
    with db.read() as tx:
        assert recovery.left(tx, person.id) == 9


@pytest.mark.attack("LG18")
def test_of_fifty_parallel_uses_exactly_one_wins(db: Database, person: Account, codes: list[str], clock: Any) -> None:
    won: list[bool] = []
    start = threading.Barrier(10)

    def work() -> None:
        start.wait()
        won.extend(use(db, person.id, codes[0], clock) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), won.count(True)) == (50, 1)


@pytest.mark.attack("LG18", "ST1")
def test_only_digests_are_kept_and_they_open_nothing(
    db: Database, person: Account, codes: list[str], clock: Any
) -> None:
    with db.read() as tx:
        rows = tx.query(RecoveryCode).all()
    assert all(len(row.code_hash) == 32 for row in rows)
    assert not any(use(db, person.id, row.code_hash.hex(), clock) for row in rows)


@pytest.mark.parametrize("shape", [str.upper, lambda code: code.replace("-", " "), lambda code: code.replace("-", "")])
def test_capitals_spaces_and_dashes_do_not_matter(
    db: Database, person: Account, codes: list[str], clock: Any, shape: Any
) -> None:
    assert use(db, person.id, shape(codes[1]), clock)
    assert not use(db, person.id, codes[1], clock)


def test_another_persons_code_opens_nothing(db: Database, codes: list[str], clock: Any) -> None:
    assert not use(db, "another account", codes[0], clock)


def test_a_new_set_ends_the_old_one(db: Database, person: Account, codes: list[str], clock: Any) -> None:
    with db.write() as tx:
        recovery.issue(tx, person.id, clock())
    assert not any(use(db, person.id, code, clock) for code in codes)


@pytest.mark.spec("ASVS 5.0 section 6.5.2")
def test_a_code_has_more_than_112_random_bits() -> None:
    assert len(set(recovery.ALPHABET)) == 32
    assert recovery.LENGTH * 5 >= 112


@pytest.mark.parametrize("typed", ["", "\x00", "\ud800", "x" * 100_000])
def test_what_is_no_code_opens_nothing(db: Database, person: Account, codes: list[str], clock: Any, typed: str) -> None:
    assert not use(db, person.id, typed, clock)
