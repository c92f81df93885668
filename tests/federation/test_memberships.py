"""Asking which groups these are in: as few questions as may be, and none after the time is over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from idp.federation.directory import listed, memberships
from idp.federation.directory.config import Config, Groups
from idp.federation.directory.groups import OutOfTime
from idp.federation.ldap.answers import NO_SUCH_OBJECT, REFERRAL, SIZE_LIMIT, SUCCESS, Answer, Entry, Gone
from idp.federation.ldap.line import Line

GROUPS = Groups(
    how="search",
    nested=True,
    base="dc=x",
    filter="(objectClass=groupOfNames)",
    member="member",
    name="cn",
    seconds=1.0,
    kept=60.0,
)


class Wire:
    """A line that answers as it is told to, and knows what was asked."""

    def __init__(self, code: int = SUCCESS, found: Sequence[str] = (), fault: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._code, self._found, self._fault = code, found, fault

    def search(self, _base: str, wanted: str, **_more: Any) -> tuple[Answer, list[Entry]]:
        self.asked.append(wanted)
        if self._fault is not None:
            raise self._fault
        return Answer(code=self._code), [_group(name) for name in self._found[:1]]

    def pages(self, _base: str, wanted: str, **_more: Any) -> Iterator[Entry]:
        self.asked.append(wanted)
        yield from (_group(name) for name in self._found)


def _group(name: str) -> Entry:
    return Entry(dn=f"cn={name},dc=x", attributes={"cn": [name.encode()]})


def above(wire: Wire, *keys: str, seconds: float = 5) -> dict[str, list[tuple[str, str]]]:
    return memberships.above(GROUPS, cast("Line", wire), keys, time.monotonic() + seconds)


def test_many_that_are_in_nothing_cost_one_question() -> None:
    wire = Wire()

    assert above(wire, "cn=a", "cn=b") == {"cn=a": [], "cn=b": []}
    assert wire.asked == ["(&(objectClass=groupOfNames)(|(member=cn=a)(member=cn=b)))"]


def test_each_is_asked_for_where_one_is_in_something() -> None:
    wire = Wire(found=["up"])

    assert above(wire, "cn=a", "cn=b") == {key: [("cn=up,dc=x", "up")] for key in ("cn=a", "cn=b")}
    assert len(wire.asked) == 3


def test_more_than_the_server_gives_at_once_are_read_in_pages() -> None:
    assert len(above(Wire(code=SIZE_LIMIT, found=["one", "two"]), "cn=a")["cn=a"]) == 2


@pytest.mark.attack("FD1")
def test_a_name_of_a_group_is_just_characters() -> None:
    wire = Wire()
    above(wire, "cn=a)(objectClass=*")

    assert wire.asked == ["(&(objectClass=groupOfNames)(|(member=cn=a\\29\\28objectClass=\\2a)))"]


@pytest.mark.attack("FD8")
@pytest.mark.parametrize("wire", [Wire(fault=Gone("speak", "slow")), Wire(code=53)])
def test_groups_that_cannot_be_had_are_not_none(wire: Wire) -> None:
    with pytest.raises(OutOfTime):
        above(wire, "cn=a")


@pytest.mark.attack("FD8")
def test_nobody_is_asked_after_the_time_is_over() -> None:
    wire = Wire()
    with pytest.raises(OutOfTime):
        above(wire, "cn=a", seconds=-1)

    assert not wire.asked


def test_a_directory_that_fails_while_members_are_asked_for_is_not_taken_for_an_empty_one() -> None:
    config = cast("Config", SimpleNamespace(groups=GROUPS, people=None))
    for code in (NO_SUCH_OBJECT, REFERRAL):
        assert list(listed.people(config, cast("Line", Wire(code)), ["cn=a"], [], seconds=1)) == []
    with pytest.raises(Gone):
        list(listed.people(config, cast("Line", Wire(51)), ["cn=a"], [], seconds=1))
