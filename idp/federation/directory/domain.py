"""What an Active Directory says of itself: what its domains are called, when it locks, and its rules for passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from idp.federation.ldap.answers import SUCCESS, Entry
from idp.federation.ldap.line import BASE, Line

COMPLEX: Final = 0x1  # DOMAIN_PASSWORD_COMPLEX
TICKS: Final = 10_000_000
HOUR: Final = 3600
KINDS: Final = 3  # of characters, where a password must be complex
SHORTEST_NAME: Final = 3  # shorter parts of a name may be in it
EVERYBODYS: Final = (
    "minPwdLength",
    "pwdProperties",
    "pwdHistoryLength",
    "minPwdAge",
    "lockoutThreshold",
    "lockOutObservationWindow",
)
# Fine-grained policies (MS-ADTS section 3.1.1.4.5.36) say the same in other words.
SOMEBODYS: Final = (
    "msDS-MinimumPasswordLength",
    "msDS-PasswordComplexityEnabled",
    "msDS-PasswordHistoryLength",
    "msDS-MinimumPasswordAge",
    "msDS-LockoutThreshold",
    "msDS-LockoutObservationWindow",
)
RESULTANT: Final = "msDS-ResultantPSO"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules for somebody's password. A `lockout` of 0 never locks; times are seconds."""

    length: int
    mixed: bool
    history: int
    age: float
    lockout: int
    window: float

    def words(self) -> tuple[str, ...]:
        """Say them to whoever chooses a password."""
        return tuple(self._words())

    def fault(self, password: str, names: Sequence[str]) -> str:
        """Say what is wrong with a password that the domain refused, as far as can be told from here."""
        if len(password) < self.length:
            return f"It has fewer than {self.length} characters."
        if self.mixed and kinds(password) < KINDS:
            return "It has too few kinds of characters: small letters, capitals, digits, others."
        if self.mixed and any(part in password.casefold() for part in parts(names)):
            return "Your name is in it."
        return "It may be one that you had before, or the last one is too new to be changed already."

    def _words(self) -> Iterator[str]:
        if self.length > 1:
            yield f"At least {self.length} characters"
        if self.mixed:
            yield "At least three of: small letters, capitals, digits, other characters"
            yield "Not your name or your user name"
        if self.history > 1:
            yield f"None of your last {self.history} passwords"
        elif self.history:
            yield "Not the password you have"


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One domain of a forest, by its names."""

    dn: str
    dns: str
    netbios: str


def kinds(password: str) -> int:
    """Count the kinds of characters in a password, as Windows does."""
    found = {
        "capital" if each.isupper() else "small" if each.islower() else "letter" if each.isalpha() else "other"
        for each in password
        if not each.isdecimal()
    }
    return len(found) + any(each.isdecimal() for each in password)


def parts(names: Sequence[str]) -> set[str]:
    """Return the parts of names that may not be in a password."""
    found = {part for name in names for part in re.split(r"[\s,.\-_#]+", name.casefold())}
    return {part for part in found if len(part) >= SHORTEST_NAME}


def rules(line: Line, domain_dn: str, person_dn: str | None, *, seconds: float) -> Rules | None:
    """Read the rules of a domain, or of somebody in it; None when they may not be read."""
    policy = None if person_dn is None else _text(_only(line, person_dn, (RESULTANT,), seconds), RESULTANT)
    if policy:
        return finer(line, policy, seconds=seconds)
    found = _only(line, domain_dn, EVERYBODYS, seconds)
    return None if found is None or found.text(EVERYBODYS[0]) is None else _read(found, EVERYBODYS)


def finer(line: Line, policy: str, *, seconds: float) -> Rules | None:
    """Read the rules of a fine-grained policy; None when they may not be read."""
    found = _only(line, policy, SOMEBODYS, seconds)
    return None if found is None or found.text(SOMEBODYS[0]) is None else _read(found, SOMEBODYS)


def domains(line: Line, *, seconds: float) -> tuple[Domain, ...]:
    """Read the domains of the forest (MS-ADTS section 6.1.1.2.1.1: crossRef objects with a NetBIOS name)."""
    configuration = _text(_only(line, "", ("configurationNamingContext",), seconds), "configurationNamingContext")
    if configuration is None:
        return ()
    wanted = "(&(objectClass=crossRef)(nETBIOSName=*))"
    attributes = ("nCName", "dnsRoot", "nETBIOSName")
    _, found = line.search(f"CN=Partitions,{configuration}", wanted, seconds=seconds, attributes=attributes)
    read = [tuple(each.text(name) for name in attributes) for each in found]
    return tuple(
        Domain(dn=dn, dns=dns.casefold(), netbios=netbios.casefold())
        for dn, dns, netbios in read
        if dn is not None and dns is not None and netbios is not None
    )


def _only(line: Line, dn: str, attributes: Sequence[str], seconds: float) -> Entry | None:
    answer, found = line.search(dn, "(objectClass=*)", scope=BASE, seconds=seconds, attributes=attributes)
    return found[0] if answer.code == SUCCESS and len(found) == 1 else None


def _text(entry: Entry | None, name: str) -> str | None:
    return None if entry is None else entry.text(name)


def _read(entry: Entry, names: Sequence[str]) -> Rules:
    length, mixed, history, age, lockout, window = (entry.text(name) or "0" for name in names)
    return Rules(
        length=_whole(length),
        mixed=mixed == "TRUE" or bool(_whole(mixed) & COMPLEX),
        history=_whole(history),
        age=-_whole(age) / TICKS,
        lockout=_whole(lockout),
        window=-_whole(window) / TICKS,
    )


def _whole(text: str) -> int:
    return int(text) if text.removeprefix("-").isdecimal() else 0
