"""Groups of somebody in an Active Directory: it climbs by itself, and keeps the primary group apart."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Final

from idp.federation.connector import Membership
from idp.federation.directory.groups import Climbed, Graph, Group, OutOfTime
from idp.federation.ldap import spelling
from idp.federation.ldap.answers import SIZE_LIMIT, SUCCESS, Entry, Gone
from idp.federation.ldap.line import BASE, Line

if TYPE_CHECKING:
    from idp.federation.directory.config import Groups

IN_CHAIN: Final = "1.2.840.113556.1.4.1941"
SHORTEST_SID: Final = 8


def climb(groups: Groups, line: Line, entry: Entry, direct: list[Group], until: float) -> Climbed | None:
    """Ask the server for all groups at once; None where it is not done in time, or does not know the rule."""
    listed = entry.texts("memberOf")
    primary = [dn for dn, _ in direct if dn not in listed]
    try:
        found = _all(groups, line, [entry.dn, *primary], until)
        if found is None:
            return None
        for dn in primary:  # it is in none of its own
            found += line.search(
                dn,
                groups.filter,
                scope=BASE,
                seconds=left(until),
                attributes=[groups.name, "memberOf"],
            )[1]
    except (Gone, OutOfTime):
        return None
    names = {each.dn.casefold(): (each.dn, each.text(groups.name) or each.dn) for each in found}
    names |= {dn.casefold(): (dn, name) for dn, name in direct}
    above = {
        each.dn.casefold(): [names[dn.casefold()] for dn in each.texts("memberOf") if dn.casefold() in names]
        for each in found
    }
    climbed = Graph(0).climb(
        [names[dn.casefold()] for dn, _ in direct],
        lambda keys: {key: above.get(key.casefold(), ()) for key in keys},
    )
    # What the server found by a way that its groups do not show counts all the same.
    there = {each.key.casefold() for each in climbed.groups}
    rest = [Membership(key=dn, name=name) for key, (dn, name) in names.items() if key not in there]
    return Climbed(groups=(*climbed.groups, *rest), complete=climbed.complete)


def primary_sid(entry: Entry) -> bytes | None:
    """Return the SID of somebody's primary group: the domain's, and a number of its own."""
    sid, rid = entry.raw("objectSid"), entry.text("primaryGroupID") or ""
    if sid is None or len(sid) < SHORTEST_SID or not rid.isdecimal():
        return None
    return sid[:-4] + struct.pack("<I", int(rid) & 0xFFFFFFFF)


def by_sid(groups: Groups, line: Line, sid: bytes, until: float) -> Group | None:
    """Find a group by its SID."""
    wanted = f"(objectSid={spelling.octets(sid)})"
    try:
        _, found = line.search(groups.base, wanted, seconds=left(until), attributes=[groups.name])
    except Gone:
        raise OutOfTime from None
    return (found[0].dn, found[0].text(groups.name) or found[0].dn) if found else None


def left(until: float) -> float:
    """Return the seconds that are left, or raise OutOfTime."""
    remaining = until - time.monotonic()
    if remaining <= 0:
        raise OutOfTime
    return remaining


def _all(groups: Groups, line: Line, keys: list[str], until: float) -> list[Entry] | None:
    among = "".join(f"(member:{IN_CHAIN}:={spelling.literal(dn)})" for dn in keys)
    wanted, asked = f"(&{groups.filter}(|{among}))", [groups.name, "memberOf"]
    answer, found = line.search(groups.base, wanted, seconds=left(until), attributes=asked)
    if answer.code == SIZE_LIMIT:
        return list(line.pages(groups.base, wanted, seconds=left(until), attributes=asked))
    return found if answer.code == SUCCESS else None
