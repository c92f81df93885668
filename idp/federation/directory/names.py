r"""How people of an Active Directory write their names: DOMAIN\user, account@domain, an e-mail, the bare account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from idp.federation.connector import Misconfigured, NotSignedIn, Outcome
from idp.federation.directory.domain import Domain
from idp.federation.ldap import spelling
from idp.federation.values import Values

OWN: Final = frozenset({"domain", "netbios", "forest", "kerberos"})


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

    def meant(self, name: str, base: str, learned: Sequence[Domain]) -> list[tuple[str, str]]:
        """Return where to look for a name and for what, the surest first; NotSignedIn for another domain's."""
        prefix, backslash, account = name.partition("\\")
        if backslash:
            place = self._by_netbios(prefix.casefold(), base, learned)
            if place is None or not account:
                raise NotSignedIn(Outcome.NO_MATCH, "another domain")
            return [(place, _is("sAMAccountName", account))]
        if "@" in name:
            return list(self._addressed(name, base, learned))
        return [(base, _is("sAMAccountName", name))]

    def of(self, dn: str, learned: Sequence[Domain]) -> Domain | None:
        """Return the domain that an entry is in: the longest that ends its name."""
        folded = dn.casefold()
        holding = [each for each in learned if folded.endswith("," + each.dn.casefold())]
        return max(holding, key=lambda each: len(each.dn), default=None)

    def _addressed(self, name: str, base: str, learned: Sequence[Domain]) -> Iterator[tuple[str, str]]:
        # A name that somebody was given, then the one that every account has, then an e-mail: a mail attribute that
        # says another's name takes nothing from them.
        yield base, _is("userPrincipalName", name)
        local, _, domain = name.partition("@")
        place = self._by_dns(domain.casefold(), base, learned)
        if local and place is not None:
            yield place, _is("sAMAccountName", local)
        yield base, _is("mail", name)

    def _by_dns(self, name: str, base: str, learned: Sequence[Domain]) -> str | None:
        if not self.forest:
            return base if name == self.domain else None
        return next((each.dn for each in learned if each.dns == name), None)

    def _by_netbios(self, name: str, base: str, learned: Sequence[Domain]) -> str | None:
        if self.forest:
            return next((each.dn for each in learned if each.netbios == name), None)
        own = self.netbios or next((each.netbios for each in learned if each.dns == self.domain), None)
        return base if own is not None and own.casefold() == name else None


def _is(attribute: str, value: str) -> str:
    return f"({attribute}={spelling.literal(value)})"
