"""From groups elsewhere to roles here, by rules alone: a group that no rule names counts for nothing and is not kept.

So ten thousand groups cost a comparison each and no row (FD8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from re import sub
from typing import Protocol

from idp.federation.connector import Identity, Membership


class Pattern(Protocol):
    """What a rule asks for."""

    @property
    def match(self) -> str:
        """How: by key, by name, by claim."""

    @property
    def pattern(self) -> str:
        """Which."""


class Rule(Pattern, Protocol):
    """A rule as the store has it."""

    id: str
    role_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A role that a rule gives, and the group it comes from; None where it comes from a claim."""

    rule_id: str
    role_id: str
    group: Membership | None


def match(rules: Iterable[Rule], who: Identity) -> list[Given]:
    """Return what the rules give this person, a line for each rule that fits."""
    found = []
    for rule in rules:
        if rule.match == "claim":
            if _claims(rule.pattern, who.claims):
                found.append(Given(rule_id=rule.id, role_id=rule.role_id, group=None))
            continue
        group = next((each for each in who.groups if _fits(rule, each)), None)
        if group is not None:
            found.append(Given(rule_id=rule.id, role_id=rule.role_id, group=group))
    return found


def remembered(given: Sequence[Given], who: Identity) -> dict[str, object]:
    """Return the groups that gave something, and through which others the person is in them."""
    by_key = {plain_dn(each.key): each for each in who.groups}
    kept: dict[str, Membership] = {}
    for each in given:
        group = each.group
        while group is not None and group.key not in kept:
            kept[group.key] = group
            group = None if group.via is None else by_key.get(plain_dn(group.via))
    return _kept(kept.values())


def both(groups: Mapping[str, object], before: Mapping[str, object]) -> dict[str, object]:
    """Return what is remembered now and what was before, where not everything could be read now."""
    now = memberships(groups)
    there = {plain_dn(each.key) for each in now}
    return _kept([*now, *(each for each in memberships(before) if plain_dn(each.key) not in there)])


def memberships(groups: Mapping[str, object]) -> list[Membership]:
    """Read what is remembered."""
    found = groups.get("all", ())
    if not isinstance(found, list | tuple):
        return []
    return [Membership(key=each["key"], name=each["name"], via=each["via"]) for each in found]


def chain(rule: Pattern, groups: Sequence[Membership]) -> tuple[Membership, ...]:
    """Return the groups from the one that a person is in to the one that a rule names, each nested in the next."""
    by_key = {plain_dn(each.key): each for each in groups}
    link = next((each for each in groups if _fits(rule, each)), None)
    found: list[Membership] = []
    while link is not None and link not in found:
        found.append(link)
        link = None if link.via is None else by_key.get(plain_dn(link.via))
    return tuple(reversed(found))


def touches(rules: Iterable[Pattern], groups: Iterable[Membership]) -> bool:
    """Say whether any rule names any of these groups."""
    named = [rule for rule in rules if rule.match != "claim"]
    return any(_fits(rule, group) for group in groups for rule in named)


@lru_cache(maxsize=16_384)
def plain_dn(key: str) -> str:
    """Return one spelling of a DN: case and the space around its separators do not count."""
    return sub(r"\s*([,=+])\s*", r"\1", key).casefold().strip()


def _kept(groups: Iterable[Membership]) -> dict[str, object]:
    return {"all": [{"key": each.key, "name": each.name, "via": each.via} for each in groups]}


def _fits(rule: Pattern, group: Membership) -> bool:
    if rule.match == "key":
        return plain_dn(rule.pattern) == plain_dn(group.key)
    # Only * is a wildcard: a bracket or a question mark in a group's name is a letter.
    pattern = rule.pattern.casefold().replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(group.name.casefold(), pattern)


def _claims(pattern: str, claims: Mapping[str, object]) -> bool:
    name, equals, wanted = pattern.partition("=")
    value = claims.get(name)
    values = value if isinstance(value, list | tuple) else (value,)
    return bool(equals) and wanted in [str(each) for each in values if each is not None]
