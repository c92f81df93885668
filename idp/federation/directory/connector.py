"""Sign-in at an LDAP directory: search, ask whether the password may leave, bind, read groups."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Final, Self

from idp.federation.connector import (
    Finding,
    Identity,
    Kind,
    Made,
    Mark,
    MayTry,
    Membership,
    NotSignedIn,
    Outcome,
)
from idp.federation.directory import examine, look, memberships, verdict
from idp.federation.directory.config import Config
from idp.federation.directory.groups import Climbed, Graph, Group, OutOfTime
from idp.federation.directory.look import Look
from idp.federation.directory.names import Place
from idp.federation.directory.servers import Servers
from idp.federation.ldap import spelling
from idp.federation.ldap.answers import NO_SUCH_OBJECT, REFERRAL, SIZE_LIMIT, SUCCESS, Answer, Entry, Gone
from idp.federation.ldap.line import BASE, Line

LONGEST_NAME: Final = 256
LOCK_FOR_GOOD: Final = "000001010000Z"
LOCKED: Final = "pwdAccountLockedTime"


class Directory:
    """One LDAP directory. Kinds that differ fill in how somebody is found and what an answer means."""

    kind = Kind.LDAP
    looking: type[Look] = Look

    def __init__(self, config: Config) -> None:
        self.name = config.name
        self.tries, self.tries_window = config.reach.tries, config.reach.tries_window
        self.config = config
        service = None
        if config.bind_dn is not None and config.bind_password is not None:
            service = (config.bind_dn, config.bind_password)
        self.servers = Servers(config.reach, service)
        self.graph = Graph(config.groups.kept)

    @classmethod
    def make(cls, made: Made) -> Self:
        """Make a connector of its settings."""
        return cls(Config.parse(made.name, made.config, made.secrets))

    def authenticate(self, username: str, password: str, may_try: MayTry) -> Identity:
        """Return who this is, or raise NotSignedIn."""
        # RFC 4513 section 5.1.2: a bind without a password is anonymous, and may be answered with success.
        if not password or "\x00" in password:
            raise NotSignedIn(Outcome.NO_MATCH, "empty password")
        name = self.checked(username)
        with verdict.told(), self.servers.turn() as until:
            if self.config.people.template is not None:
                return self._by_template(name, password, may_try, until)
            entry = self.only(name, until)
            self.prove(entry, password, may_try, until)
            return self.identity(entry, self.groups_of(entry, until))

    def find(self, username: str) -> Identity | None:
        """Return who a name means; None when nobody, or more than one."""
        if self.config.people.template is not None and self.config.bind_dn is None:
            return None
        try:
            name = self.checked(username)
            with verdict.told(), self.servers.turn() as until:
                entry = self.only(name, until)
                return self.identity(entry, self.groups_of(entry, until))
        except NotSignedIn as refused:
            if refused.outcome is Outcome.NO_MATCH:
                return None
            raise

    def everybody(self) -> Iterator[Identity]:
        """Give everybody, a page at a time."""
        with self.look(None, datetime.now(UTC)) as looking:
            yield from looking.everybody()

    def look(self, since: Mark | None, now: datetime) -> AbstractContextManager[Look]:
        """Begin a look in the background."""
        return look.begin(self, since, now)

    def examine(self, sample: str | None) -> Iterator[Finding]:
        """Walk the steps of a sign-in without a password."""
        yield from examine.walk(self, sample)
        yield from examine.single(self.tries)

    def close(self) -> None:
        """Close kept lines."""
        self.servers.close()

    # What kinds fill in.

    def checked(self, username: str) -> str:
        """Return the name as it is looked for."""
        name = username.strip()
        if not name or len(name) > LONGEST_NAME or "\x00" in name:
            raise NotSignedIn(Outcome.NO_MATCH, "name")
        return name

    def wanted(self, name: str) -> str:
        """Return the filter that finds somebody by what they typed; escaped here and nowhere else."""
        value = spelling.literal(name)
        among = "".join(f"({attribute}={value})" for attribute in self.config.people.logins)
        return f"(&{self.config.people.filter}(|{among}))"

    def places(self, name: str) -> Sequence[Place]:
        """Return where to look for a name and by which filter; the next place only where nobody is in the last."""
        return [Place(self.config.people.base, self.wanted(name))]

    def attributes(self) -> tuple[str, ...]:
        """Name what is read of somebody."""
        groups = ("memberOf",) if self.config.groups.how == "memberof" else ()
        return (*self.config.people.attributes, *groups, LOCKED)

    def sought(self) -> tuple[str, ...]:
        """Name what is read of somebody by the name they typed."""
        return self.attributes()

    def external_id(self, entry: Entry) -> str | None:
        """Return what never changes and is never given to another."""
        found = entry.text(self.config.people.id)
        return found.lower() if found else None

    def bind_name(self, entry: Entry) -> str:
        """Return the name under which somebody binds."""
        return entry.dn

    def judge(self, answer: Answer) -> None:
        """Refuse whoever the directory refuses."""
        verdict.judge(answer)

    def standing(self, entry: Entry) -> Outcome | None:
        """Say whether somebody may sign in, as far as it can be read. A lock that opens by itself is no closing."""
        return Outcome.LOCKED if entry.text(LOCKED) == LOCK_FOR_GOOD else None

    def username(self, entry: Entry) -> str | None:
        """Return the name that is shown."""
        return entry.text(self.config.people.username)

    def direct(self, line: Line, entry: Entry, until: float) -> list[Group]:
        """Return the groups that somebody is in directly."""
        if self.config.groups.how == "memberof":
            return [(dn, name_in(dn)) for dn in entry.texts("memberOf")]
        return memberships.above(self.config.groups, line, [entry.dn], until)[entry.dn]

    def climb(self, line: Line, entry: Entry, seconds: float, graph: Graph | None = None) -> Climbed:
        """Return all groups of somebody; `graph` is what is known of the groups' own groups."""
        groups = self.config.groups
        if groups.how == "none":
            return Climbed(groups=(), complete=True)
        until = _moment() + seconds

        def parents(keys: Sequence[str]) -> Mapping[str, Sequence[Group]]:
            return memberships.above(groups, line, keys, until)

        try:
            direct = self.direct(line, entry, until)
        except OutOfTime:
            return Climbed(groups=(), complete=False)
        if not groups.nested:
            return Climbed(groups=tuple(Membership(key=key, name=name) for key, name in direct), complete=True)
        return (graph or self.graph).climb(direct, parents)

    def identity(self, entry: Entry, climbed: Climbed) -> Identity:
        """Put together what is told of somebody."""
        people = self.config.people
        key, username = self.external_id(entry), self.username(entry)
        if key is None or username is None:
            # Without a key that stays, the next bearer of the name would be the same person (FD11).
            raise NotSignedIn(Outcome.UNAVAILABLE, f"entry without {people.id} or {people.username}")
        email = entry.text(people.email)
        claims = {name: entry.text(attribute) for name, attribute in people.claims.items()}
        return Identity(
            connector=self.name,
            external_id=key,
            username=username,
            email=email,
            email_verified=people.email_verified and email is not None,
            groups=climbed.groups,
            groups_complete=climbed.complete,
            claims={name: value for name, value in claims.items() if value},
            amr=("pwd",),
            standing=self.standing(entry),
        )

    def only(self, name: str, until: float) -> Entry:
        """Return the one entry that a name means."""
        places, attributes = self.places(name), self.sought()

        def look(line: Line, seconds: float) -> tuple[Answer, list[Entry]]:
            for each in places:
                most = 2 + len(each.outside)
                answer, entries = line.search(
                    each.base, each.wanted, seconds=seconds, attributes=attributes, limit=most
                )
                found = [entry for entry in entries if each.holds(entry.dn)]
                if found or answer.code != SUCCESS:
                    break
            return answer, found

        answer, found = self.servers.search(until, look)
        if answer.code not in {SUCCESS, SIZE_LIMIT, NO_SUCH_OBJECT, REFERRAL}:
            raise NotSignedIn(Outcome.UNAVAILABLE, f"search: {answer.code}")
        if len(found) != 1 or answer.code == REFERRAL:
            raise NotSignedIn(Outcome.NO_MATCH, "ambiguous" if len(found) > 1 else "unknown")
        return found[0]

    def prove(self, entry: Entry, password: str, may_try: MayTry, until: float) -> None:
        """Take a password to the directory, if it may leave; raise NotSignedIn."""
        key = self.external_id(entry)
        if key is None or not may_try(key):
            raise NotSignedIn(Outcome.HELD_BACK, "held back")
        name = self.bind_name(entry)
        try:
            self.judge(self.servers.bind(until, lambda line, seconds: line.bind(name, password, seconds=seconds)))
        except NotSignedIn as refused:
            standing = self.standing(entry)
            refused.closed = None if standing is None else (key, standing)
            raise

    # The rest.

    def _by_template(self, name: str, password: str, may_try: MayTry, until: float) -> Identity:
        dn = (self.config.people.template or "").replace("{}", spelling.rdn(name))
        if not may_try(dn.casefold()):
            raise NotSignedIn(Outcome.HELD_BACK, "held back")

        def prove(line: Line, seconds: float) -> tuple[Entry | None, Climbed | None]:
            self.judge(line.bind(dn, password, seconds=seconds))
            _, found = line.search(
                dn, self.config.people.filter, scope=BASE, seconds=seconds, attributes=self.attributes()
            )
            if len(found) != 1:
                return None, None
            return found[0], self.climb(line, found[0], min(seconds, self.config.groups.seconds))

        entry, climbed = self.servers.bind(until, prove)
        if entry is None or climbed is None:
            raise NotSignedIn(Outcome.NO_MATCH, "entry not readable")
        return self.identity(entry, climbed)

    def groups_of(self, entry: Entry, until: float) -> Climbed:
        """Return all groups of somebody who signs in, within the time for groups."""
        seconds = min(self.config.groups.seconds, max(0.05, until - _moment()))
        if self.config.groups.how == "none":
            return Climbed(groups=(), complete=True)
        try:
            return self.servers.search(until, lambda line, _: self.climb(line, entry, seconds))
        except Gone:
            return Climbed(groups=(), complete=False)


def name_in(dn: str) -> str:
    """Return the first value of a DN, for people to read and rules to match."""
    return spelling.first_value(dn)


def _moment() -> float:
    return time.monotonic()
