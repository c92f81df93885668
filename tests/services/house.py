"""A directory in memory: it takes passwords and new ones, and counts what is guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from idp.federation import registry
from idp.federation.connector import (
    Finding,
    Identity,
    Kind,
    MayTry,
    NotSignedIn,
    Outcome,
    PasswordChanger,
    PasswordConnector,
    PasswordRefused,
)
from idp.federation.registry import Maker
from idp.store import connector

if TYPE_CHECKING:
    from datetime import datetime

    from idp.accounts.connectors import Connectors
    from idp.store.database import Database

PASSWORD = "Old-enough-77"
NEW = "Wholly-New-77"


class Parts(Protocol):
    """What has to be there to connect it."""

    @property
    def db(self) -> Database:
        """The store."""

    @property
    def connectors(self) -> Connectors:
        """The connectors."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """The time."""


@dataclass
class House:
    """Everybody has one password to begin with; a name may be written plain, CORP\\name or name@corp.test."""

    people: dict[str, str] = field(default_factory=dict)  # name: password
    must_change: set[str] = field(default_factory=set)
    tries: int = 4
    tries_window: float = 1800.0
    name: str = "corp"
    kind: Kind = Kind.ACTIVE_DIRECTORY
    changes: bool = True
    slow_to_tell: bool = False  # a new password is not known everywhere at once
    asked: Counter[str] = field(default_factory=Counter)  # passwords that came, by whose they would be
    changed: Callable[[], None] = lambda: None  # what happens meanwhile

    def authenticate(self, username: str, password: str, may_try: MayTry) -> Identity:
        """Let somebody in."""
        who = self._prove(username, password, may_try)
        if who in self.must_change:
            raise NotSignedIn(Outcome.MUST_CHANGE, "773")
        return self._identity(who)

    def change_password(self, username: str, old: str, new: str, may_try: MayTry) -> None:
        """Set a new password."""
        who = self._prove(username, old, may_try)
        if new == old:
            raise PasswordRefused("It is the old one.")
        self.people[who] = new
        self.must_change.discard(who)
        self.changed()

    def password_rules(self, _username: str) -> tuple[str, ...]:
        """Have one rule."""
        return ("Another one than the last.",)

    def find(self, username: str) -> Identity | None:
        """Look somebody up."""
        name = _plain(username)
        return self._identity(name) if name in self.people else None

    def examine(self, _sample: str | None) -> Iterator[Finding]:
        """Find nothing."""
        return iter(())

    def close(self) -> None:
        """Hold nothing open."""

    def _prove(self, username: str, password: str, may_try: MayTry) -> str:
        name = _plain(username)
        if name not in self.people:
            raise NotSignedIn(Outcome.NO_MATCH, "unknown")
        if not may_try(f"id-{name}"):
            raise NotSignedIn(Outcome.HELD_BACK, "held back")
        self.asked[name] += 1
        if self.people[name] != password or (self.slow_to_tell and password == NEW):
            raise NotSignedIn(Outcome.NO_MATCH, "52e")
        return name

    def _identity(self, name: str) -> Identity:
        return Identity(connector=self.name, external_id=f"id-{name}", username=name, amr=("pwd",))


_PROMISED: tuple[type[PasswordConnector], type[PasswordChanger]] = (House, House)


def connect(parts: Parts, house: House, patch: pytest.MonkeyPatch, **facts: object) -> str:
    """Connect it by its name; return the connector's id."""
    kinds: Any = registry.KINDS  # a table that nobody changes, but for one test
    patch.setitem(kinds, house.name, Maker(make=lambda _: house, secrets=frozenset()))
    with parts.db.write() as tx:
        known = {"kind": house.name, "label": "Corp", "config": {}, **facts}
        row = connector.put(tx, name=house.name, now=parts.clock(), **known)
    parts.connectors.forget()
    return row.id


def _plain(username: str) -> str:
    return username.strip().rpartition("\\")[2].partition("@")[0].casefold()
