"""Whose account locks sooner than others': fine-grained password policies (MS-ADTS section 3.1.1.4.5.36)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from idp.federation.connector import Finding
from idp.federation.directory.config import Reach
from idp.federation.directory.domain import Rules

Tries: TypeAlias = tuple[int, float]
"""How often a password may be tried from here, and within how many seconds."""

KEPT: Final = 600.0  # seconds for which a policy is remembered
MOST: Final = 20_000  # people of whom it is remembered
UNTOLD: Final = 2  # tries where a policy applies that may not be read: three failures are the least that is common


class Finer:
    """Which policy somebody has, as their entry has named it, and how many tries it leaves us."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._policies: dict[str, tuple[float, Rules | None]] = {}
        self._people: dict[str, str] = {}

    def note(self, external_id: str, policy: str | None, read: Callable[[str], Rules | None]) -> None:
        """Take over which policy somebody has; `read` asks what it says."""
        if policy is None:
            self._people.pop(external_id, None)
            return
        now = time.monotonic()
        if now >= self._policies.get(policy, (0.0, None))[0]:
            self._policies[policy] = (now + KEPT, read(policy))
        if len(self._people) >= MOST:
            self._people.clear()
        self._people[external_id] = policy

    def applies(self, external_id: str) -> bool:
        """Say whether somebody has a policy of their own."""
        return external_id in self._people

    def rules(self, external_id: str) -> Rules | None:
        """Return the rules of somebody's own policy, where they may be read."""
        return self._policies.get(self._people.get(external_id, ""), (0.0, None))[1]

    def tries(self, external_id: str, everybodys: Tries) -> Tries:
        """Return how often somebody's password may be tried from here."""
        if not self.applies(external_id):
            return everybodys
        rules = self.rules(external_id)
        if rules is None:
            return min(UNTOLD, everybodys[0]), everybodys[1]
        return within(self._reach, rules)


def within(reach: Reach, rules: Rules) -> Tries:
    """Return how many tries stay below what locks an account by these rules (FD10)."""
    if not rules.lockout:
        return reach.tries, reach.tries_window
    return max(1, min(reach.tries, rules.lockout - 1)), max(reach.tries_window, rules.window)


def told_of_domain(rules: Rules | None, tries: int) -> Finding:
    """Say how many failures a domain forgives."""
    if rules is None:
        words = "the rules of the domain cannot be read: keep tries below what locks an account there"
    elif not rules.lockout:
        words = "the domain never locks an account"
    else:
        words = f"the domain locks after {rules.lockout} failures; at most {tries} of them come from here"
    return Finding(step="lockout", passed=rules is None or rules.lockout != 1, words=words)


def told_of_person(name: str, rules: Rules | None, tries: int) -> Finding:
    """Say how many failures a policy of somebody's own forgives."""
    if rules is None:
        words = f"finer rules apply to {name} that bind_dn may not read: at most {tries} failures come from here"
    elif not rules.lockout:
        words = f"finer rules apply to {name}, which never lock"
    else:
        words = f"finer rules lock {name} after {rules.lockout} failures; at most {tries} of them come from here"
    return Finding(step="lockout", passed=rules is None or rules.lockout != 1, words=words)
