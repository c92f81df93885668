"""A directory that hangs, breaks off or comes late: its people are told so in time, and nobody else notices."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from idp.accounts import connectors
from idp.accounts.connectors import Definition
from idp.accounts.passwords import Passwords
from idp.federation.directory import servers
from idp.store import account
from tests.cli.serving.visitor import Visitor
from tests.fixtures.clients import register
from tests.fixtures.markup import Page
from tests.fixtures.people import Person
from tests.services.authority import Authority
from tests.services.provider import Provider, session
from tests.services.slapd import PASSWORD, PEOPLE, READER, Slapd
from tests.services.wire import Wire

pytestmark = pytest.mark.attack("F5", "FD9")
LONGEST = 3.0  # seconds in which somebody of the directory is told
BUSY = 2.0  # so much a busy machine may add
LOCAL = Person(id="", username="local", email="", password="a password of this house")
THEIRS = Person(id="", username="alice", email="", password=PASSWORD)


def table(authority: Authority, address: str) -> dict[str, object]:
    return {
        "kind": "ldap",
        "servers": [address],
        "ca_file": str(authority.file),
        "bind_dn": READER[0],
        "bind_password": READER[1],
        "user_base": PEOPLE,
    }


def hangs(_wire: Wire, slapd: Slapd) -> Callable[[], None]:
    slapd.hang()
    return slapd.go_on


def breaks_off(wire: Wire, _slapd: Slapd) -> Callable[[], None]:
    def mended() -> None:
        wire.cut_after = None

    wire.cut_after = 1500  # within the handshake
    wire.drop()
    return mended


def resets(wire: Wire, slapd: Slapd) -> Callable[[], None]:
    wire.abrupt = True
    return breaks_off(wire, slapd)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("trouble", [hangs, breaks_off, resets])
def test_its_people_are_told_in_time_everybody_else_is_served_and_it_comes_back(
    request: pytest.FixtureRequest,
    browser: Any,
    web_app: Any,
    http: Any,
    service: Any,
    alice: Any,
    services: Any,
    slapd: Slapd,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Wire, Slapd], Callable[[], None]],
) -> None:
    monkeypatch.setattr(servers, "AWAY", 0.05)

    def at_the_door(name: str, password: str) -> tuple[Any, float]:
        other = browser.another()
        page = other.authorize(web_app)
        began = time.monotonic()
        answer = other.submit(page, "login-submit", username=name, password=password)
        return answer, time.monotonic() - began

    with Wire(slapd.tls_port) as wire:
        definition = Definition.parse("example", table(authority, f"ldaps://localhost:{wire.port}"))
        with services.db.write() as tx:
            connectors.save(tx, services.sealer, definition, services.clock(), declared=False)
        services.connectors.forget()
        request.addfinalizer(services.connectors.close)
        assert "consent-allow" in Page(at_the_door("user000012", PASSWORD)[0].text).ids
        mended = trouble(wire, slapd)
        try:
            answer, took = at_the_door("user000012", PASSWORD)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
            assert took < LONGEST + BUSY
            answer, took = at_the_door("alice", alice.password)
            assert "consent-allow" in Page(answer.text).ids
            assert took < BUSY
            assert http.get("/jwks").status_code == 200
            form = {"grant_type": "client_credentials"}
            assert http.post("/token", data=form, headers=service.basic).status_code == 200
        finally:
            mended()
        time.sleep(2 * servers.AWAY)  # for so long nobody asks it again
        assert "consent-allow" in Page(at_the_door("user000012", PASSWORD)[0].text).ids


class House:
    """A provider as operators run it, with people of its own and people of a directory."""

    def __init__(self, folder: Path, slapd: Slapd, authority: Authority) -> None:
        self.provider = Provider(folder / "provider")
        facts = table(authority, slapd.ldaps)
        (folder / "example.toml").write_text("".join(f"{name} = {json.dumps(each)}\n" for name, each in facts.items()))
        self.provider.connect("example", folder / "example.toml")
        with self.provider.db.write() as tx:
            hashed = Passwords().hash(LOCAL.password)
            account.create(tx, username=LOCAL.username, password_hash=hashed, now=self.provider.clock())
        web = {"redirect_uris": ["https://app.example/cb"], "grant_types": ["authorization_code"]}
        self.app = register(self.provider.services, "desk", scopes=("openid", "offline_access"), **web)
        self.provider.start()

    def theirs(self, _number: int = 0) -> tuple[bool, float]:
        """Somebody of the directory signs in: did they, and how long did the answer take?"""
        began = time.monotonic()
        try:
            Visitor(self.provider, THEIRS).code(self.app)
        except AssertionError:
            return False, time.monotonic() - began
        return True, time.monotonic() - began

    def ours(self) -> float:
        """Somebody of this house signs in, and the keys are read."""
        began = time.monotonic()
        assert Visitor(self.provider, LOCAL).code(self.app)
        assert session().get(self.provider.url("/jwks"), timeout=20).ok
        return time.monotonic() - began


@pytest.fixture
def house(tmp_path: Path, slapd: Slapd, authority: Authority) -> Iterator[House]:
    made = House(tmp_path, slapd, authority)
    yield made
    made.provider.stop()


@pytest.mark.attack("LG10")
def test_more_of_its_people_than_there_are_threads_keep_nobody_else_waiting(house: House, slapd: Slapd) -> None:
    assert house.theirs()[0]
    house.ours()
    slapd.hang()
    try:
        with ThreadPoolExecutor(12) as crowd:
            knocking = [crowd.submit(house.theirs) for _ in range(12)]
            served = [house.ours() for _ in range(3)]
        told = [each.result() for each in knocking]
    finally:
        slapd.go_on()
    assert not any(came_in for came_in, _ in told)
    # Twelve at once on a machine with other work: each waits for its turn, for the directory, and for the machine.
    assert max(took for _, took in told) < LONGEST + 2 * BUSY
    assert statistics.median(served) < BUSY
