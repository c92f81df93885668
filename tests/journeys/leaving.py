"""Somebody leaves: disabled in the directory, refused at two gateways."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.cli.serving.visitor import Visitor
from tests.fixtures.people import Person
from tests.journeys.revoking import AUDIENCE, Line, running
from tests.services import directory
from tests.services import provider as providers
from tests.services.authority import Authority
from tests.services.slapd import PASSWORD, Administrator, Slapd


@dataclass(frozen=True, slots=True, kw_only=True)
class Employee:
    """Somebody of the directory, at work."""

    name: str
    access: str
    refresh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firm:
    """A directory, its administrator, and everything that believes it."""

    line: Line
    admin: Administrator

    def comes(self, name: str) -> Employee:
        """Sign in, and get tokens for the API."""
        visitor = self._at_the_door(name)
        code = visitor.code(self.line.app, scope="openid offline_access orders:read", resource=AUDIENCE)
        answer = visitor.redeem(self.line.app, code, resource=AUDIENCE)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        return Employee(name=name, access=said["access_token"], refresh=said["refresh_token"])

    def knocks(self, name: str) -> None:
        """Try to sign in, and fail."""
        try:
            self._at_the_door(name).code(self.line.app)
        except AssertionError:
            return
        raise AssertionError("let in")

    def refreshes(self, who: Employee) -> requests.Response:
        """Ask for the next tokens."""
        form = {"grant_type": "refresh_token", "refresh_token": who.refresh, "resource": AUDIENCE}
        url = self.line.provider.url("/token")
        return providers.session().post(url, data=form, headers=self.line.app.basic, timeout=20)

    def refused_after(self, who: Employee, since: float) -> float:
        """Wait until both gateways refuse; how many seconds after a moment was that?"""
        return max(self.line.refused_after(who.access, since))

    def leaves(self, who: Employee) -> float:
        """Disable somebody in the directory, and return the moment."""
        self.admin.disable(who.name)
        return time.monotonic()

    def _at_the_door(self, name: str) -> Visitor:
        return Visitor(self.line.provider, Person(id="", username=name, email=""), PASSWORD)


@contextmanager
def firm(folder: Path, database_url: str, slapd: Slapd, authority: Authority, *, every: str = "1h") -> Iterator[Firm]:
    """Run it; `every` is how often the directory is looked at in the background."""
    with running(folder, database_url, directory_sync=every) as line:
        made = directory.connect(line.provider, slapd, authority, timeout=10, group_timeout=10)
        directory.give(line.provider, made, "group*", AUDIENCE, "clerk")
        admin = Administrator(slapd, authority)
        try:
            yield Firm(line=line, admin=admin)
        finally:
            admin.line.unbind()
