"""Who is in groups, by the lists that the groups keep: where no entry of a person names its groups."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from idp.federation.connector import Cannot
from idp.federation.directory.config import Config, Groups
from idp.federation.ldap import spelling
from idp.federation.ldap.answers import NO_SUCH_OBJECT, REFERRAL, SUCCESS, Entry, Gone
from idp.federation.ldap.line import BASE, Line

MOST: Final = 5_000  # members that are asked for one by one; with more, everybody is read no slower
# What says of a name that nobody we may see bears it (RFC 4511 appendix A): no DN, no right to read.
NOBODY: Final = frozenset({NO_SUCH_OBJECT, REFERRAL, 34, 50})


def people(
    config: Config, line: Line, keys: Sequence[str], attributes: Sequence[str], *, seconds: float
) -> Iterator[Entry]:
    """Give the entry of whoever is in these groups, directly or by others, each once; Cannot: they are too many."""
    groups, met = config.groups, {key.casefold() for key in keys}
    waiting = deque(keys)
    while waiting:
        for member in _members(groups, line, waiting.popleft(), seconds):
            if member.casefold() in met:
                continue
            if len(met) >= MOST:
                raise Cannot
            met.add(member.casefold())
            who = None
            if spelling.inside(member, config.people.base):
                who = _only(line, member, config.people.filter, attributes, seconds)
            if who is not None:
                yield who
            elif groups.nested and spelling.inside(member, groups.base):
                waiting.append(member)


def _members(groups: Groups, line: Line, dn: str, seconds: float) -> list[str]:
    found = _only(line, dn, groups.filter, [groups.member], seconds)
    return [] if found is None else found.texts(groups.member)


def _only(line: Line, dn: str, wanted: str, attributes: Sequence[str], seconds: float) -> Entry | None:
    answer, found = line.search(dn, wanted, scope=BASE, seconds=seconds, attributes=attributes)
    if answer.code != SUCCESS and answer.code not in NOBODY:
        raise Gone("speak", f"the search was answered with {answer.code}")
    return found[0] if len(found) == 1 else None
