"""Sign-in at an Active Directory: its names, its key, its states, its groups.

What differs from other directories: three ways to write a name, objectGUID as the key, a sub-code in the refusal
instead of a policy control, closing dates in the entry, a primary group that no list shows, and a server that
climbs nested groups by itself. With `forest` the servers are global catalogues, and people of every domain are found.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Self

from idp.federation.connector import Finding, Identity, Kind, Made, MayTry, Misconfigured, NotSignedIn, Outcome
from idp.federation.directory import chain, domain, examine, finer, in_domain, new_password, verdict
from idp.federation.directory.config import SECRETS, Config
from idp.federation.directory.connector import Directory, name_in
from idp.federation.directory.domain import RESULTANT, Domain, Rules
from idp.federation.directory.finer import Finer, within
from idp.federation.directory.groups import Climbed, Group, OutOfTime
from idp.federation.directory.names import OWN, Names, Place
from idp.federation.directory.usn import UsnLook
from idp.federation.kerberos import Kerberos
from idp.federation.ldap.answers import Answer, Entry, Gone
from idp.federation.ldap.line import Line

__all__ = ["SECRETS", "ActiveDirectory"]

DEFAULTS: Final[Mapping[str, object]] = {
    "user_filter": "(&(objectCategory=person)(objectClass=user))",
    "id_attribute": "objectGUID",
    "username_attribute": "sAMAccountName",
    "group_filter": "(objectClass=group)",
}
CLAIMS: Final = {"name": "displayName"}
STATES: Final = ("sAMAccountName", "userAccountControl", "accountExpires", "primaryGroupID", "objectSid", "memberOf")
SUBCODE: Final = re.compile(r"\bdata ([0-9a-f]{2,8})\b")
OUTCOMES: Final = {
    "525": Outcome.NO_MATCH,
    "52e": Outcome.NO_MATCH,
    "530": Outcome.NOT_NOW,
    "531": Outcome.NOT_HERE,
    "532": Outcome.PASSWORD_EXPIRED,
    "533": Outcome.DISABLED,
    "701": Outcome.ACCOUNT_EXPIRED,
    "773": Outcome.MUST_CHANGE,
    "775": Outcome.LOCKED,
}
REFUSED: Final = 49
ACCOUNT_DISABLED: Final = 0x2
NEVER: Final = frozenset({0, 0x7FFFFFFFFFFFFFFF})
EPOCH: Final = 11_644_473_600  # seconds from 1601, where its clocks begin
TICKS: Final = 10_000_000
GUID_BYTES: Final = 16
LEARNED: Final = 600.0  # seconds for which it is remembered what the directory says of itself


class ActiveDirectory(Directory):
    """One domain, by one or more of its controllers."""

    kind = Kind.ACTIVE_DIRECTORY
    looking = UsnLook

    def __init__(self, config: Config, names: Names, kerberos: Kerberos | None = None) -> None:
        super().__init__(config)
        if config.bind_dn is None:
            raise Misconfigured("bind_dn: name the account that searches")
        self.names = names
        self.kerberos = kerberos
        self.changes = not names.forest  # a catalogue is a copy
        self.rules: Rules | None = None
        self._finer = Finer(config.reach)
        self._domains: tuple[Domain, ...] = ()
        self._learned_until = 0.0
        self._primary: dict[bytes, Group] = {}

    @classmethod
    def make(cls, made: Made) -> Self:
        """Make a connector of its settings."""
        names = Names.read(made.config)
        rest = {name: value for name, value in made.config.items() if name not in OWN}
        claims = rest.get("claims", {})
        table = {"user_base": names.dn, **DEFAULTS, **rest}
        if isinstance(claims, Mapping):
            table["claims"] = {**CLAIMS, **claims}
        config = Config.parse(made.name, table, made.secrets)
        asked = made.config.get("kerberos")
        kerberos = None if asked is None else Kerberos.read(asked, names.domain)
        return cls(_everywhere(config, rest) if names.forest else config, names, kerberos)

    def places(self, name: str) -> Sequence[Place]:
        """Return where to look for a name and by which filter, the surest first."""
        people = self.config.people
        meant = self.names.meant(name, people.base, self._domains)
        return [each._replace(wanted=f"(&{people.filter}{each.wanted})") for each in meant]

    def only(self, name: str, until: float) -> Entry:
        """Return the one entry that a name means; when it locks is known then."""
        self._learn(until)
        entry = super().only(name, until)
        key, policy = self.external_id(entry), entry.text(RESULTANT)
        if key is not None:
            self._finer.note(key, policy, lambda dn: self._policy(dn, until))
        return entry

    def tries_of(self, external_id: str) -> tuple[int, float]:
        """Return how often a password may be tried here before the domain would lock the account."""
        return self._finer.tries(external_id, (self.tries, self.tries_window))

    def attributes(self) -> tuple[str, ...]:
        """Name what is read of somebody."""
        return tuple(dict.fromkeys((*self.config.people.attributes, *STATES)))

    def sought(self) -> tuple[str, ...]:
        """Name what is read of whoever signs in; which policy applies no catalogue knows."""
        return self.attributes() if self.names.forest else (*self.attributes(), RESULTANT)

    def external_id(self, entry: Entry) -> str | None:
        """Return objectGUID as it is usually written."""
        found = entry.raw(self.config.people.id)
        if found is None or len(found) != GUID_BYTES:
            return None
        return str(uuid.UUID(bytes_le=found))

    def bind_name(self, entry: Entry) -> str:
        """Return the name under which somebody binds; of other domains a catalogue knows DOMAIN and account."""
        home = self.names.of(entry.dn, self._domains) if self.names.forest else None
        account = entry.text("sAMAccountName")
        return entry.dn if home is None or account is None else f"{home.netbios}\\{account}"

    def asks(self, address: str) -> bool:
        """Say whether a browser at this address is in the domain, and may come with a ticket."""
        return self.kerberos is not None and self.kerberos.covers(address)

    def by_ticket(self, token: bytes) -> tuple[Identity, bytes]:
        """Return who a ticket proves, as they stand now, and our proof to the browser; or raise NotSignedIn."""
        if self.kerberos is None:
            raise NotSignedIn(Outcome.NO_MATCH, "kerberos: not here")
        ticket = self.kerberos.accept(token)
        with verdict.told(), self.servers.turn() as until:
            entry = in_domain.entry(self, self.names.dn, ticket.rid, until)
            who = replace(self.identity(entry, self.groups_of(entry, until)), amr=("wia",))
        if who.standing is not None:
            raise NotSignedIn(who.standing, f"kerberos: {who.standing}")
        return who, ticket.answer

    def password_rules(self, username: str) -> tuple[str, ...]:
        """Say the rules for somebody's password."""
        return new_password.rules(self, username)

    def change_password(self, username: str, old: str, new: str, may_try: MayTry) -> None:
        """Set a new password with the old one, or raise NotSignedIn or PasswordRefused."""
        new_password.change(self, username, old, new, may_try)

    def examine(self, sample: str | None) -> Iterator[Finding]:
        """Walk the steps of a sign-in, and say how many failures the domain forgives."""
        walked = list(examine.walk(self, sample))
        yield from walked
        if any(each.step == "search" and each.passed for each in walked):
            yield self._forgiving()
        if any(each.step == "person" and each.passed for each in walked):
            yield from self._forgiving_them(sample or "")
        yield from examine.single(self.tries)
        if self.kerberos is not None:
            trouble = self.kerberos.trouble()
            words = trouble or f"the keytab has a key of {self.kerberos.service}"
            yield Finding(step="kerberos", passed=trouble is None, words=words)

    def judge(self, answer: Answer) -> None:
        """Read the sub-code of a refusal. It goes into logs; most of it is not told."""
        if answer.code == REFUSED:
            found = SUBCODE.search(answer.message)
            code = found[1] if found else str(answer.code)
            raise NotSignedIn(OUTCOMES.get(code, Outcome.NO_MATCH), code)
        super().judge(answer)

    def standing(self, entry: Entry) -> Outcome | None:
        """Say whether the account is disabled or over. A lockout opens by itself and closes nothing here."""
        if _number(entry, "userAccountControl") & ACCOUNT_DISABLED:
            return Outcome.DISABLED
        expires = _number(entry, "accountExpires")
        if expires not in NEVER and expires / TICKS - EPOCH <= time.time():
            return Outcome.ACCOUNT_EXPIRED
        return None

    def direct(self, line: Line, entry: Entry, until: float) -> list[Group]:
        """Return the groups that list somebody, and the primary one, which lists nobody."""
        listed = [(dn, name_in(dn)) for dn in entry.texts("memberOf")]
        primary = self._primary_group(line, entry, until)
        return listed if primary is None else [*listed, primary]

    def groups_of(self, entry: Entry, until: float) -> Climbed:
        """Let the server climb, and climb ourselves where it takes too long."""
        groups = self.config.groups
        if groups.how == "none" or not groups.nested:
            return super().groups_of(entry, until)
        half = min(groups.seconds, max(0.1, until - time.monotonic())) / 2
        try:
            chained = self.servers.search(until, lambda line, _: self._chain(line, entry, time.monotonic() + half))
        except Gone:
            chained = None
        return chained or super().groups_of(entry, until)

    def _forgiving(self) -> Finding:
        if not self._learned_until:
            with contextlib.suppress(NotSignedIn), verdict.told(), self.servers.turn() as until:
                self._learn(until)
        return finer.told_of_domain(self.rules, self.tries)

    def _forgiving_them(self, sample: str) -> Iterator[Finding]:
        """Say so of a person, where a policy of their own applies."""
        who = self.find(sample)
        if who is not None and self._finer.applies(who.external_id):
            rules = self._finer.rules(who.external_id)
            tries = self.tries_of(who.external_id)[0]
            yield finer.told_of_person(who.username, rules, tries)
            yield from examine.single(tries, f"{who.username}'s")

    def _policy(self, dn: str, until: float) -> Rules | None:
        return self.servers.search(until, lambda line, seconds: domain.finer(line, dn, seconds=seconds))

    def _chain(self, line: Line, entry: Entry, until: float) -> Climbed | None:
        try:
            direct = self.direct(line, entry, until)
        except OutOfTime:
            return None
        return chain.climb(self.config.groups, line, entry, direct, until)

    def _primary_group(self, line: Line, entry: Entry, until: float) -> Group | None:
        sid = chain.primary_sid(entry)
        if sid is None:
            return None
        known = self._primary.get(sid) or chain.by_sid(self.config.groups, line, sid, until)
        if known is not None:
            self._primary[sid] = known
        return known

    def _learn(self, until: float) -> None:
        """Ask the directory from time to time what its domains are called and when it locks (FD10)."""
        now = time.monotonic()
        if now < self._learned_until:
            return

        def ask(line: Line, seconds: float) -> tuple[tuple[Domain, ...], Rules | None]:
            found = domain.domains(line, seconds=seconds)
            return found, domain.rules(line, self.names.dn, None, seconds=seconds)

        try:
            self._domains, self.rules = self.servers.search(until, ask)
        except Gone:
            return  # whoever asked finds out what that means
        self._learned_until = now + LEARNED
        if self.rules is not None:
            self.tries, self.tries_window = within(self.config.reach, self.rules)


def _everywhere(config: Config, said: Mapping[str, object]) -> Config:
    """Look for people and groups in the whole catalogue, but where the settings say less."""
    people = config.people if "user_base" in said else replace(config.people, base="")
    groups = config.groups if "group_base" in said else replace(config.groups, base="")
    return replace(config, people=people, groups=groups)


def _number(entry: Entry, name: str) -> int:
    text = entry.text(name) or ""
    return int(text) if text.removeprefix("-").isdecimal() else 0
