"""A real OpenLDAP read in the background: what has changed since the last look, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idp.federation.connector import Cannot, Mark
from idp.federation.directory import listed
from tests.federation.conftest import Connect
from tests.services.authority import Authority, Certificate
from tests.services.slapd import BASE, GROUPS, Administrator, Slapd, group, person


def now() -> datetime:
    return datetime.now(UTC)


class Corp(Administrator):
    """A directory in which nothing has changed for years."""

    def __init__(self, server: Slapd, authority: Authority) -> None:
        super().__init__(server, authority)
        self.server = server


@pytest.fixture(scope="module")
def corp(box: Path, certificate: Certificate, authority: Authority) -> Iterator[Corp]:
    server = Slapd(box / "moving", certificate, aged=True)
    made = Corp(server, authority)
    yield made
    made.line.unbind()
    server.stop()


@pytest.fixture
def mark(corp: Corp, connect: Connect) -> Mark:
    """What a whole look leaves, some minutes ago."""
    with connect(servers=[corp.server.ldaps]).look(None, now() - timedelta(minutes=30)) as look:
        assert not look.follows
        assert len(list(look.everybody())) == 28
        left = look.mark()
    assert left is not None
    return left


def test_who_has_changed_is_given_and_nobody_else(corp: Corp, connect: Connect, mark: Mark) -> None:
    corp.put(person("user000001"), "cn", "Another")
    with connect(servers=[corp.server.ldaps]).look(mark, now()) as look:
        assert look.follows
        assert {who.username: who.claims["name"] for who in look.changed()}["user000001"] == "Another"
    with connect(servers=[corp.server.ldaps]).look(mark, now()) as look:
        assert "user000019" not in {who.username for who in look.changed()}


def test_who_came_into_a_group_is_found_by_the_group(corp: Corp, connect: Connect, mark: Mark) -> None:
    corp.join("inner", person("user000002"))
    with connect(servers=[corp.server.ldaps]).look(mark, now()) as look:
        list(look.changed())
        touched = {climbed[0].name: [each.name for each in climbed] for climbed in look.changed_groups()}
        assert touched["inner"] == ["inner", "middle", "outer"]
        found = {who.username: who for who in look.people_in([group("outer")])}
    assert {"alice", "user000002"} == set(found)
    assert {each.name for each in found["user000002"].groups} >= {"inner", "middle", "outer"}


def test_who_left_a_group_is_read_by_the_key_alone(corp: Corp, connect: Connect, mark: Mark) -> None:
    corp.join("inner", person("user000003"))
    corp.leave("inner", person("user000003"))
    with connect(servers=[corp.server.ldaps]).look(mark, now()) as look:
        key = next(who.external_id for who in look.everybody() if who.username == "user000003")
        found = list(look.these([key, "00000000-0000-0000-0000-000000000000"]))
        assert [who.username for who in found] == ["user000003"]
        assert "inner" not in {each.name for each in found[0].groups}


def test_who_is_deleted_is_among_nobody_and_a_deleted_group_among_none(
    corp: Corp, connect: Connect, mark: Mark
) -> None:
    with connect(servers=[corp.server.ldaps]).look(mark, now()) as look:
        before, groups = set(look.ids()), set(look.groups())
        assert look.gone() is None
    assert corp.line.delete(person("user000018"))
    assert corp.line.delete(group("ring-b"))
    try:
        with connect(servers=[corp.server.ldaps]).look(mark, now()) as look:
            assert len(before - set(look.ids())) == 1
            assert groups - set(look.groups()) == {group("ring-b")}
    finally:
        corp.line.add(person("user000018"), ["inetOrgPerson"], {"uid": "user000018", "cn": "x", "sn": "x"})


def test_a_mark_of_another_server_is_not_followed(corp: Corp, connect: Connect, mark: Mark) -> None:
    with connect(servers=[corp.server.ldap]).look(mark, now()) as look:
        assert not look.follows


def test_where_no_entry_names_its_groups_people_are_found_by_the_groups_lists(
    corp: Corp, connect: Connect, mark: Mark
) -> None:
    corp.join("inner", person("user000005"))
    searching = connect(servers=[corp.server.ldaps], groups="search", group_base=GROUPS)
    with searching.look(mark, now()) as look:
        touched = {climbed[0].name: [each.name for each in climbed] for climbed in look.changed_groups()}
        assert touched["inner"] == ["inner", "middle", "outer"]
        found = {who.username: who for who in look.people_in([group("outer")])}
        # A circle is walked once, and who is in it is found.
        assert {who.username for who in look.people_in([group("ring-a")])} == {"müller"}
        assert list(look.people_in([group("nobody")])) == []
    assert {"alice", "user000005"} <= set(found)
    assert {each.name for each in found["user000005"].groups} >= {"inner", "middle", "outer"}


def test_lists_of_groups_are_followed_as_far_as_they_count(
    corp: Corp, connect: Connect, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(key: str, **changes: Any) -> set[str]:
        searching = connect(servers=[corp.server.ldaps], groups="search", group_base=GROUPS, **changes)
        with searching.look(mark, now()) as look:
            return {who.username for who in look.people_in([group(key)])}

    assert found("outer", nested_groups=False) == set()
    assert found("group0000", user_filter="(uid=user000006)") == {"user000006"}
    assert found("group0000", user_base=f"ou=refs,{BASE}") == set()
    monkeypatch.setattr(listed, "MOST", 3)
    with pytest.raises(Cannot):
        found("group0000")


def test_a_branch_that_was_renamed_has_everybody_read(corp: Corp, connect: Connect, mark: Mark) -> None:
    branch = f"ou=branch,{BASE}"
    assert corp.line.add(branch, ["organizationalUnit"])
    with connect(servers=[corp.server.ldaps]).look(mark, now()) as look:
        list(look.changed_groups())  # a new one has nothing in it that was known before
    assert corp.line.modify_dn(f"ou=refs,{BASE}", "ou=renamed")
    try:
        with connect(servers=[corp.server.ldaps]).look(mark, now()) as look, pytest.raises(Cannot):
            list(look.changed_groups())
    finally:
        assert corp.line.modify_dn(f"ou=renamed,{BASE}", "ou=refs")
        corp.age(f"ou=refs,{BASE}")
        assert corp.line.delete(branch)


def test_a_mark_never_lies_before_the_last_nor_behind_what_may_still_come(
    corp: Corp, connect: Connect, mark: Mark
) -> None:
    corp.put(person("user000004"), "cn", "Another")
    began = now()
    with connect(servers=[corp.server.ldaps]).look(mark, began) as look:
        list(look.changed())
        left = look.mark()
    assert left is not None
    assert mark["time"] <= left["time"] < (began - timedelta(seconds=50)).strftime("%Y%m%d%H%M%SZ")
    with connect(servers=[corp.server.ldaps]).look(left, began - timedelta(hours=1)) as look:
        assert look.mark() == left


def test_groups_are_read_as_far_as_they_count(corp: Corp, connect: Connect, mark: Mark) -> None:
    corp.put(group("inner"), "description", "another")
    flat = connect(servers=[corp.server.ldaps], nested_groups=False)
    with flat.look(mark, now()) as look:
        assert ["inner"] in [[each.name for each in climbed] for climbed in look.changed_groups()]
        assert {who.username for who in look.people_in([group("outer")])} == set()
    with connect(servers=[corp.server.ldaps], groups="none").look(mark, now()) as look:
        assert list(look.changed_groups()) == []


def test_where_the_stamp_may_not_be_read_the_next_look_reads_everybody(corp: Corp, connect: Connect) -> None:
    with connect(servers=[corp.server.ldaps]).look(None, now()) as look:
        look.stamp = "description"
        assert len(list(look.everybody())) >= 27
        assert look.mark() is None
