"""Who gives tokens back without end fills no gateway's memory, and no token that was given back lives on for it."""

from __future__ import annotations

import datetime as dt

import pytest

from idp.clients import given_back
from idp.gateway.revocation.marks import marks_of
from idp.gateway.revocation.revoked import Revoked
from idp.protocol.security_event import Ended
from idp.store import account, client, event, grant, token

NOW = dt.datetime(2026, 3, 1, 12, 0, 0, 900_000, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SERVICE = {"sub": "robot", "client_id": "robot"}
EXCHANGED = {"sub": "alice", "client_id": "robot", "parents": [{"jti": "parent", "client_id": "app"}]}


@pytest.fixture
def stream(db, monkeypatch):
    """A gateway that listens; two tokens may be given back alone."""
    monkeypatch.setattr(given_back, "OF_SERVICE", 2)
    monkeypatch.setattr(given_back, "OF_PERSON", 2)
    with db.write() as tx:
        client.create(tx, client_id="robot", name="Robot", auth_method="none", now=NOW)
        return event.open_stream(tx, "robot", "", NOW, since=NOW)


@pytest.fixture
def give(db, stream):
    def give(number, claims, *, now=NOW):
        """Give back a token that was issued this very moment."""
        issued = int(now.timestamp())
        made = {"jti": f"jti-{number}", "iat": issued, "exp": issued + 600, **claims}
        with db.write() as tx:
            alone = given_back.give_back(tx, made, now, window=HOUR)
        with db.read() as tx:
            assert token.is_revoked(tx, made["jti"])
        assert heard(db, stream).covers(marks_of(made))
        return alone

    return give


def entries(db, stream):
    with db.read() as tx:
        found = event.waiting(tx, stream, since=NOW - HOUR, limit=1_000)
    return [(each.kind, tuple(each.ids)) for each in found]


def heard(db, stream):
    revoked = Revoked()
    with db.read() as tx:
        for each in event.waiting(tx, stream, since=NOW - HOUR, limit=1_000):
            not_before = None if each.not_before is None else int(each.not_before.timestamp())
            revoked.add(Ended(kind=each.kind, ids=tuple(each.ids), not_before=not_before, until=10**10))
    return revoked


@pytest.mark.attack("IN7")
@pytest.mark.parametrize(
    ("claims", "whole"),
    [(SERVICE, ("account", ("robot",))), (EXCHANGED, ("client", ("robot",)))],
    ids=["its own", "exchanged"],
)
def test_beyond_a_number_one_entry_stands_for_all(db, stream, give, claims, whole):
    said = [give(number, claims) for number in range(6)]
    assert said == [True, True, False, False, False, False]
    assert entries(db, stream) == [("token", ("jti-0",)), ("token", ("jti-1",)), whole]
    # The next second is covered by the entry of this one; after that there is one more.
    assert not give(6, claims, now=NOW + dt.timedelta(seconds=0.9))
    assert entries(db, stream)[3:] == []
    assert not give(7, claims, now=NOW + dt.timedelta(seconds=1))
    assert entries(db, stream)[3:] == [whole]


def test_after_the_time_of_a_token_single_ones_count_again(db, stream, give):
    for number in range(3):
        give(number, SERVICE)
    assert give(9, SERVICE, now=NOW + HOUR)
    assert entries(db, stream)[-1] == ("token", ("jti-9",))


def test_another_client_and_another_person_have_their_own(give):
    for number in range(3):
        give(number, SERVICE)
    assert give(3, {"sub": "rover", "client_id": "rover"})
    assert give(4, {"sub": "robot", "client_id": "rover"})


def test_a_person_begins_anew_where_too_much_was_given_back(db, stream, give):
    with db.write() as tx:
        alice = account.create(tx, username="alice", now=NOW).id
        facts = {"auth_time": NOW, "acr": "aal1", "amr": ["pwd"], "now": NOW, "expires_at": NOW + HOUR}
        held = grant.create(tx, account_id=alice, client_id="robot", session_id=None, scopes={}, **facts).id
    for number in range(3):
        give(number, {"sub": alice, "client_id": "robot", "grant_id": held})
    assert entries(db, stream)[2:] == [("grants", (held,)), ("account", (alice,))]
    with db.read() as tx:
        assert grant.find(tx, held).revoked_reason == given_back.REASON


def test_the_same_token_counts_once(db, stream, give):
    assert all(give(0, SERVICE) for _ in range(5))
    assert entries(db, stream) == [("token", ("jti-0",))]
