"""Who closes an account and who opens it again: directories among themselves, and an operator over them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from idp.accounts import administration, federated, standing
from idp.accounts.connectors import Ready
from idp.accounts.federated import NotWelcome, Unwelcome
from idp.federation.connector import Outcome
from idp.store import account, identity
from idp.store.account import Account
from idp.store.database import Database
from tests.accounts.elsewhere import ADA, arrive

pytestmark = pytest.mark.attack("FD7")
DISABLED = replace(ADA, standing=Outcome.DISABLED)


@pytest.fixture
def person(db: Database, corp: Ready, clock: Any) -> Account:
    """Ada, who came by her directory."""
    return arrive(db, corp, ADA, clock)


def close(db: Database, place: Ready, clock: Any) -> bool:
    with db.write() as tx:
        found = identity.with_account(tx, place.id, ADA.external_id)
        assert found is not None
        return standing.close(tx, *found, clock())


def reopen(db: Database, place: Ready, clock: Any) -> bool:
    with db.write() as tx:
        found = identity.with_account(tx, place.id, ADA.external_id)
        assert found is not None
        return standing.reopen(tx, *found, ADA, clock())


def by_hand(db: Database, person: Account, clock: Any, *, enabled: bool) -> None:
    with db.write() as tx:
        found = account.find(tx, person.id)
        assert found is not None
        (administration.enable if enabled else administration.disable)(tx, found, clock())


def is_open(db: Database, person: Account) -> bool:
    with db.read() as tx:
        found = account.find(tx, person.id)
    assert found is not None
    return found.disabled_at is None


def test_what_a_directory_closed_opens_with_it(db: Database, corp: Ready, person: Account, clock: Any) -> None:
    assert close(db, corp, clock)
    assert not close(db, corp, clock)
    with pytest.raises(NotWelcome):
        arrive(db, corp, DISABLED, clock)
    assert not is_open(db, person)
    assert arrive(db, corp, ADA, clock).disabled_at is None


def test_what_an_operator_closed_stays_so_at_a_sign_in_and_at_a_look(
    db: Database, corp: Ready, person: Account, clock: Any
) -> None:
    by_hand(db, person, clock, enabled=False)
    assert not reopen(db, corp, clock)
    with pytest.raises(NotWelcome) as refused:
        arrive(db, corp, ADA, clock)
    assert refused.value.why is Unwelcome.CLOSED
    assert not is_open(db, person)


def test_what_an_operator_closed_after_its_directory_stays_so_when_the_directory_opens_it(
    db: Database, corp: Ready, person: Account, clock: Any
) -> None:
    assert close(db, corp, clock)
    by_hand(db, person, clock, enabled=False)
    assert not reopen(db, corp, clock)
    assert not is_open(db, person)


def test_a_directory_does_not_make_its_own_what_an_operator_has_closed(
    db: Database, corp: Ready, person: Account, clock: Any
) -> None:
    by_hand(db, person, clock, enabled=False)
    assert not close(db, corp, clock)
    assert not reopen(db, corp, clock)
    assert not is_open(db, person)


def test_an_old_closing_says_nothing_of_a_later_one_by_hand(
    db: Database, corp: Ready, person: Account, clock: Any
) -> None:
    assert close(db, corp, clock)
    by_hand(db, person, clock, enabled=True)
    by_hand(db, person, clock, enabled=False)
    assert not reopen(db, corp, clock)
    assert not is_open(db, person)


def test_what_an_operator_opened_is_closed_when_the_directory_says_so_again(
    db: Database, corp: Ready, person: Account, clock: Any
) -> None:
    assert close(db, corp, clock)
    by_hand(db, person, clock, enabled=True)
    assert is_open(db, person)
    assert close(db, corp, clock)
    assert reopen(db, corp, clock)
    assert is_open(db, person)


def test_of_two_directories_that_close_both_must_open(
    db: Database, corp: Ready, other: Ready, person: Account, clock: Any
) -> None:
    with db.write() as tx:
        federated.link(tx, other, replace(ADA, connector="branch"), person, clock())
    assert close(db, corp, clock)
    assert not close(db, other, clock)
    assert not reopen(db, corp, clock)
    assert not is_open(db, person)
    assert reopen(db, other, clock)
    assert is_open(db, person)


def test_a_look_that_began_before_an_operator_spoke_does_not_undo_it(
    db: Database, corp: Ready, person: Account, clock: Any
) -> None:
    with db.read() as tx:
        before = identity.with_account(tx, corp.id, ADA.external_id)
    assert before is not None
    by_hand(db, person, clock, enabled=False)
    with db.write() as tx:
        link, found = (tx.merge(each, load=False) for each in before)
        assert found.disabled_at is None
        assert not standing.close(tx, link, found, clock())
    assert not reopen(db, corp, clock)
    assert not is_open(db, person)
