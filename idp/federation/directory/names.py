r"""How people of an Active Directory write their names: DOMAIN\user, account@domain, an e-mail, the bare account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from idp.federation.connector import Misconfigured, NotSignedIn, Outcome
from idp.federation.directory.domain import Domain
from idp.federation.ldap import spelling
from idp.federation.values import Values

OWN: Final = frozenset({"domain", "netbios", "forest", "kerberos"})


class Place(NamedTuple):
    """Where to look for somebody and for what; `outside` are domains below the base that are not meant."""

    base: str
    wanted: str
    outside: tuple[str, ...] = ()

    def holds(self, dn: str) -> bool:
        """Say whether an entry that was found there is one that is meant."""
        return not any(spelling.inside(dn, domain) for domain in self.outside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the domain is called, and whether the servers are catalogues of the whole forest."""

    domain: str
    netbios: str | None
    forest: bool

    @classmethod
    def read(cls, table: Mapping[str, object]) -> Names:
        """Read the settings that only this kind has."""
        values = Values({name: value for name, value in table.items() if name in OWN})
        domain = values.text("domain").lower()
        if not domain.isascii() or "@" in domain or "\\" in domain:
            raise Misconfigured("domain: write the DNS name of the domain, such as corp.example.org")
        return cls(domain=domain, netbios=values.maybe("netbios"), forest=values.flag("forest", default=False))

    @property
    def dn(self) -> str:
        """Return the name under which the directory keeps the domain."""
        return "DC=" + ",DC=".join(self.domain.split("."))

    def meant(self, name: str, base: str, learned: Sequence[Domain]) -> list[Place]:
        """Return where to look for a name and for what, the surest first; NotSignedIn for another domain's."""
        prefix, backslash, account = name.partition("\\")
        if backslash:
            found = list(self._by_netbios(prefix.casefold(), account, base, learned))
            if not found or not account:
                raise NotSignedIn(Outcome.NO_MATCH, "another domain")
            return found
        if "@" in name:
            return list(self._addressed(name, base, learned))
        return [Place(base, _is("sAMAccountName", name))]

    def of(self, dn: str, learned: Sequence[Domain]) -> Domain | None:
        """Return the domain that an entry is in: the longest that ends its name."""
        folded = dn.casefold()
        holding = [each for each in learned if folded.endswith("," + each.dn.casefold())]
        return max(holding, key=lambda each: len(each.dn), default=None)

    def _addressed(self, name: str, base: str, learned: Sequence[Domain]) -> Iterator[Place]:
        # A name that somebody was given, then the one that every account has, then an e-mail: a mail attribute that
        # says another's name takes nothing from them.
        yield Place(base, _is("userPrincipalName", name))
        local, _, domain = name.partition("@")
        if local:
            yield from self._by_dns(domain.casefold(), local, base, learned)
        yield Place(base, _is("mail", name))

    def _by_dns(self, name: str, account: str, base: str, learned: Sequence[Domain]) -> Iterator[Place]:
        if self.forest:
            yield from _within([each for each in learned if each.dns == name], account, base, learned)
        elif name == self.domain:
            yield Place(base, _is("sAMAccountName", account))

    def _by_netbios(self, name: str, account: str, base: str, learned: Sequence[Domain]) -> Iterator[Place]:
        if self.forest:
            yield from _within([each for each in learned if each.netbios == name], account, base, learned)
            return
        own = self.netbios or next((each.netbios for each in learned if each.dns == self.domain), None)
        if own is not None and own.casefold() == name:
            yield Place(base, _is("sAMAccountName", account))


def _within(named: Sequence[Domain], account: str, base: str, learned: Sequence[Domain]) -> Iterator[Place]:
    """Look in one domain, but nowhere beside the base; a catalogue shows the domains below it as a part of it."""
    for each in named[:1]:
        place = next((near for near, far in ((base, each.dn), (each.dn, base)) if spelling.inside(near, far)), None)
        if place is not None:
            outside = (other.dn for other in learned if other != each and spelling.inside(other.dn, place))
            yield Place(place, _is("sAMAccountName", account), tuple(outside))


def _is(attribute: str, value: str) -> str:
    return f"({attribute}={spelling.literal(value)})"
