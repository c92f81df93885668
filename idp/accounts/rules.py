"""What a new password must be (ASVS 5.0 section 6.2): long, not known to attackers, not about its owner.

No rule on kinds of characters (ASVS 6.2.5), no expiry, nothing shortened or changed (ASVS 6.2.8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from idp.accounts.breached import Breached
from idp.settings import Settings

MAX_BYTES = 4096  # far above the 64 characters of ASVS 6.2.9, far below what costs time to hash
SHORTEST_WORD = 4  # a two-letter user name in a password gives nothing away

KNOWN = "This password is one of the first that attackers try. Choose another one."
PERSONAL = "Leave your user name and e-mail address out of the password."
SERVICE = "Leave the name of this service out of the password."
LONG = "Use at most 4096 bytes."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of this installation; `problems` says in words what a password breaks."""

    minimum: int = 12
    service_words: tuple[str, ...] = ("gatehouse",)
    breached: Breached = field(default_factory=Breached)

    @classmethod
    def from_settings(cls, settings: Settings) -> Rules:
        """Apply what the operator chose; the name shown to people is one that nobody may use."""
        return cls(
            minimum=settings.password_min_length,
            service_words=("gatehouse", settings.name),
            breached=Breached(larger=settings.breached_list),
        )

    def problems(self, password: str, username: str = "", email: str | None = None) -> tuple[str, ...]:
        """Return what is wrong with a new password, in words for its owner; empty when it may be used."""
        if too_long(password):
            return (LONG,)
        found = []
        if len(password) < self.minimum:
            found.append(f"Use at least {self.minimum} characters. A few random words are easy to remember.")
        if _contains(password, _words(username, (email or "").partition("@")[0])):
            found.append(PERSONAL)
        if _contains(password, _words(*self.service_words)):
            found.append(SERVICE)
        if self.breached.has(password):
            found.append(KNOWN)
        return tuple(found)


def too_long(password: str) -> bool:
    """Return whether a password is refused before anything is computed from it."""
    # Characters first: no copy of a hundred megabytes only to measure it.
    return len(password) > MAX_BYTES or len(password.encode(errors="surrogatepass")) > MAX_BYTES


def _words(*names: str) -> set[str]:
    parts = {part for name in names for part in (name, *re.split(r"[\W_]+", name))}
    return {part.casefold() for part in parts if len(part) >= SHORTEST_WORD}


def _contains(password: str, words: Iterable[str]) -> bool:
    folded = password.casefold()
    return any(word in folded for word in words)
