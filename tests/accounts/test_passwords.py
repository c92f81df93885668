"""Hashing of passwords: exact, bounded, and the same work for everybody."""

from __future__ import annotations

import os
import threading
import time

import pytest
from argon2 import extract_parameters

from idp.accounts import passwords
from idp.accounts.passwords import Cost, HashingBusy, Passwords, PasswordTooLong

CHEAP = Cost(memory_kib=8, time_cost=1, parallelism=1)


@pytest.fixture
def cheap() -> Passwords:
    return Passwords(CHEAP)


def test_accepts_the_right_password(cheap: Passwords) -> None:
    assert cheap.verify(cheap.hash("correct horse battery staple"), "correct horse battery staple").accepted


def test_refuses_a_wrong_password(cheap: Passwords) -> None:
    assert not cheap.verify(cheap.hash("correct horse battery staple"), "correct horse battery stapl").accepted


def test_refuses_every_password_without_a_stored_hash(cheap: Passwords) -> None:
    assert not cheap.verify(None, "").accepted


def test_refuses_a_damaged_hash(cheap: Passwords) -> None:
    assert not cheap.verify("$argon2id$broken", "correct horse battery staple").accepted


@pytest.mark.attack("LG9")
def test_every_byte_counts_the_73rd_too(cheap: Passwords) -> None:
    stored = cheap.hash("a" * 72 + "b")
    assert cheap.verify(stored, "a" * 72 + "b").accepted
    assert not cheap.verify(stored, "a" * 72 + "c").accepted
    assert not cheap.verify(stored, "a" * 72).accepted


@pytest.mark.attack("LG9")
@pytest.mark.parametrize("password", ["x" * 4097, "é" * 2049, "x" * 100_000_000], ids=["4097", "2049 wide", "100 MB"])
def test_refuses_a_huge_password_before_hashing(cheap: Passwords, password: str) -> None:
    begun = time.thread_time()
    with pytest.raises(PasswordTooLong):
        cheap.verify(None, password)
    assert time.thread_time() - begun < 0.05


def test_takes_the_password_exactly_as_received(cheap: Passwords) -> None:
    stored = cheap.hash(" Straße\x00 é ")
    assert cheap.verify(stored, " Straße\x00 é ").accepted
    for other in ("Straße\x00 é", " strasse\x00 é ", " Straße\x00 e\u0301 ", " Straße"):
        assert not cheap.verify(stored, other).accepted


@pytest.mark.attack("ST5")
def test_the_default_is_argon2id_of_19_mebibytes_and_two_passes() -> None:
    parameters = extract_parameters(Passwords().hash("correct horse battery staple"))
    assert parameters.type.name == "ID"
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2


@pytest.mark.attack("ST5")
def test_an_old_cost_asks_for_a_new_hash(cheap: Passwords) -> None:
    stored = cheap.hash("correct horse battery staple")
    assert not cheap.verify(stored, "correct horse battery staple").needs_rehash
    dearer = Passwords(Cost(memory_kib=16, time_cost=2, parallelism=1))
    assert dearer.verify(stored, "correct horse battery staple").needs_rehash
    assert not dearer.verify(stored, "wrong").needs_rehash


def test_the_strong_preset_is_64_mebibytes_and_three_passes() -> None:
    assert (passwords.STRONG.memory_kib, passwords.STRONG.time_cost) == (64 * 1024, 3)


@pytest.mark.attack("LG10")
def test_a_flood_is_told_to_come_back_while_slots_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Passwords(CHEAP, slots=2, max_wait=0.05)
    release, running, most, refused = threading.Event(), 0, 0, 0
    lock = threading.Lock()

    def slow(_stored: str, _secret: bytes) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(30)
        with lock:
            running -= 1
        return False

    def attempt() -> None:
        nonlocal refused
        try:
            pool.verify(None, "guess")
        except HashingBusy as busy:
            with lock:
                refused += (busy.status, busy.retry_after) == (503, 2)

    monkeypatch.setattr(pool, "_matches", slow)
    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while refused < 18 and time.monotonic() < deadline:
        time.sleep(0.01)
    release.set()
    for thread in threads:
        thread.join()
    assert (most, refused) == (2, 18)


def test_a_worker_tied_to_one_core_hashes_on_any(cheap: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    every = os.sched_getaffinity(0)
    seen: list[set[int]] = []

    def matches(_stored: str, _secret: bytes) -> bool:
        seen.append(os.sched_getaffinity(0))
        return True

    monkeypatch.setattr(cheap, "_matches", matches)

    def sign_in() -> None:
        cheap.verify(None, "a password")
        seen.append(os.sched_getaffinity(0))

    os.sched_setaffinity(0, {min(every)})  # as the first thread of a worker is, which itself answers nobody
    try:
        answering = threading.Thread(target=sign_in)
        answering.start()
        answering.join()
    finally:
        os.sched_setaffinity(0, every)
    assert seen == [every, {min(every)}]
