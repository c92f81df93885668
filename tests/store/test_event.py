"""Whatever ends a token here is told, and what is told ends it at a gateway: no ending is known to one side alone."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest

from idp.gateway.revocation.marks import marks_of
from idp.gateway.revocation.revoked import Revoked
from idp.protocol.security_event import Ended
from idp.store import account, client, event, grant, session
from idp.store import token as tokens

ENDINGS = {
    "token revoked": lambda tx, it: tokens.revoke(tx, "one", expires_at=it.now, now=it.now),
    "parent revoked": lambda tx, it: tokens.revoke(tx, "parent", expires_at=it.now, now=it.now),
    "grant revoked": lambda tx, it: grant.revoke(tx, it.grant.id, it.now, reason="test"),
    "session's grants revoked": lambda tx, it: grant.revoke_session(tx, it.grant.session_id, it.now, reason="test"),
    "client's grants revoked": lambda tx, it: grant.revoke_client(
        tx, it.grant.account_id, "web-app", it.now, reason="test"
    ),
    "session ended": lambda tx, it: session.end(tx, it.grant.session_id, it.now),
    "every session ended": lambda tx, it: session.end_account(tx, it.grant.account_id, it.now),
    "account disabled": lambda tx, it: account.disable(tx, it.grant.account_id, it.now),
    "account voided": lambda tx, it: account.void(tx, it.grant.account_id, it.now, reason="test"),
    "client disabled": lambda tx, it: client.disable(tx, "web-app", it.now),
    "client removed": lambda tx, it: client.remove(tx, "web-app", it.now),
    "parent's client disabled": lambda tx, it: client.disable(tx, "first-app", it.now),
}


@pytest.fixture
def claims(db, person, now):
    """An exchanged token of this very second, the hardest to tell from one of after."""
    with db.write() as tx:
        client.create(tx, client_id="first-app", name="First", auth_method="none", now=now)
    return {
        "jti": "one",
        "iat": int(now.timestamp()),
        "sub": person.account_id,
        "client_id": "web-app",
        "grant_id": person.id,
        "sid": person.session_id,
        "parents": [{"jti": "parent", "client_id": "first-app"}],
    }


@pytest.mark.attack("IN7")
@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS.keys())
def test_what_ends_a_token_here_ends_it_at_a_gateway(db, person, claims, now, end):
    with db.read() as tx:
        assert tokens.is_live(tx, claims, now)
    with db.write() as tx:
        end(tx, SimpleNamespace(grant=person, now=now))
    with db.read() as tx:
        assert not tokens.is_live(tx, claims, now)
    assert heard(db, now).covers(marks_of(claims))


def test_a_token_of_a_new_sign_in_in_the_same_second_lives(db, person, claims, now):
    with db.write() as tx:
        account.void(tx, person.account_id, now, reason="password changed")
    fresh = {**claims, "jti": "two", "grant_id": "new", "sid": "new"}
    assert not heard(db, now).covers(marks_of(fresh))


def heard(db, now):
    """What a gateway holds that opens a stream after the event."""
    hour = dt.timedelta(hours=1)
    with db.write() as tx:
        client.create(tx, client_id="gateway", name="Gateway", auth_method="none", now=now)
        stream = event.open_stream(tx, "gateway", "", now, since=now - hour)
        found = event.waiting(tx, stream, since=now - hour, limit=100)
    revoked = Revoked()
    for each in found:
        not_before = None if each.not_before is None else int(each.not_before.timestamp())
        until = int(now.timestamp()) + 3_600
        revoked.add(Ended(kind=each.kind, ids=tuple(each.ids), not_before=not_before, until=until))
    return revoked
