"""Sign-in at an Active Directory: its names, its key, its states, its groups.

What differs from other directories: three ways to write a name, objectGUID as the key, a sub-code in the refusal
instead of a policy control, closing dates in the entry, a primary group that no list shows, and a server that
climbs nested groups by itself.
"""

from __future__ import annotations

import re
import struct
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from idp.federation.connector import Kind, Made, Misconfigured, NotSignedIn, Outcome
from idp.federation.directory.config import SECRETS, Config
from idp.federation.directory.connector import Directory, name_in
from idp.federation.directory.groups import Climbed, Graph, Group, OutOfTime
from idp.federation.ldap import spelling
from idp.federation.ldap.answers import SIZE_LIMIT, SUCCESS, Answer, Entry, Gone
from idp.federation.ldap.line import BASE, Line
from idp.federation.values import Values

__all__ = ["SECRETS", "ActiveDirectory"]

DEFAULTS: Final[Mapping[str, object]] = {
    "user_filter": "(&(objectCategory=person)(objectClass=user))",
    "id_attribute": "objectGUID",
    "username_attribute": "sAMAccountName",
    "group_filter": "(objectClass=group)",
}
CLAIMS: Final = {"name": "displayName"}
OWN: Final = frozenset({"domain", "netbios"})
STATES: Final = ("userAccountControl", "accountExpires", "primaryGroupID", "objectSid", "memberOf")
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
IN_CHAIN: Final = "1.2.840.113556.1.4.1941"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the domain is called."""

    domain: str
    netbios: str | None

    @classmethod
    def read(cls, table: Mapping[str, object]) -> Names:
        """Read the settings that only this kind has."""
        values = Values({name: value for name, value in table.items() if name in OWN})
        domain = values.text("domain").lower()
        if not domain.isascii() or "@" in domain or "\\" in domain:
            raise Misconfigured("domain: write the DNS name of the domain, such as corp.example.org")
        return cls(domain=domain, netbios=values.maybe("netbios"))


class ActiveDirectory(Directory):
    """One domain, by one or more of its controllers."""

    kind = Kind.ACTIVE_DIRECTORY

    def __init__(self, config: Config, names: Names) -> None:
        super().__init__(config)
        if config.bind_dn is None:
            raise Misconfigured("bind_dn: name the account that searches")
        self.names = names
        self._primary: dict[bytes, Group] = {}

    @classmethod
    def make(cls, made: Made) -> Self:
        """Make a connector of its settings."""
        names = Names.read(made.config)
        base = "DC=" + ",DC=".join(names.domain.split("."))
        rest = {name: value for name, value in made.config.items() if name not in OWN}
        claims = rest.get("claims", {})
        table = {"user_base": base, **DEFAULTS, **rest}
        if isinstance(claims, Mapping):
            table["claims"] = {**CLAIMS, **claims}
        return cls(Config.parse(made.name, table, made.secrets), names)

    def wanted(self, name: str) -> str:
        r"""Return the filter for DOMAIN\user, a UPN, an e-mail or a bare account name."""
        prefix, backslash, account = name.partition("\\")
        local, at, domain = name.partition("@")
        if backslash:
            if self.names.netbios is None or prefix.casefold() != self.names.netbios.casefold() or not account:
                raise NotSignedIn(Outcome.NO_MATCH, "another domain")
            among = f"(sAMAccountName={spelling.literal(account)})"
        elif at:
            whole = spelling.literal(name)
            among = f"(|(userPrincipalName={whole})(mail={whole}))"
            if domain.casefold() == self.names.domain and local:
                # Whatever is written as somebody's UPN, account@domain always means the account.
                account_filter = f"(sAMAccountName={spelling.literal(local)})"
                among = f"(|(userPrincipalName={whole})(mail={whole}){account_filter})"
        else:
            among = f"(sAMAccountName={spelling.literal(name)})"
        return f"(&{self.config.people.filter}{among})"

    def attributes(self) -> tuple[str, ...]:
        """Name what is read of somebody."""
        return (*self.config.people.attributes, *STATES)

    def external_id(self, entry: Entry) -> str | None:
        """Return objectGUID as it is usually written."""
        found = entry.raw(self.config.people.id)
        if found is None or len(found) != GUID_BYTES:
            return None
        return str(uuid.UUID(bytes_le=found))

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

    def _chain(self, line: Line, entry: Entry, until: float) -> Climbed | None:
        groups = self.config.groups
        try:
            direct = self.direct(line, entry, until)
            roots = [entry.dn, *(dn for dn, _ in direct if dn not in entry.texts("memberOf"))]
            among = "".join(f"(member:{IN_CHAIN}:={spelling.literal(dn)})" for dn in roots)
            wanted = f"(&{groups.filter}(|{among}))"
            asked = [groups.name, "memberOf"]
            answer, found = line.search(groups.base, wanted, seconds=_left(until), attributes=asked)
            if answer.code == SIZE_LIMIT:
                found = list(line.pages(groups.base, wanted, seconds=_left(until), attributes=asked))
            elif answer.code != SUCCESS:
                return None
            for dn in roots[1:]:  # the primary group is in none of its own
                _, own = line.search(dn, groups.filter, scope=BASE, seconds=_left(until), attributes=asked)
                found += own
        except (Gone, OutOfTime):
            return None
        names = {each.dn.casefold(): (each.dn, each.text(groups.name) or each.dn) for each in found}
        names |= {dn.casefold(): (dn, name) for dn, name in direct}
        above = {
            each.dn: [names[dn.casefold()] for dn in each.texts("memberOf") if dn.casefold() in names] for each in found
        }
        return Graph(0).climb(
            [names[dn.casefold()] for dn, _ in direct],
            lambda keys: {key: above.get(key, ()) for key in keys},
        )

    def _primary_group(self, line: Line, entry: Entry, until: float) -> Group | None:
        sid, rid = entry.raw("objectSid"), _number(entry, "primaryGroupID")
        if sid is None or len(sid) < 8 or not rid:  # noqa: PLR2004 - the shortest SID there is
            return None
        group_sid = sid[:-4] + struct.pack("<I", rid)
        known = self._primary.get(group_sid)
        if known is None:
            wanted = f"(objectSid={spelling.octets(group_sid)})"
            base = self.config.groups.base
            try:
                _, found = line.search(base, wanted, seconds=_left(until), attributes=[self.config.groups.name])
            except Gone:
                raise OutOfTime from None
            if not found:
                return None
            known = (found[0].dn, found[0].text(self.config.groups.name) or found[0].dn)
            self._primary[group_sid] = known
        return known


def _number(entry: Entry, name: str) -> int:
    text = entry.text(name) or ""
    return int(text) if text.removeprefix("-").isdecimal() else 0


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise OutOfTime
    return left
