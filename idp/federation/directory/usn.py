"""Reading an Active Directory in the background: by the numbers its controllers give to changes.

Each controller counts for itself (MS-ADTS section 3.1.1.1.9), and one that was restored begins to count anew under
another invocation id: a mark holds for the very controller that gave it, as it was then.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from idp.federation.connector import Identity, Mark
from idp.federation.directory.look import PAGE, Look
from idp.federation.ldap import spelling
from idp.federation.ldap.answers import SUCCESS, Entry
from idp.federation.ldap.line import BASE, Line

if TYPE_CHECKING:
    from idp.federation.directory.connector import Directory

USN: Final = "uSNChanged"
EPOCH: Final = 11_644_473_600  # seconds from 1601, where its clocks begin, to 1970
TICKS: Final = 10_000_000
ROOT: Final = ("highestCommittedUSN", "dsServiceName", "defaultNamingContext")


class UsnLook(Look):
    """One look at one controller."""

    stamp = USN
    branches = "(objectClass=organizationalUnit)"

    def __init__(self, directory: Directory, line: Line, beside: Line, since: Mark | None, now: datetime) -> None:
        self._given: set[str] = set()
        root = _only(line, "", ROOT)
        # Read before anything else: what changes from here on is the next look's.
        self._usn = root.text("highestCommittedUSN") or ""
        self._service = root.text("dsServiceName") or ""
        self._root = root.text("defaultNamingContext") or directory.config.people.base
        invocation = _only(line, self._service, ("invocationId",)).raw("invocationId") if self._service else None
        self._invocation = invocation.hex() if invocation else ""
        super().__init__(directory, line, beside, since, now)

    def may_follow(self) -> bool:
        """Say whether the mark is of this controller, which has not been set back since."""
        told = (self.since.get("service"), self.since.get("invocation"))
        if not self._usn.isdecimal() or not all(told) or told != (self._service, self._invocation):
            return False
        return self.since.get("usn", "").isdecimal() and int(self.since["usn"]) <= int(self._usn)

    def changed(self) -> Iterator[Identity]:
        """Give whoever's entry has changed, and whoever's account has meanwhile come to its end by itself."""
        since, until = int(self.since["at"]), _ticks(self.began)
        over = f"(&(accountExpires>={since})(accountExpires<={until}))"
        for who in self._found(f"(&{self.people.filter}(|{self.newer()}{over}))"):
            self._given.add(who.external_id)
            yield who

    def newer(self) -> str:
        """Return the filter for what has changed since the last look."""
        return f"({USN}>={int(self.since['usn']) + 1})"

    def older(self) -> str:
        """Return the filter for what was there at the last look already."""
        return f"(uSNCreated<={int(self.since['usn'])})"

    def root(self) -> str:
        """Return where branches are; a catalogue has those of every domain."""
        return self._root if self.people.base else ""

    def names_groups(self) -> bool:
        """Every entry of a person does here."""
        return True

    def listing(self, group: str) -> str:
        """Return the filter for whoever is in a group directly; the primary group lists nobody."""
        listed = super().listing(group)
        sid = _only(self.beside, group, ("objectSid",)).raw("objectSid")
        if sid is None or len(sid) < 8:  # noqa: PLR2004 - the shortest SID there is
            return listed
        return f"{listed}(primaryGroupID={struct.unpack('<I', sid[-4:])[0]})"

    def written(self, external_id: str) -> str:
        """Write an objectGUID for a filter."""
        return spelling.octets(uuid.UUID(external_id).bytes_le)

    def gone(self) -> Iterable[str] | None:
        """Give who was deleted, and who changed so that they are no person of ours any more.

        Whoever may not see what was deleted cannot be told (None): an empty answer would look the same. Nor can be
        whoever reads a catalogue of many domains: each domain buries its own.
        """
        if not self.people.base:
            return None
        grave = f"CN=Deleted Objects,{self._root}"
        _, seen = self.line.search(grave, "(objectClass=*)", scope=BASE, seconds=PAGE, deleted=True)
        return self._gone() if seen else None

    def mark(self) -> Mark | None:
        """Return how far this controller was when the look began."""
        if not (self._usn.isdecimal() and self._service and self._invocation):
            return None
        return {
            "service": self._service,
            "invocation": self._invocation,
            "usn": self._usn,
            "at": str(_ticks(self.began)),
        }

    def _gone(self) -> Iterator[str]:
        dead = f"(&(isDeleted=TRUE){self.newer()})"
        moved = f"(&(objectCategory=person){self.newer()})"
        for wanted, deleted in ((dead, True), (moved, False)):
            for entry in self.line.pages(
                self._root, wanted, seconds=PAGE, attributes=[self.people.id], deleted=deleted
            ):
                key = self.directory.external_id(entry)
                if key is not None and key not in self._given:
                    yield key

    def _note(self, entry: Entry) -> None:
        """Numbers are the controller's to give: none is taken from an entry."""


def _only(line: Line, dn: str, attributes: tuple[str, ...]) -> Entry:
    answer, found = line.search(dn, "(objectClass=*)", scope=BASE, seconds=PAGE, attributes=attributes)
    if answer.code != SUCCESS or len(found) != 1:
        return Entry(dn=dn, attributes={})
    return found[0]


def _ticks(moment: datetime) -> int:
    return int((moment.timestamp() + EPOCH) * TICKS)
