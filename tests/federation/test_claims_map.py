"""Paths into what a provider says, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from idp.federation.claims_map import ClaimsMap, Path
from idp.federation.connector import Misconfigured

DOCUMENT: dict[str, Any] = {
    "name": "Ada",
    "address": {"city": "London"},
    "https://slack.com/team_id": "T1",
    "emails": [
        {"email": "old@x.example", "primary": False, "verified": True},
        {"email": "ada@x.example", "primary": True, "verified": True},
    ],
    "roles": ["clerk", "boss"],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("name", ["Ada"]),
        ("$.name", ["Ada"]),
        ("address.city", ["London"]),
        ("$['https://slack.com/team_id']", ["T1"]),
        ("emails[0].email", ["old@x.example"]),
        ("emails[9].email", []),
        ("emails[*].email", ["old@x.example", "ada@x.example"]),
        ("emails[?primary=true].email", ["ada@x.example"]),
        ("emails[?primary=true][?verified=true].email", ["ada@x.example"]),
        ("emails[?email=old@x.example].verified", [True]),
        ("roles[*]", ["clerk", "boss"]),
        ("name.first", []),
        ("name[0]", []),
        ("nothing", []),
    ],
)
def test_a_path_leads_to_what_it_says(path: str, found: list[object]) -> None:
    assert Path.parse(path).all(DOCUMENT) == found


@pytest.mark.parametrize("path", ["", "$", "a..b", "a[", "a[x]", "a[?b]", "a b", "a[-1]"])
def test_refuses_what_is_no_path(path: str) -> None:
    with pytest.raises(Misconfigured):
        Path.parse(path)


@pytest.mark.attack("FD12")
@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"preferred_username": "ada"}, "ada"),
        ({"preferred_username": "boss@x.example"}, "boss"),
        ({"email": "boss@x.example"}, "boss"),
        ({"email": "boss@x.example", "email_verified": True}, "boss@x.example"),
        ({"email": "boss@x.example", "email_verified": True, "preferred_username": "root@x.example"}, "root"),
        ({"preferred_username": " "}, "u-1"),
        ({}, "u-1"),
    ],
)
def test_an_address_that_nobody_verified_is_nobodys_name(said: dict[str, Any], name: str) -> None:
    assert ClaimsMap.parse({}).identity("x", "u-1", [said]).username == name


@pytest.mark.attack("FD13")
def test_an_email_of_one_document_is_not_verified_by_another() -> None:
    who = ClaimsMap.parse({}).identity("x", "u-1", [{"email": "a@x.example"}, {"email_verified": True}])

    assert (who.email, who.email_verified) == ("a@x.example", False)


@pytest.mark.parametrize(
    ("word", "verified"), [(True, True), ("true", True), ("yes", False), (1, False), (None, False)]
)
def test_verified_is_a_yes_and_nothing_like_it(word: object, verified: object) -> None:
    who = ClaimsMap.parse({}).identity("x", "u-1", [{"email": "a@x.example", "email_verified": word}])

    assert who.email_verified is verified


def test_an_operator_may_vouch_for_every_email_of_a_provider() -> None:
    who = ClaimsMap.parse({"email_verified": True}).identity("x", "u-1", [{"email": "a@x.example"}])

    assert who.email_verified


def test_groups_come_from_every_path_and_once() -> None:
    paths = {"groups": ["groups", "realm_access.roles"]}
    document = {"groups": ["a", "b", 7], "realm_access": {"roles": ["b", "c"]}}

    who = ClaimsMap.parse(paths).identity("x", "u-1", [document, {"groups": "d"}])

    assert [each.name for each in who.groups] == ["a", "b", "c", "d"]


def test_other_names_become_claims_for_rules() -> None:
    who = ClaimsMap.parse({"hd": "hd"}).identity("x", "u-1", [{"hd": "x.example", "name": "Ada", "secret": "no"}])

    assert dict(who.claims) == {"hd": "x.example", "name": "Ada"}


@pytest.mark.parametrize("value", [None, "", "x" * 256, "a\nb", True, [], {}])
def test_a_subject_that_cannot_be_one_is_none(value: object) -> None:
    assert ClaimsMap.parse({}).subject_of({"sub": value}) is None


def test_a_subject_may_be_a_number() -> None:
    assert ClaimsMap.parse({"subject": "id"}).subject_of({"id": 583231}) == "583231"
