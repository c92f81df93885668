"""Somebody of an Active Directory by a ticket: found by the number that the domain has signed, never by a name.

A ticket lives for hours. Who was renamed meanwhile is still found, who got a freed name is not taken for its former
bearer, and who was disabled is refused here.
"""

from __future__ import annotations

import struct

from idp.federation.connector import NotSignedIn, Outcome
from idp.federation.directory.connector import Directory
from idp.federation.ldap import spelling
from idp.federation.ldap.answers import NO_SUCH_OBJECT, SUCCESS, Answer, Entry
from idp.federation.ldap.line import BASE, Line


def entry(directory: Directory, domain_dn: str, rid: int, until: float) -> Entry:
    """Return the one person of a domain who bears this number (MS-DTYP section 2.4.2: the domain's SID, then it)."""
    people, attributes = directory.config.people, directory.attributes()

    def look(line: Line, seconds: float) -> tuple[Answer, list[Entry]]:
        answer, found = line.search(domain_dn, "(objectSid=*)", scope=BASE, seconds=seconds, attributes=["objectSid"])
        sid = found[0].raw("objectSid") if len(found) == 1 else None
        if sid is None:
            return answer, []
        whole = sid[:1] + bytes([sid[1] + 1]) + sid[2:] + struct.pack("<I", rid)
        wanted = f"(&{people.filter}(objectSid={spelling.octets(whole)}))"
        return line.search(people.base, wanted, seconds=seconds, attributes=attributes, limit=2)

    answer, found = directory.servers.search(until, look)
    if answer.code not in {SUCCESS, NO_SUCH_OBJECT}:
        raise NotSignedIn(Outcome.UNAVAILABLE, f"search: {answer.code}")
    if len(found) != 1:
        raise NotSignedIn(Outcome.NO_MATCH, "unknown")
    return found[0]
