"""A directory's name and its addresses: all of them within the time of one sign-in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from idp.federation import lookup
from idp.federation.connector import NotSignedIn, Outcome
from idp.federation.ldap.address import Address
from idp.federation.ldap.server import LEAST, Server
from idp.federation.lookup import Lookups
from idp.federation.registry import Made, make
from tests.federation.parties import by_password, why

PLACE = Address.parse("ldaps://dc1.example")


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's resolver does not answer."""
    go_on = threading.Event()

    def resolve(_host: str, _port: int) -> tuple[str, ...]:
        go_on.wait(10)
        return ()

    monkeypatch.setattr(lookup, "HERE", Lookups())
    monkeypatch.setattr(lookup, "resolve", resolve)
    yield
    go_on.set()


def refused(server: str) -> NotSignedIn:
    """Return why somebody is not signed in at a directory of a name."""
    config = {"servers": [server], "bind_dn": "cn=reader,dc=x", "user_base": "dc=x", "timeout": 0.3}
    directory = make("ldap", Made(name="ldap", config=config, secrets={"bind_password": "x"}))
    return why(lambda: by_password(directory, "alice", "secret"))


@pytest.mark.attack("FD9")
@pytest.mark.usefixtures("hangs")
def test_a_name_that_is_not_found_in_time_holds_nobody() -> None:
    began = time.monotonic()

    answer = refused("ldaps://dc1.example")

    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "reach: no answer in time")
    assert time.monotonic() - began < 9  # the name takes ten seconds


def test_a_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(_host: str, _port: int) -> tuple[str, ...]:
        raise OSError

    monkeypatch.setattr(lookup, "HERE", Lookups())
    monkeypatch.setattr(lookup, "resolve", resolve)

    assert refused("ldaps://dc1.example").code == "reach: its name is not known"


@pytest.mark.usefixtures("hangs")
def test_an_address_is_asked_of_nobody() -> None:
    server = Server(Address.parse("ldaps://[::1]:636"), None, until=time.monotonic() + 5)

    assert [each[4][:2] for each in server.address_info] == [("::1", 636)]


@pytest.mark.attack("FD9")
def test_all_addresses_of_a_name_share_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "HERE", Lookups())
    monkeypatch.setattr(lookup, "resolve", lambda *_asked: ("192.0.2.1", "192.0.2.2", "2001:db8::1"))
    server = Server(PLACE, None, until=time.monotonic() + 5)

    assert len(server.candidate_addresses()) == 3
    first = server.connect_timeout
    time.sleep(0.01)
    assert server.connect_timeout < first <= 5
    assert Server(PLACE, None, until=time.monotonic() - 5).connect_timeout == LEAST
