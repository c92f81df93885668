from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import event

from idp.store import account, client, grant, session
from idp.store import token as token_state


@pytest.fixture
def claims(person, now):
    return {
        "jti": "one",
        "iat": int(now.timestamp()) + 1,
        "sub": person.account_id,
        "client_id": "web-app",
        "grant_id": person.id,
        "sid": person.session_id,
    }


@pytest.fixture
def live(db, claims, now):
    """Ask about the token of this person, with some claims changed or left out."""

    def ask(at=now, **changed):
        asked = {name: value for name, value in (claims | changed).items() if value is not None}
        with db.read() as tx:
            return token_state.is_live(tx, asked, at)

    return ask


def test_a_token_that_nothing_ended_is_live(live):
    assert live()


def test_a_clients_own_token_needs_no_grant(live):
    assert live(grant_id=None, sid=None, sub="web-app")


def test_it_costs_one_statement(db, live):
    statements = []
    event.listen(db.engine, "before_cursor_execute", lambda *facts: statements.append(facts[2]))
    assert live()
    assert len(statements) == 1


@pytest.mark.spec("RFC 7009 section 2.1")
def test_a_revoked_token_is_dead_and_its_sibling_is_not(db, live, now):
    for _ in range(2):
        with db.write() as tx:
            token_state.revoke(tx, "one", expires_at=now + dt.timedelta(minutes=10), now=now)
    assert not live()
    assert live(jti="two")


ENDINGS = {
    "grant revoked": lambda tx, grown, now: grant.revoke(tx, grown.id, now, reason="test"),
    "session's grants revoked": lambda tx, grown, now: grant.revoke_session(tx, grown.session_id, now, reason="test"),
    "client's grants revoked": lambda tx, grown, now: grant.revoke_client(
        tx, grown.account_id, "web-app", now, reason="test"
    ),
    "session ended": lambda tx, grown, now: session.end(tx, grown.session_id, now),
    "every session ended": lambda tx, grown, now: session.end_account(tx, grown.account_id, now),
    "account disabled": lambda tx, grown, now: account.disable(tx, grown.account_id, now),
    "account voided": lambda tx, grown, now: account.void(tx, grown.account_id, now, reason="test"),
    "client disabled": lambda tx, _grown, now: client.disable(tx, "web-app", now),
    "client removed": lambda tx, _grown, now: client.remove(tx, "web-app", now),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_whatever_ends_it_ends_it_at_once(db, live, person, now, ending):
    with db.write() as tx:
        ending(tx, person, now)
    assert not live()


@pytest.mark.attack("IN4")
def test_not_before_of_the_account_voids_what_is_older_and_only_that(db, live, person, now):
    with db.write() as tx:
        account.find(tx, person.account_id).not_before = now.replace(microsecond=0)
    assert not live(iat=int(now.timestamp()) - 1)
    assert live(iat=int(now.timestamp()))


@pytest.mark.attack("IN4")
def test_not_before_of_the_client_voids_what_is_older_and_only_that(db, live, now):
    with db.write() as tx:
        client.disable(tx, "web-app", now)
        client.enable(tx, "web-app", now)
    assert not live(iat=int(now.timestamp()) - 1, grant_id=None, sid=None)
    assert live(iat=int(now.timestamp()), grant_id=None, sid=None)


def test_a_grant_that_ran_out_ends_it(live, now):
    assert not live(at=now + dt.timedelta(days=90))


@pytest.mark.parametrize("missing", ["grant_id", "sid", "sub", "client_id"])
def test_what_cannot_be_found_is_not_vouched_for(live, missing):
    assert not live(**{missing: "nobody"})


@pytest.mark.parametrize("broken", [{"jti": None}, {"iat": None}, {"jti": 7}, {"iat": "today"}])
def test_a_token_without_its_claims_is_not_live(live, broken):
    assert not live(**broken)


PARENT = {"jti": "first", "client_id": "web-app"}


@pytest.mark.attack("TX1")
@pytest.mark.spec("RFC 8693 section 5")
def test_what_it_was_exchanged_from_ends_it(db, live, now):
    assert live(parents=[PARENT, {"jti": "zero", "client_id": "web-app"}])
    with db.write() as tx:
        client.create(tx, client_id="gateway", name="Gateway", auth_method="none", now=now)
        token_state.revoke(tx, "zero", expires_at=now + dt.timedelta(minutes=10), now=now)
    assert not live(parents=[PARENT, {"jti": "zero", "client_id": "web-app"}])
    assert live(parents=[PARENT, {"jti": "two", "client_id": "gateway"}])
    with db.write() as tx:
        client.disable(tx, "gateway", now)
    assert not live(parents=[PARENT, {"jti": "two", "client_id": "gateway"}])
    assert not live(parents=[PARENT, {"jti": "two", "client_id": "nobody"}])


@pytest.mark.parametrize("parents", ["first", [1], [{"jti": "first"}], {}, None])
def test_a_chain_that_cannot_be_read_is_not_vouched_for(db, live, claims, now, parents):
    with db.read() as tx:
        assert not token_state.is_live(tx, claims | {"parents": parents}, now)


def test_a_chain_costs_no_further_statement(db, live):
    statements = []
    event.listen(db.engine, "before_cursor_execute", lambda *facts: statements.append(facts[2]))
    assert live(parents=[PARENT])
    assert len(statements) == 1
