"""Asking a directory which groups these are in, whoever or whatever they are."""

from __future__ import annotations

import time
from collections.abc import Sequence

from idp.federation.directory.config import Groups
from idp.federation.directory.groups import Group, OutOfTime
from idp.federation.ldap import spelling
from idp.federation.ldap.answers import NO_SUCH_OBJECT, SIZE_LIMIT, SUCCESS, Entry, Gone
from idp.federation.ldap.line import Line


def above(groups: Groups, line: Line, keys: Sequence[str], until: float) -> dict[str, list[Group]]:
    """Return which groups these are in. All at once first: most groups are in none."""
    if len(keys) > 1 and not _with(groups, line, keys, until):
        return {key: [] for key in keys}
    return {
        key: [(each.dn, each.text(groups.name) or each.dn) for each in _with(groups, line, [key], until)]
        for key in keys
    }


def _with(groups: Groups, line: Line, keys: Sequence[str], until: float) -> list[Entry]:
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise OutOfTime
    among = "".join(f"({groups.member}={spelling.literal(key)})" for key in keys)
    wanted = f"(&{groups.filter}(|{among}))"
    try:
        answer, found = line.search(groups.base, wanted, seconds=seconds, attributes=[groups.name])
        if answer.code == SIZE_LIMIT:
            found = list(line.pages(groups.base, wanted, seconds=seconds, attributes=[groups.name]))
    except Gone:
        # Slow groups are no reason to think the server away: whoever asks next finds out.
        raise OutOfTime from None
    if answer.code not in {SUCCESS, SIZE_LIMIT, NO_SUCH_OBJECT}:
        raise OutOfTime
    return found
