"""Guesses: few, slow, counted once, and never able to lock a person out of a known device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from idp.accounts import throttle
from idp.accounts.local import Attempt, LocalSignIn, Refused
from idp.accounts.passwords import HashingBusy, Passwords, Verdict
from idp.accounts.throttle import Limits, Throttle
from idp.settings import Settings
from idp.store import account, audit
from idp.store.account import Account
from idp.store.database import Database
from idp.store.sealed import create_master_key

pytestmark = pytest.mark.usefixtures("person")


def events(db: Database) -> list[str]:
    with db.read() as tx:
        return [row.event for row in audit.recent(tx, 10_000)]


def test_four_misses_cost_nothing(door: Any) -> None:
    door.miss(4)
    assert door.opens()


@pytest.mark.attack("LG3")
def test_the_sixth_try_waits_and_the_wait_doubles_to_its_limit(door: Any, clock: Any, limits: Limits) -> None:
    door.miss(5)
    wait = limits.first_wait
    for _ in range(8):
        clock.advance(wait.total_seconds() - 1)
        assert not door.opens()
        clock.advance(1)
        door.miss(1)
        wait = min(wait * 2, limits.longest_wait)
    clock.advance(limits.longest_wait.total_seconds())
    assert door.opens()


@pytest.mark.attack("LG3")
def test_a_success_forgets_the_failures(door: Any) -> None:
    for _ in range(5):
        door.miss(4)
        assert door.opens()


@pytest.mark.attack("LG3", "LG7")
def test_a_hundred_failures_in_a_row_close_the_door_to_strangers_only(
    door: Any, limits: Limits, known_device: str, db: Database, person: Account
) -> None:
    clock = door.clock
    for _ in range(limits.ceiling):
        door.miss(1)
        clock.advance(limits.longest_wait.total_seconds())
    clock.advance(timedelta(days=30).total_seconds())
    assert not door.opens()
    assert door.on(known_device).opens()
    assert not door.opens()
    with db.write() as tx:
        door.local.throttle.unlock(tx, person.id)
    assert door.opens()


@pytest.mark.attack("LG7")
def test_a_known_device_is_let_in_while_strangers_wait(door: Any, known_device: str) -> None:
    door.miss(50)
    assert not door.opens()
    assert door.on(known_device).opens()


@pytest.mark.attack("LG7", "LG6")
def test_a_known_device_has_twenty_tries_of_its_own_and_is_then_a_stranger(door: Any, known_device: str) -> None:
    door.on(known_device).miss(20)
    assert door.opens()
    door.on(known_device).miss(5)
    assert not door.on(known_device).opens()
    assert not door.opens()


@pytest.mark.attack("LG6")
def test_another_persons_device_is_a_stranger(door: Any) -> None:
    door.miss(5)
    assert not door.on("a device of Eve").opens()


@pytest.mark.attack("LG6")
def test_another_address_has_no_tries_of_its_own_for_the_account(door: Any) -> None:
    door.miss(5)
    assert not door.from_address("198.51.100.9").opens()


@pytest.mark.attack("LG5")
@pytest.mark.parametrize(
    "alias", ["ADA", "  ada ", "\uff21\uff44\uff41", "ada@example.org", "ADA@EXAMPLE.ORG ", "ada\u3000"]
)
def test_every_alias_counts_on_one_counter(door: Any, alias: str) -> None:
    assert door.opens(alias)
    door.miss(5, alias)
    assert not door.opens("ada")


@pytest.mark.attack("LG5", "LG1")
def test_names_that_do_not_exist_count_alike(door: Any, db: Database, limits: Limits) -> None:
    for spelling in ("nobody", "NOBODY", " nobody", "\uff4eobody", "nobody "):
        door.miss(1, spelling)
    with db.write() as tx:
        again = door.local.throttle.take(
            tx, login="Nobody", account=None, device_hash=None, address="192.0.2.7", now=door.clock()
        )
    assert again.refusal is throttle.Refusal.ACCOUNT


@pytest.mark.attack("LG4")
def test_of_a_thousand_parallel_guesses_no_more_than_the_limit_is_evaluated(
    door: Any, monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    evaluated, lock = [], threading.Lock()
    genuine = Passwords.verify

    def counted(self: Passwords, stored: str | None, password: str) -> object:
        if stored is not None:
            with lock:
                evaluated.append(password)
        return genuine(self, stored, password)

    monkeypatch.setattr(Passwords, "verify", counted)
    guesses = iter(range(1000))

    def work() -> None:
        for number in guesses:
            door.knock("ada", f"guess {number}")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(evaluated) <= limits.free_tries


class TestLimitsOfMany:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(address_tries=10, everywhere_tries=30)

    @pytest.mark.attack("LG8")
    def test_one_address_may_fail_so_often_over_all_names(self, door: Any, clock: Any) -> None:
        for number in range(10):
            door.miss(1, f"person {number}")
        assert door.knock("ada", "wrong") is Refused.TOO_MANY
        assert not door.opens()
        assert door.from_address("192.0.2.8").opens()
        clock.advance(61)
        assert door.opens()

    @pytest.mark.attack("LG8")
    def test_an_ipv6_site_is_one_address(self, door: Any) -> None:
        for number in range(10):
            door.from_address(f"2001:db8:0:1::{number}").miss(1, f"person {number}")
        assert door.from_address("2001:db8:0:1:ffff::1").knock("ada", "wrong") is Refused.TOO_MANY
        assert door.from_address("2001:db8:0:2::1").opens()

    @pytest.mark.attack("LG8")
    def test_stuffing_from_many_addresses_meets_the_global_limit_and_one_alarm(
        self, door: Any, db: Database, known_device: str
    ) -> None:
        answers = [
            door.from_address(f"198.51.100.{number}").knock(f"person {number}", "wrong") for number in range(100)
        ]
        assert answers.count(Refused.NO_MATCH) == 30
        assert events(db).count("signin.alarm") == 1
        assert len(events(db)) == 30 + 1  # the misses that were looked at, and the alarm
        assert door.on(known_device).opens()

    @pytest.mark.attack("LG8")
    def test_successes_use_nothing_up(self, door: Any) -> None:
        assert all(door.opens() for _ in range(50))


@pytest.mark.attack("LG10")
@pytest.mark.parametrize("work", ["verify", "hash"])
def test_a_try_that_was_cut_short_is_given_back(door: Any, monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    def busy(*_: object) -> None:
        raise HashingBusy("too many sign-ins at once")

    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "verify", lambda *_: Verdict(accepted=True, needs_rehash=True))
        patched.setattr(Passwords, work, busy)
        for _ in range(4):
            with pytest.raises(HashingBusy):
                door.knock("ada", "wrong")
    door.miss(4)
    assert door.opens()


@pytest.mark.attack("LG10")
def test_a_try_that_was_cut_short_takes_the_wait_it_began_with_it(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise HashingBusy("too many sign-ins at once")

    door.miss(4)
    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "verify", busy)
        with pytest.raises(HashingBusy):
            door.knock("ada", "wrong")
    assert door.opens()


def test_every_try_leaves_one_audit_row_without_what_was_typed(door: Any, db: Database) -> None:
    door.miss(1, "hunter2hunter2")
    door.miss(1, "ada")
    with db.read() as tx:
        rows = audit.recent(tx, 10)
    assert [(row.event, row.detail["reason"]) for row in rows] == [
        ("signin.refused", "unknown"),
        ("signin.refused", "wrong"),
    ]
    assert "hunter2" not in str([(row.detail, row.account_id) for row in rows])


def test_keys_name_nobody() -> None:
    assert throttle.unknown_key("ada@example.org") == throttle.unknown_key(" ADA@example.org")
    assert "ada" not in throttle.unknown_key("ada@example.org")


def test_the_numbers_are_those_of_the_settings(make_limits: Callable[..., Limits]) -> None:
    assert make_limits(throttle_free_tries=3, throttle_stop=50).free_tries == 3


@pytest.fixture
def make_limits(tmp_path: Any) -> Callable[..., Limits]:
    create_master_key(tmp_path / "master.key")

    def make(**given: object) -> Limits:
        return Limits.from_settings(Settings.load(None, master_key_file=tmp_path / "master.key", **given))

    return make


def test_the_wait_never_overflows() -> None:
    keeper = Throttle(replace(Limits(), longest_wait=timedelta(days=1)))
    assert keeper._wait(10_000) == timedelta(days=1)


def test_a_disabled_account_meets_the_same_refusal(door: Any, db: Database, person: Account, clock: Any) -> None:
    with db.write() as tx:
        account.disable(tx, person.id, clock())
    assert door.knock("ada", "correct horse battery staple") is Refused.NO_MATCH


def test_a_password_changed_while_it_was_checked_does_not_count(
    db: Database, passwords: Passwords, door: Any, person: Account, clock: Any
) -> None:
    local: LocalSignIn = door.local
    proof = local.authenticate(
        Attempt(login="ada", password="correct horse battery staple", device_hash=None, address=""), clock()
    )
    new = passwords.hash("another long password")
    with db.write() as tx:
        account.set_password(tx, person.id, new, clock())
    with db.write() as tx:
        assert not isinstance(proof, Refused)
        assert local.accept(tx, proof, clock()) is None
