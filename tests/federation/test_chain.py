"""The groups that an Active Directory finds by itself, against a line that answers as told."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from idp.federation.directory import chain
from idp.federation.directory.config import Groups
from idp.federation.directory.groups import OutOfTime
from idp.federation.ldap.answers import SIZE_LIMIT, SUCCESS, Answer, Entry, Gone

GROUPS = Groups(
    how="memberof",
    nested=True,
    base="DC=corp",
    filter="(objectClass=group)",
    member="member",
    name="cn",
    seconds=1,
    kept=60,
)
ANN = Entry(dn="CN=ann,DC=corp", attributes={"memberof": [b"CN=Inner,DC=corp"]})


def group(name: str, *above: str) -> Entry:
    listed = [f"CN={each},DC=corp".encode() for each in above]
    return Entry(dn=f"CN={name},DC=corp", attributes={"cn": [name.encode()], "memberof": listed})


class Told:
    """Answers searches as it was told, and remembers them."""

    def __init__(self, *found: Entry, code: int = SUCCESS, gone: bool = False) -> None:
        self.found, self.code, self.gone = list(found), code, gone
        self.asked: list[tuple[str, str]] = []

    def search(self, base: str, wanted: str, **_: Any) -> tuple[Answer, list[Entry]]:
        self.asked.append((base, wanted))
        if self.gone:
            raise Gone("speak", "silent")
        if base != GROUPS.base:
            return Answer(code=SUCCESS), [each for each in self.found if each.dn == base]
        return Answer(code=self.code), self.found[:1] if self.code == SIZE_LIMIT else list(self.found)

    def pages(self, *_: Any, **__: Any) -> Iterator[Entry]:
        yield from self.found


def climb(line: Any, direct: list[tuple[str, str]] | None = None, seconds: float = 5) -> Any:
    direct = [("CN=Inner,DC=corp", "Inner")] if direct is None else direct
    return chain.climb(GROUPS, line, ANN, direct, time.monotonic() + seconds)


def shape(climbed: Any) -> dict[str, str | None]:
    return {each.name: each.via for each in climbed.groups}


@pytest.mark.attack("FD8")
def test_one_question_brings_all_levels_and_the_way_to_each() -> None:
    line = Told(group("Inner", "Middle"), group("Middle", "Outer", "Inner"), group("Outer", "Unknown"))
    found = climb(line)
    assert shape(found) == {"Inner": None, "Middle": "CN=Inner,DC=corp", "Outer": "CN=Middle,DC=corp"}
    assert found.complete
    assert len(line.asked) == 1
    assert "(member:1.2.840.113556.1.4.1941:=CN=ann,DC=corp)" in line.asked[0][1]


def test_a_dn_that_is_spelt_otherwise_is_the_same_group() -> None:
    found = climb(Told(group("Inner", "MIDDLE"), group("Middle")), [("cn=INNER,dc=corp", "Inner")])
    assert set(shape(found)) == {"Inner", "Middle"}
    assert shape(found)["Middle"] == "cn=INNER,dc=corp"


def test_a_group_whose_way_cannot_be_read_counts_all_the_same() -> None:
    assert shape(climb(Told(group("Inner"), group("Hidden")))) == {"Inner": None, "Hidden": None}


def test_the_primary_group_is_asked_for_beside_and_what_it_is_in() -> None:
    line = Told(group("Inner"), group("Everybody", "Guests"), group("Guests"))
    found = climb(line, [("CN=Inner,DC=corp", "Inner"), ("CN=Everybody,DC=corp", "Everybody")])
    assert shape(found) == {"Inner": None, "Everybody": None, "Guests": "CN=Everybody,DC=corp"}
    assert ":=CN=Everybody,DC=corp)" in line.asked[0][1]


@pytest.mark.attack("FD8")
def test_more_groups_than_one_answer_holds_are_read_in_pages() -> None:
    crowd = [group(f"g{number}") for number in range(3000)]
    found = climb(Told(group("Inner"), *crowd, code=SIZE_LIMIT))
    assert len(found.groups) == 3001


@pytest.mark.attack("FD8", "FD9")
@pytest.mark.parametrize(
    ("line", "seconds"),
    [(Told(gone=True), 5), (Told(group("Inner"), code=12), 5), (Told(group("Inner"), code=11), 5), (Told(), -1)],
)
def test_a_server_that_is_not_done_in_time_or_does_not_know_the_rule_leaves_it_to_us(
    line: Told, seconds: float
) -> None:
    assert climb(line, seconds=seconds) is None


SID = bytes([1, 2]) + bytes(6) + struct.pack("<II", 21, 1105)


@pytest.mark.parametrize(
    ("attributes", "sid"),
    [
        ({"objectsid": [SID], "primarygroupid": [b"513"]}, SID[:-4] + struct.pack("<I", 513)),
        ({"objectsid": [SID], "primarygroupid": [b"-1"]}, None),
        ({"objectsid": [SID]}, None),
        ({"objectsid": [b"\x01"], "primarygroupid": [b"513"]}, None),
        ({"primarygroupid": [b"513"]}, None),
    ],
)
def test_the_primary_group_is_of_the_same_domain(attributes: dict[str, list[bytes]], sid: bytes | None) -> None:
    assert chain.primary_sid(Entry(dn="CN=ann", attributes=attributes)) == sid


def test_a_primary_group_that_cannot_be_read_is_none_and_a_silent_server_is_no_answer() -> None:
    silent: Any = Told(gone=True)
    nobody: Any = Told()
    nameless: Any = Told(Entry(dn="CN=x,DC=corp", attributes={}))
    assert chain.by_sid(GROUPS, nobody, SID, time.monotonic() + 5) is None
    assert chain.by_sid(GROUPS, nameless, SID, time.monotonic() + 5) == ("CN=x,DC=corp", "CN=x,DC=corp")
    with pytest.raises(OutOfTime):
        chain.by_sid(GROUPS, silent, SID, time.monotonic() + 5)
