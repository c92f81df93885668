"""Why somebody has a role: from a group over there to a claim in a token, link by link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from idp.accounts import mapping
from idp.federation.connector import Membership
from idp.store import role, ways
from idp.store.database import Session

WORDS: Mapping[str, str] = {"key": "group", "name": "name", "claim": "claim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to a role: by a group here, or by a rule of a connector.

    `groups` leads from the group that the person is in to the one that the rule names; each is nested in the next.
    """

    group: str | None = None
    connector: str | None = None
    groups: tuple[Membership, ...] = ()
    rule: str = ""
    seen_at: datetime | None = None  # when the directory last said so


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A role, what it grants, and every way to it."""

    role: str
    scopes: tuple[str, ...]
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """What somebody has at one API, and what its tokens say of it."""

    audience: str
    reasons: tuple[Reason, ...] = field(default=())

    @property
    def claims(self) -> dict[str, object]:
        """Return the claims of an access token for it; of the scopes, those that the client asks for and may have."""
        scopes = sorted({scope for reason in self.reasons for scope in reason.scopes})
        return {"roles": sorted(reason.role for reason in self.reasons), "scope": " ".join(scopes)}


def explain(tx: Session, account_id: str) -> list[At]:
    """Return everything an account has, with every way to it."""
    found = sorted(_ways(tx, account_id), key=lambda pair: (pair[0].audience, pair[0].role))
    return [
        At(audience=audience, reasons=tuple(_reasons(tx, list(pairs))))
        for audience, pairs in groupby(found, key=lambda pair: pair[0].audience)
    ]


def _ways(tx: Session, account_id: str) -> Iterator[tuple[ways.Held, Way]]:
    for held, group in ways.by_groups(tx, account_id):
        yield held, Way(group=group)
    for each in ways.by_rules(tx, account_id):
        groups = () if each.match == "claim" else mapping.chain(each, mapping.memberships(each.groups))
        rule = f"{WORDS[each.match]}:{each.pattern}"
        yield each.held, Way(connector=each.connector, groups=groups, rule=rule, seen_at=each.seen_at)


def _reasons(tx: Session, pairs: Sequence[tuple[ways.Held, Way]]) -> Iterator[Reason]:
    for (role_id, name), same in groupby(pairs, key=lambda pair: (pair[0].role_id, pair[0].role)):
        scopes = tuple(sorted(role.scopes(tx, role_id)))
        yield Reason(role=name, scopes=scopes, ways=tuple(way for _, way in same))
