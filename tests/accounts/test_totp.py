"""The authenticator: each time step once, a limit to guesses, seeds sealed to their rows."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pyotp
import pytest

from idp.accounts import totp
from idp.accounts.totp import Outcome
from idp.store import totp as store
from idp.store.account import Account
from idp.store.database import Database
from idp.store.sealed import SealBroken, Sealer


@pytest.fixture
def offer(sealer: Sealer, person: Account) -> totp.Enrolment:
    return totp.begin(sealer, signin_id="signin-1", account_id=person.id, username="Ada", issuer_name="Gatehouse")


@pytest.fixture
def app(offer: totp.Enrolment) -> pyotp.TOTP:
    """The app on the phone."""
    return pyotp.TOTP(offer.secret)


@pytest.fixture
def confirm(db: Database, sealer: Sealer, person: Account, offer: totp.Enrolment, clock: Any) -> Callable[[str], bool]:
    def type_code(typed: str) -> bool:
        with db.write() as tx:
            return totp.confirm(tx, sealer, person.id, enrolment=offer, typed=typed, now=clock())

    return type_code


@pytest.fixture
def check(db: Database, sealer: Sealer, person: Account, clock: Any) -> Callable[[str], Outcome]:
    def type_code(typed: str) -> Outcome:
        with db.write() as tx:
            return totp.check(tx, sealer, person.id, typed=typed, now=clock())

    return type_code


@pytest.fixture
def enrolled(confirm: Callable[[str], bool], app: pyotp.TOTP, clock: Any) -> pyotp.TOTP:
    """The app, after its first code; that step has passed."""
    assert confirm(app.at(clock()))
    clock.advance(60)
    return app


def wrong(app: pyotp.TOTP, clock: Any) -> str:
    near = {app.at(int(clock().timestamp()) + seconds) for seconds in (-30, 0, 30)}
    return next(f"{number:06}" for number in range(10) if f"{number:06}" not in near)


def test_the_offer_is_the_same_for_a_sign_in_and_another_for_the_next(sealer: Sealer, offer: totp.Enrolment) -> None:
    def begin(signin_id: str, account_id: str) -> str:
        found = totp.begin(sealer, signin_id=signin_id, account_id=account_id, username="Ada", issuer_name="Gatehouse")
        return found.secret

    assert begin("signin-1", "a") == begin("signin-1", "a")
    assert len({begin("signin-1", "a"), begin("signin-2", "a"), begin("signin-1", "b"), offer.secret}) == 4


def test_the_picture_obeys_a_strict_content_security_policy(offer: totp.Enrolment) -> None:
    assert offer.svg.startswith("<svg")
    assert not re.search(r"style=|<style|<script|\son\w+=|href|data:", offer.svg)


def test_the_address_in_the_picture_names_issuer_and_account(offer: totp.Enrolment) -> None:
    parsed = pyotp.parse_uri(offer.uri)
    assert (parsed.name, parsed.issuer, parsed.digits, parsed.interval) == ("Ada", "Gatehouse", 6, 30)
    assert offer.grouped.replace(" ", "") == offer.secret


@pytest.mark.attack("LG11")
def test_the_code_that_confirms_counts_as_used(
    confirm: Callable[[str], bool], check: Callable[[str], Outcome], app: pyotp.TOTP, clock: Any
) -> None:
    assert confirm(app.at(clock()))
    assert check(app.at(clock())) is Outcome.USED


def test_a_wrong_code_confirms_nothing(
    db: Database, confirm: Callable[[str], bool], app: pyotp.TOTP, clock: Any, person: Account
) -> None:
    assert not confirm(wrong(app, clock))
    with db.read() as tx:
        assert not store.confirmed(tx, person.id)


@pytest.mark.attack("LG17")
def test_a_second_factor_cannot_come_about_as_a_first_one(
    db: Database, sealer: Sealer, person: Account, enrolled: pyotp.TOTP, clock: Any
) -> None:
    other = totp.begin(sealer, signin_id="signin-2", account_id=person.id, username="Ada", issuer_name="Gatehouse")
    with db.write() as tx:
        code = pyotp.TOTP(other.secret).at(clock())
        assert not totp.confirm(tx, sealer, person.id, enrolment=other, typed=code, now=clock())


@pytest.mark.spec("RFC 6238 section 5.2")
@pytest.mark.parametrize(
    ("seconds", "outcome"), [(-30, "accepted"), (0, "accepted"), (30, "accepted"), (-60, "wrong"), (60, "wrong")]
)
def test_takes_a_code_one_step_to_either_side(
    enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any, seconds: int, outcome: str
) -> None:
    clock.advance(300)
    assert check(enrolled.at(int(clock().timestamp()) + seconds)).value == outcome


@pytest.mark.attack("LG11")
@pytest.mark.spec("RFC 6238 section 5.2")
def test_a_code_is_taken_once(enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any) -> None:
    code = enrolled.at(clock())
    assert check(code) is Outcome.ACCEPTED
    assert check(code) is Outcome.USED


@pytest.mark.attack("LG11")
def test_an_older_code_is_not_taken_after_a_newer_one(
    enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any
) -> None:
    old = enrolled.at(clock())
    clock.advance(30)
    assert check(enrolled.at(clock())) is Outcome.ACCEPTED
    assert check(old) is Outcome.USED


@pytest.mark.attack("LG13")
@pytest.mark.parametrize(
    "spelling",
    [
        lambda code: f" {code[:3]} {code[3:]}\n",
        lambda code: f"{code[:3]}-{code[3:]}",
        lambda code: "".join(chr(0xFF10 + int(digit)) for digit in code),
        lambda code: "".join(chr(0x0660 + int(digit)) for digit in code),
        "\u200b".join,
    ],
    ids=["spaces", "dash", "full width", "arabic-indic", "zero width"],
)
def test_every_spelling_of_a_code_is_that_code(
    enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any, spelling: Callable[[str], str]
) -> None:
    code = enrolled.at(clock())
    assert check(spelling(code)) is Outcome.ACCEPTED
    assert check(code) is Outcome.USED


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "12345x", "1" * 10_000, "\x00", "-12345"])
def test_what_is_no_code_is_a_miss(enrolled: pyotp.TOTP, check: Callable[[str], Outcome], typed: str) -> None:
    assert check(typed) is Outcome.WRONG


@pytest.mark.attack("LG12")
def test_of_fifty_parallel_uses_exactly_one_wins(
    enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any
) -> None:
    code = enrolled.at(clock())
    assert race(lambda: check(code), 50).count(Outcome.ACCEPTED) == 1


@pytest.mark.attack("LG14")
def test_twenty_misses_in_a_row_lock_the_factor(
    enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any
) -> None:
    for _ in range(20):
        assert check(wrong(enrolled, clock)) is Outcome.WRONG
    assert check(enrolled.at(clock())) is Outcome.LOCKED


@pytest.mark.attack("LG14")
def test_parallel_guesses_cannot_outrun_the_limit(
    enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any
) -> None:
    guess = wrong(enrolled, clock)
    assert race(lambda: check(guess), 60).count(Outcome.WRONG) == 20


@pytest.mark.attack("LG14")
def test_a_right_code_ends_the_row_of_misses(enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any) -> None:
    for _ in range(3):
        for _ in range(19):
            assert check(wrong(enrolled, clock)) is Outcome.WRONG
        assert check(enrolled.at(clock())) is Outcome.ACCEPTED
        clock.advance(60)


@pytest.mark.attack("LG14")
def test_an_operator_opens_a_locked_factor(
    db: Database, person: Account, enrolled: pyotp.TOTP, check: Callable[[str], Outcome], clock: Any
) -> None:
    for _ in range(20):
        check(wrong(enrolled, clock))
    with db.write() as tx:
        store.unlock(tx, person.id)
    assert check(enrolled.at(clock())) is Outcome.ACCEPTED


def test_without_a_factor_nothing_is_accepted(check: Callable[[str], Outcome], app: pyotp.TOTP, clock: Any) -> None:
    assert check(app.at(clock())) is Outcome.LOCKED


@pytest.mark.attack("ST2")
def test_the_seed_is_sealed_to_its_row(
    db: Database, sealer: Sealer, person: Account, enrolled: pyotp.TOTP, offer: totp.Enrolment
) -> None:
    with db.read() as tx:
        row = store.confirmed(tx, person.id)[0]
    assert offer.secret.encode() not in row.seed_sealed
    assert pyotp.TOTP(offer.secret).byte_secret() not in row.seed_sealed
    assert sealer.open(*totp.SEALED, row.id, row.seed_sealed) == pyotp.TOTP(offer.secret).byte_secret()
    with pytest.raises(SealBroken):
        sealer.open(*totp.SEALED, "another row", row.seed_sealed)


def race(act: Callable[[], Outcome], times: int) -> list[Outcome]:
    """Do something from many threads at once."""
    found: list[Outcome] = []
    start = threading.Barrier(10)

    def work() -> None:
        start.wait()
        found.extend(act() for _ in range(times // 10))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == times
    return found
