"""Looks that ask for what has changed: what they find, when they are not believed, when everybody is read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from idp.accounts import federated
from idp.accounts.connectors import Ready
from idp.accounts.sync import Report, Sync
from idp.audit.log import AuditLog
from idp.federation.connector import (
    Cannot,
    FollowedConnector,
    Identity,
    Kind,
    Mark,
    Membership,
    NotSignedIn,
    Outcome,
)
from idp.store import account, api, connector, lease, role
from idp.store.database import Database

AUDIENCE = "https://orders.example"


def group(name: str, via: str | None = None) -> Membership:
    return Membership(key=f"cn={name},dc=test", name=name, via=None if via is None else f"cn={via},dc=test")


class Fake:
    """A directory in memory that remembers what has changed; `staff` is in `clerks`."""

    name, kind = "corp", Kind.LDAP

    def __init__(self) -> None:
        self.people = {f"id-{number}": person(number) for number in range(20)}
        self.all_groups = {"staff": ("clerks",), "clerks": (), "others": ()}
        self.changed_ids: set[str] = set()
        self.changed_groups: list[str] = []
        self.tombstones: list[str] | None = None
        self.follows, self.told_apart, self.marked = True, True, True
        self.marks: list[Mark | None] = []
        self.during: list[Any] = []

    def everybody(self) -> Iterator[Identity]:
        return iter(list(self.people.values()))

    def look(self, since: Mark | None, now: datetime) -> AbstractContextManager[Look]:
        @contextmanager
        def begun() -> Iterator[Look]:
            self.marks.append(since)
            yield Look(self, since, now)

        return begun()

    def change(self, number: int, **facts: Any) -> None:
        self.people[f"id-{number}"] = replace(self.people[f"id-{number}"], **facts)
        self.changed_ids.add(f"id-{number}")

    def move(self, number: int, *groups: Membership) -> None:
        """Change the groups of somebody, whose entry stays as it was."""
        self.people[f"id-{number}"] = replace(self.people[f"id-{number}"], groups=groups)

    def examine(self, _sample: str | None) -> Any:
        return iter(())

    def close(self) -> None:
        pass


class Look:
    def __init__(self, fake: Fake, since: Mark | None, now: datetime) -> None:
        self.fake, self.now = fake, now
        self.follows = since is not None and fake.follows

    def everybody(self) -> Iterator[Identity]:
        return self.fake.everybody()

    def changed(self) -> Iterator[Identity]:
        for each in self.fake.during:
            each()
        return iter([self.fake.people[key] for key in sorted(self.fake.changed_ids) if key in self.fake.people])

    def changed_groups(self) -> Iterator[tuple[Membership, ...]]:
        for name in self.fake.changed_groups:
            yield (group(name), *(group(each, via=name) for each in self.fake.all_groups[name]))

    def groups(self) -> Iterator[str]:
        return iter([group(name).key for name in self.fake.all_groups])

    def people_in(self, keys: Sequence[str]) -> Iterator[Identity]:
        if not self.fake.told_apart:
            raise Cannot
        return iter([who for who in self.fake.people.values() if {each.key for each in who.groups} & set(keys)])

    def these(self, external_ids: Sequence[str]) -> Iterator[Identity]:
        return iter([self.fake.people[key] for key in external_ids if key in self.fake.people])

    def gone(self) -> Iterable[str] | None:
        return self.fake.tombstones

    def ids(self) -> Iterator[str]:
        return iter(list(self.fake.people))

    def mark(self) -> Mark | None:
        return {"at": self.now.isoformat()} if self.fake.marked else None


def person(number: int) -> Identity:
    groups = (group("staff"), group("clerks", via="staff"))
    return Identity(connector="corp", external_id=f"id-{number}", username=f"user{number}", groups=groups)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def directory() -> Fake:
    return Fake()


@pytest.fixture
def sync(db: Database, clock: Any) -> Sync:
    return Sync(db=db, audit=AuditLog(clock), holder="here", clock=clock)


@pytest.fixture
def ready(db: Database, directory: Fake, clock: Any, sync: Sync) -> Ready:
    """All twenty have signed in once, are clerks by the group around theirs, and were looked at an hour ago."""
    assert isinstance(directory, FollowedConnector)
    with db.write() as tx:
        row = connector.put(tx, name="corp", kind="ldap", label="Corp", config={}, now=clock())
        orders = api.create(tx, audience=AUDIENCE, name="Orders", now=clock())
        clerk = role.create(tx, api_id=orders.id, name="clerk")
        rule = {"connector_id": row.id, "match": "key", "pattern": "CN=clerks, DC=test", "role_id": clerk.id}
        connector.add_rule(tx, **rule, now=clock())
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
    assert run(sync, made).full
    clock.advance(3600)
    return made


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
        return {each[0] for each in role.of_account(tx, found.id, AUDIENCE)}


def state(db: Database, ready: Ready) -> Any:
    with db.read() as tx:
        last = connector.sync(tx, ready.id)
    assert last is not None
    return last.state


@pytest.mark.attack("FD7")
def test_only_who_has_changed_is_read_and_who_is_disabled_is_closed(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    began = clock()
    directory.change(3, standing=Outcome.DISABLED)
    report = run(sync, ready)
    assert (report.full, report.read, report.closed) == (False, 1, ["user3"])
    assert not is_open(db, "user3")
    assert state(db, ready)["mark"] == {"at": began.isoformat()}
    directory.change(3, standing=None)
    assert run(sync, ready).reopened == ["user3"]
    assert directory.marks[-1] == {"at": began.isoformat()}


def test_who_left_a_group_loses_its_role_though_no_entry_of_theirs_has_changed(
    db: Database, directory: Fake, ready: Ready, sync: Sync
) -> None:
    directory.move(3)
    directory.move(4, group("clerks"))
    directory.changed_groups = ["staff"]
    report = run(sync, ready)
    assert [each.line() for each in report.changes] == ["~ user3  roles: -clerk"]
    assert (roles(db, "user3"), roles(db, "user4")) == (set(), {"clerk"})


def test_who_came_into_a_group_gets_its_role(db: Database, directory: Fake, ready: Ready, sync: Sync) -> None:
    directory.change(3, groups=())
    run(sync, ready)
    directory.changed_ids.clear()
    directory.move(3, group("staff"), group("clerks", via="staff"))
    directory.changed_groups = ["staff"]
    assert run(sync, ready).roles == ["user3"]
    assert roles(db, "user3") == {"clerk"}


def test_a_group_that_counts_for_nothing_has_nobody_read(directory: Fake, ready: Ready, sync: Sync) -> None:
    directory.changed_groups = ["others"]
    assert run(sync, ready).read == 0


def test_a_group_that_was_deleted_gives_nothing_any_more(
    db: Database, directory: Fake, ready: Ready, sync: Sync
) -> None:
    for number in range(20):
        directory.move(number)
    del directory.all_groups["staff"]
    assert len(run(sync, ready).roles) == 20
    assert roles(db, "user7") == set()
    assert state(db, ready)["groups"] == ["cn=clerks,dc=test"]
    assert run(sync, ready).read == 0


def test_a_group_of_somebody_who_came_between_two_looks_is_watched_too(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    late = replace(person(30), groups=(group("new"), group("clerks", via="new")))
    directory.people["id-30"] = late
    with db.write() as tx:
        federated.arrive(tx, ready, late, clock())
    directory.move(30)
    assert run(sync, ready).roles == ["user30"]


@pytest.mark.attack("FD7")
@pytest.mark.parametrize("told", [True, False])
def test_who_is_gone_is_closed_whether_the_directory_tells_or_not(
    db: Database, directory: Fake, ready: Ready, sync: Sync, *, told: bool
) -> None:
    del directory.people["id-3"]
    directory.tombstones = ["id-3", "id-of-a-stranger"] if told else None
    assert run(sync, ready).gone == ["user3"]
    assert not is_open(db, "user3")
    assert run(sync, ready).gone == []


@pytest.mark.parametrize("told", [True, False])
def test_when_too_many_are_gone_nobody_is_closed_and_the_mark_stays(
    db: Database, directory: Fake, ready: Ready, sync: Sync, *, told: bool
) -> None:
    before = state(db, ready)
    directory.tombstones = list(directory.people) if told else None
    directory.people.clear()
    report = run(sync, ready)
    assert report.trouble is not None
    assert "20 of 20" in report.trouble
    assert is_open(db, "user3")
    assert state(db, ready) == before
    assert run(sync, ready, force=True).trouble is None
    assert not is_open(db, "user3")


def test_what_cannot_be_told_apart_is_read_whole(directory: Fake, ready: Ready, sync: Sync) -> None:
    directory.change(3, groups=())
    directory.changed_groups, directory.told_apart = ["staff"], False
    report = run(sync, ready, dry=True)
    assert (report.full, report.read, report.roles) == (True, 20, ["user3"])


def test_everybody_is_read_where_the_mark_does_not_hold(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    assert not run(sync, ready).full
    assert run(sync, ready, full=True).full
    assert run(sync, replace(ready, version=2)).full
    assert not run(sync, replace(ready, version=2)).full
    directory.follows = False
    assert run(sync, replace(ready, version=2)).full
    directory.follows = True
    clock.advance(timedelta(days=1).total_seconds())
    assert run(sync, replace(ready, version=2)).full
    with db.write() as tx:
        orders = api.find(tx, AUDIENCE)
        assert orders is not None
        reader = role.create(tx, api_id=orders.id, name="reader")
        connector.add_rule(tx, connector_id=ready.id, match="name", pattern="staff", role_id=reader.id, now=clock())
    assert run(sync, replace(ready, version=2)).full
    assert roles(db, "user3") == {"clerk", "reader"}
    directory.marked = False
    assert run(sync, replace(ready, version=2), full=True).trouble is None
    assert state(db, ready) is None
    assert run(sync, replace(ready, version=2)).full


def test_a_look_that_breaks_off_and_one_that_only_looks_leave_the_mark_where_it_was(
    db: Database, directory: Fake, ready: Ready, sync: Sync
) -> None:
    def breaks() -> None:
        raise NotSignedIn(Outcome.UNAVAILABLE, "speak: no answer")

    before = state(db, ready)
    directory.during = [breaks]
    assert run(sync, ready).trouble == "speak: no answer"
    assert state(db, ready) == before
    directory.during = []
    directory.change(3, standing=Outcome.DISABLED)
    assert [each.line() for each in run(sync, ready, dry=True).changes] == ["- user3  closed: disabled"]
    assert state(db, ready) == before
    assert is_open(db, "user3")


def test_a_fault_of_ours_is_not_taken_for_the_end(db: Database, directory: Fake, ready: Ready, sync: Sync) -> None:
    before = state(db, ready)
    directory.during = [lambda: 1 / 0]
    with pytest.raises(ZeroDivisionError):
        sync.run(ready)
    assert state(db, ready) == before
    with db.read() as tx:
        last = connector.sync(tx, ready.id)
    assert last is not None
    assert last.trouble == "it broke off"
    directory.during = []
    assert run(sync, ready).trouble is None


def test_who_was_silent_for_too_long_stops_where_another_has_taken_over(
    db: Database, directory: Fake, ready: Ready, sync: Sync, clock: Any
) -> None:
    def taken_over() -> None:
        clock.advance(301)
        with db.write() as tx:
            assert lease.take(tx, f"sync:{ready.id}", "elsewhere", clock(), clock() + timedelta(minutes=5))

    directory.during = [taken_over]
    directory.change(3, standing=Outcome.DISABLED)
    assert run(sync, ready).trouble == "another process has taken over"
    assert is_open(db, "user3")


def test_how_far_it_is_is_told_with_how_many_there_are(directory: Fake, ready: Ready, sync: Sync) -> None:
    told: list[tuple[int, int]] = []
    run(sync, ready, full=True, progress=lambda done, total: told.append((done, total)))
    assert told == [(20, 20)]
