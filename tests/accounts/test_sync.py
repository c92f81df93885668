"""A directory's truth, made true here within one look, and not believed when it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from idp.accounts import administration, federated
from idp.accounts.connectors import Ready
from idp.accounts.sync import Report, Sync
from idp.audit.log import AuditLog
from idp.federation.connector import Identity, Kind, Membership, NotSignedIn, Outcome
from idp.store import account, api, connector, lease, role
from idp.store.database import Database

STAFF = Membership(key="cn=staff,dc=test", name="staff")


class Fake:
    """A directory in memory, which may break in the middle."""

    name, kind = "corp", Kind.LDAP

    def __init__(self) -> None:
        self.people = {f"id-{number}": person(number) for number in range(20)}
        self.breaks = False

    def everybody(self) -> Iterator[Identity]:
        for number, who in enumerate(list(self.people.values())):
            if self.breaks and number == 10:
                raise NotSignedIn(Outcome.UNAVAILABLE, "speak: no answer")
            yield who

    def examine(self, _sample: str | None) -> Any:
        return iter(())

    def close(self) -> None:
        pass


def person(number: int) -> Identity:
    return Identity(connector="corp", external_id=f"id-{number}", username=f"user{number}", groups=(STAFF,))


@pytest.fixture
def directory() -> Fake:
    return Fake()


@pytest.fixture
def ready(db: Database, directory: Fake, clock: Any) -> Ready:
    """All twenty have signed in once, and are clerks by their group."""
    with db.write() as tx:
        row = connector.put(tx, name="corp", kind="ldap", label="Corp", config={}, now=clock())
        orders = api.create(tx, audience="https://orders.example", name="Orders", now=clock())
        clerk = role.create(tx, api_id=orders.id, name="clerk")
        connector.add_rule(tx, connector_id=row.id, match="name", pattern="st*", role_id=clerk.id, now=clock())
    made = Ready(
        id=row.id,
        version=1,
        name="corp",
        label="Corp",
        domains=frozenset(),
        provisioning="open",
        allowed_domains=frozenset(),
        visible=True,
        connector=directory,
    )
    with db.write() as tx:
        for who in directory.people.values():
            federated.arrive(tx, made, who, clock())
    return made


@pytest.fixture
def sync(db: Database, clock: Any) -> Sync:
    return Sync(db=db, audit=AuditLog(clock), holder="here", clock=clock)


def run(sync: Sync, ready: Ready, **how: Any) -> Report:
    report = sync.run(ready, **how)
    assert report is not None
    return report


def is_open(db: Database, name: str) -> bool:
    with db.read() as tx:
        found = account.find_by_login(tx, name)
    assert found is not None
    return found.disabled_at is None


def roles(db: Database, name: str) -> set[str]:
    with db.read() as tx:
        found = account.find_by_login(tx, name)
        assert found is not None
        return {each[0] for each in role.of_account(tx, found.id, "https://orders.example")}


@pytest.mark.attack("FD7")
def test_who_is_disabled_there_loses_the_account_and_every_grant_here(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    with db.read() as tx:
        victim = account.find_by_login(tx, "user3")
    assert victim is not None
    directory.people["id-3"] = replace(person(3), standing=Outcome.DISABLED)
    report = run(sync, ready)
    assert (report.closed, report.gone, report.trouble) == (["user3"], [], None)
    assert not is_open(db, "user3")
    with db.read() as tx:
        closed = account.find(tx, victim.id)
    assert closed is not None
    assert closed.not_before is not None
    assert is_open(db, "user4")


@pytest.mark.attack("FD7")
def test_who_is_gone_there_is_closed_and_who_comes_back_is_opened(
    db: Database, directory: Fake, ready: Ready, sync: Sync
) -> None:
    del directory.people["id-3"]
    assert run(sync, ready).gone == ["user3"]
    assert not is_open(db, "user3")
    assert run(sync, ready).gone == []
    directory.people["id-3"] = person(3)
    assert run(sync, ready).reopened == ["user3"]
    assert is_open(db, "user3")


def test_groups_that_changed_change_roles(db: Database, directory: Fake, ready: Ready, sync: Sync) -> None:
    assert roles(db, "user3") == {"clerk"}
    directory.people["id-3"] = replace(person(3), groups=())
    assert run(sync, ready).roles == ["user3"]
    assert roles(db, "user3") == set()
    assert roles(db, "user4") == {"clerk"}


def test_very_many_who_are_gone_are_not_believed_unless_somebody_says_so(
    db: Database, directory: Fake, ready: Ready, sync: Sync
) -> None:
    directory.people.clear()
    report = run(sync, ready)
    assert report.trouble is not None
    assert is_open(db, "user3")
    assert run(sync, ready, force=True).trouble is None
    assert not is_open(db, "user3")


def test_few_at_a_time_are_not_believed_for_long(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    """Six of twenty in a day are too many, however many looks it takes to miss them."""
    for number in range(5):
        clock.advance(300)
        del directory.people[f"id-{number}"]
        assert run(sync, ready).gone == [f"user{number}"]
    del directory.people["id-5"]
    assert run(sync, ready).trouble == (
        "6 of 20 people are gone within a day, 5 of them before: not believed; look, then say --force"
    )
    assert is_open(db, "user5")
    clock.advance(24 * 3600)
    assert run(sync, ready).trouble is None
    assert not is_open(db, "user5")


def test_who_went_with_somebodys_word_does_not_count_against_the_next(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    for number in range(8):
        del directory.people[f"id-{number}"]
    assert run(sync, ready, force=True).trouble is None
    del directory.people["id-8"]
    clock.advance(300)
    assert run(sync, ready).trouble is None
    assert not is_open(db, "user8")


def test_who_is_disabled_there_is_not_counted_as_gone(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    for number in range(10):
        directory.people[f"id-{number}"] = replace(person(number), standing=Outcome.DISABLED)
    assert len(run(sync, ready).closed) == 10
    clock.advance(300)
    del directory.people["id-15"]
    assert run(sync, ready).trouble is None
    assert not is_open(db, "user15")


def test_who_is_closed_here_makes_the_directory_no_larger(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    """A tenth is of those who are open: the leavers of many years are not among them."""
    with db.write() as tx:
        for number in range(100, 180):
            federated.arrive(tx, ready, person(number), clock())
    run(sync, ready, force=True)
    clock.advance(25 * 3600)
    for number in range(6):
        del directory.people[f"id-{number}"]
    assert run(sync, ready).trouble == "6 of 20 people are gone: not believed; look, then say --force"


def test_an_operators_word_is_not_undone_by_a_look(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    del directory.people["id-3"]
    run(sync, ready)
    with db.write() as tx:
        found = account.find_by_login(tx, "user3")
        assert found is not None
        administration.disable(tx, found, clock())
    directory.people["id-3"] = person(3)
    assert run(sync, ready).reopened == []
    assert not is_open(db, "user3")


def test_a_read_that_breaks_off_closes_nobody_for_being_gone(
    db: Database, directory: Fake, ready: Ready, sync: Sync
) -> None:
    directory.breaks = True
    assert run(sync, ready).trouble == "speak: no answer"
    assert is_open(db, "user15")
    with db.read() as tx:
        last = connector.sync(tx, ready.id)
    assert last is not None
    assert (last.trouble, last.full_at) == ("speak: no answer", None)


def test_a_dry_run_says_all_and_changes_nothing(db: Database, directory: Fake, ready: Ready, sync: Sync) -> None:
    directory.people["id-3"] = replace(person(3), standing=Outcome.DISABLED)
    directory.people["id-4"] = replace(person(4), groups=())
    del directory.people["id-5"]
    report = run(sync, ready, dry=True)
    assert (report.closed, report.roles, report.gone) == (["user3"], ["user4"], ["user5"])
    assert is_open(db, "user3")
    assert is_open(db, "user5")
    assert roles(db, "user4") == {"clerk"}
    with db.read() as tx:
        assert connector.sync(tx, ready.id) is None


def test_of_two_workers_one_syncs(db: Database, ready: Ready, sync: Sync, clock: Any) -> None:
    with db.write() as tx:
        assert lease.take(tx, f"sync:{ready.id}", "elsewhere", clock(), clock() + timedelta(minutes=1))
    assert sync.run(ready) is None
    clock.advance(61)
    assert run(sync, ready).read == 20
    assert not sync.due(ready, timedelta(minutes=5))
    clock.advance(301)
    assert sync.due(ready, timedelta(minutes=5))
