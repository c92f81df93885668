"""Reading a directory in the background: everybody, or what has changed since the last look.

A group's list of members is the group's: when it changes, no entry of a person does. So groups are looked at for
themselves, and people are found by them.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from idp.federation.connector import Cannot, Identity, Mark, Membership, NotSignedIn, Outcome
from idp.federation.directory import listed, memberships, verdict
from idp.federation.directory.config import suffix
from idp.federation.directory.groups import Graph, Group
from idp.federation.ldap import spelling
from idp.federation.ldap.answers import NO_SUCH_OBJECT, SUCCESS, Entry
from idp.federation.ldap.line import Line

if TYPE_CHECKING:
    from idp.federation.directory.connector import Directory

PAGE: Final = 30.0  # seconds that one page may take
BATCH: Final = 50
STAMP: Final = "modifyTimestamp"
FORMAT: Final = "%Y%m%d%H%M%SZ"
STAMPED: Final = re.compile(r"[12]\d{3}[01]\d[0-3]\d[0-2]\d[0-5]\d[0-5]\d")
# It is stamped in whole seconds by the clock of whichever server took the change, which told this one a little later.
OVERLAP: Final = timedelta(seconds=60)
SKEW: Final = timedelta(minutes=15)  # so far the directory's clock may be behind ours


class Look:
    """One look by modifyTimestamp, which every LDAP directory has (RFC 4512 section 3.4.4)."""

    stamp = STAMP
    # What people and groups are kept in.
    branches = "(|(objectClass=organizationalUnit)(objectClass=organization)(objectClass=nsContainer))"

    def __init__(self, directory: Directory, line: Line, beside: Line, since: Mark | None, now: datetime) -> None:
        self.directory = directory
        self.people, self.of_groups = directory.config.people, directory.config.groups
        self.line, self.beside = line, beside
        self.since = since or {}
        self.began = now
        self._clock = time.monotonic()
        self._newest = ""
        # The shape of the groups as it is now, and not as it was remembered for somebody's sign-in.
        self._graph = Graph(math.inf)
        self.follows = self.may_follow()

    def may_follow(self) -> bool:
        """Say whether the mark is of this server: another one may not have heard yet what this one had."""
        return self.since.get("server") == str(self.line.address) and "time" in self.since

    def everybody(self) -> Iterator[Identity]:
        """Give everybody, a page at a time."""
        return self._found(self.people.filter)

    def changed(self) -> Iterator[Identity]:
        """Give whoever's entry has changed."""
        return self._found(f"(&{self.people.filter}{self.newer()})")

    def newer(self) -> str:
        """Return the filter for what has changed since the last look."""
        return f"({STAMP}>={self.since['time']})"

    def older(self) -> str:
        """Return the filter for what was there at the last look already."""
        return f"(!(createTimestamp>={self.since['time']}))"

    def root(self) -> str:
        """Return where branches are."""
        return suffix(self.people.base)

    def changed_groups(self) -> Iterator[tuple[Membership, ...]]:
        """Give each group that has changed, first, with all that it is in; Cannot where a branch was moved."""
        self._check_branches()
        groups = self.of_groups
        if groups.how == "none":
            return
        wanted = f"(&{groups.filter}{self.newer()})"
        for entry in self.line.pages(groups.base, wanted, seconds=PAGE, attributes=[groups.name, self.stamp]):
            self._note(entry)
            itself = (entry.dn, entry.text(groups.name) or entry.dn)
            if groups.nested:
                yield self._graph.climb([itself], self._parents).groups
            else:
                yield (Membership(key=itself[0], name=itself[1]),)

    def groups(self) -> Iterator[str]:
        """Give every group's DN."""
        groups = self.of_groups
        for entry in self.line.pages(groups.base, groups.filter, seconds=PAGE, attributes=["1.1"]):
            yield entry.dn

    def people_in(self, keys: Sequence[str]) -> Iterator[Identity]:
        """Give who is in these groups: found by their memberOf, or where that is not kept by the groups' own lists."""
        if not self.names_groups():
            for entry in listed.people(self.directory.config, self.beside, keys, self._read(), seconds=PAGE):
                yield from self._known(entry)
            return
        below = self._below(keys)
        for start in range(0, len(below), BATCH):
            among = "".join(self.listing(dn) for dn in below[start : start + BATCH])
            yield from self._found(f"(&{self.people.filter}(|{among}))")

    def names_groups(self) -> bool:
        """Say whether a person's own entry names the groups they are in."""
        return self.of_groups.how == "memberof"

    def listing(self, group: str) -> str:
        """Return the filter for whoever is in a group directly."""
        return f"(memberOf={spelling.literal(group)})"

    def these(self, external_ids: Sequence[str]) -> Iterator[Identity]:
        """Give those of these people who are there."""
        for start in range(0, len(external_ids), BATCH):
            among = "".join(f"({self.people.id}={self.written(key)})" for key in external_ids[start : start + BATCH])
            yield from self._found(f"(&{self.people.filter}(|{among}))")

    def written(self, external_id: str) -> str:
        """Write an id for a filter."""
        return spelling.literal(external_id)

    def gone(self) -> Iterable[str] | None:
        """LDAP keeps nothing of what was deleted."""
        return None

    def ids(self) -> Iterator[str]:
        """Give everybody's id."""
        read = (self.people.id, self.people.username)
        for entry in self.line.pages(self.people.base, self.people.filter, seconds=PAGE, attributes=read):
            key = self.directory.external_id(entry)
            if key is not None and self.directory.username(entry) is not None:
                yield key

    def mark(self) -> Mark | None:
        """Return a moment that was over, by the directory's clock, before this look began.

        The newest stamp that was seen says how late it is there at least; where nothing new was seen, our own clock
        serves, as far as the two may differ.
        """
        last = datetime.strptime(self.since["time"], FORMAT).replace(tzinfo=UTC) if self.follows else None
        reached = self.began - SKEW
        if self._newest:
            took = timedelta(seconds=time.monotonic() - self._clock)
            newest = datetime.strptime(self._newest[:14], FORMAT[:-1]).replace(tzinfo=UTC)
            reached = max(min(self.began, newest - took) - OVERLAP, reached)
        elif last is None:
            return None  # whoever searches may not read the stamp
        reached = reached if last is None else max(reached, last)
        return {"server": str(self.line.address), "time": reached.strftime(FORMAT)}

    def _found(self, wanted: str) -> Iterator[Identity]:
        for entry in self.line.pages(self.people.base, wanted, seconds=PAGE, attributes=self._read()):
            self._note(entry)
            yield from self._known(entry)

    def _read(self) -> tuple[str, ...]:
        return (*self.directory.attributes(), self.stamp)

    def _known(self, entry: Entry) -> Iterator[Identity]:
        if self.directory.external_id(entry) is not None and self.directory.username(entry) is not None:
            climbed = self.directory.climb(self.beside, entry, PAGE, graph=self._graph)
            yield self.directory.identity(entry, climbed)

    def _check_branches(self) -> None:
        """A branch that is moved or renamed takes all that is in it along, and no entry there says that it changed."""
        wanted = f"(&{self.branches}{self.newer()}{self.older()})"
        answer, found = self.beside.search(self.root(), wanted, seconds=PAGE, limit=1)
        if found or answer.code not in {SUCCESS, NO_SUCH_OBJECT}:
            raise Cannot

    def _below(self, keys: Sequence[str]) -> list[str]:
        """Return these groups and all that are in them, each once."""
        found = {key.casefold(): key for key in keys}
        level = list(found.values()) if self.of_groups.nested else []
        while level:
            fresh = []
            for start in range(0, len(level), BATCH):
                among = "".join(f"(memberOf={spelling.literal(dn)})" for dn in level[start : start + BATCH])
                wanted = f"(&{self.of_groups.filter}(|{among}))"
                pages = self.line.pages(self.of_groups.base, wanted, seconds=PAGE, attributes=["1.1"])
                fresh += [each.dn for each in pages if found.setdefault(each.dn.casefold(), each.dn) is each.dn]
            level = fresh
        return list(found.values())

    def _parents(self, keys: Sequence[str]) -> Mapping[str, Sequence[Group]]:
        return memberships.above(self.of_groups, self.beside, keys, time.monotonic() + PAGE)

    def _note(self, entry: Entry) -> None:
        stamp = entry.text(self.stamp) or ""
        if STAMPED.match(stamp):
            self._newest = max(self._newest, stamp)


@contextmanager
def begin(directory: Directory, since: Mark | None, now: datetime) -> Iterator[Look]:
    """Open two lines to one server, and close them."""
    if directory.config.bind_dn is None:
        # Read as nobody, a directory may look empty: that must close no account.
        raise NotSignedIn(Outcome.UNAVAILABLE, "nobody may search: bind_dn is missing")
    with verdict.told():
        line = directory.servers.open_search()
        try:
            beside = directory.servers.second(line)
            try:
                yield directory.looking(directory, line, beside, since, now)
            finally:
                beside.close()
        finally:
            line.close()
