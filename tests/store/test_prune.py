from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from idp.store import audit, code, counter, grant, refresh_token, session, signin, totp, used_jti
from idp.store import prune as pruning
from idp.store import token as token_state
from idp.store.counter import Counter
from idp.store.digests import digest
from idp.store.ids import new_id

DAY = dt.timedelta(days=1)


def _fill(tx, person, now):
    soon = now + dt.timedelta(minutes=1)
    used_jti.claim(tx, "a", soon, now)
    token_state.revoke(tx, "one", expires_at=soon, now=now)
    signin.create(tx, flow_hash=b"f", client_id="web-app", request={}, now=now, expires_at=soon)
    code.create(
        tx,
        code_hash=digest("c"),
        grant_id=person.id,
        client_id="web-app",
        redirect_uri=None,
        code_challenge=None,
        nonce=None,
        resources=[],
        claims={},
        now=now,
        expires_at=soon,
    )
    refresh_token.create(
        tx,
        token_hash=digest("r"),
        grant_id=person.id,
        client_id="web-app",
        scopes={},
        now=now,
        idle_expires_at=now + 30 * DAY,
    )
    totp.create(tx, totp_id=new_id(), account_id=person.account_id, label="", seed_sealed=b"", now=now)
    counter.attempt(tx, "few", now, ceiling=1000)


def test_nothing_of_today_is_deleted(db, person, now):
    with db.write() as tx:
        _fill(tx, person, now)
    assert set(pruning.prune(db, now + dt.timedelta(minutes=50), stop=100).values()) == {0}


@pytest.mark.attack("AZ39")
def test_requests_that_nobody_went_on_with_are_forgotten_first(db, person, now):
    """Anybody can begin a sign-in: with a day of them, anybody could fill the disk."""
    with db.write() as tx:
        begun = [
            signin.create(tx, flow_hash=b"f", client_id="web-app", request={}, now=now, expires_at=now).id
            for _ in range(2)
        ]
        signin.change(tx, begun[1], now - dt.timedelta(seconds=1), account_id=person.account_id)
    pruning.prune(db, now + dt.timedelta(minutes=61), stop=100)
    with db.read() as tx:
        assert [signin.find_elsewhere(tx, each) is not None for each in begun] == [False, True]


def test_what_is_over_goes_and_what_still_lives_stays(db, person, now):
    with db.write() as tx:
        _fill(tx, person, now)
    gone = {table: count for table, count in pruning.prune(db, now + 2 * DAY, stop=100).items() if count}
    assert gone == {"used_jti": 1, "revoked_token": 1, "security_event": 1, "signin": 1, "code": 1, "totp": 1}
    with db.read() as tx:
        assert refresh_token.find(tx, digest("r")) is not None


def test_a_session_stays_as_long_as_a_grant_was_made_in_it(db, person, now):
    pruning.prune(db, now + 30 * DAY, stop=100)
    with db.read() as tx:
        assert session.find(tx, person.session_id) is not None
        assert grant.find(tx, person.id) is not None
    pruning.prune(db, now + 92 * DAY, stop=100)
    with db.read() as tx:
        assert grant.find(tx, person.id) is None
        assert session.find(tx, person.session_id) is None


def test_a_counter_at_its_limit_waits_for_a_person(db, now):
    with db.write() as tx:
        for _ in range(100):
            counter.attempt(tx, "stopped", now, ceiling=1000)
        counter.attempt(tx, "few", now, ceiling=1000)
    pruning.prune(db, now + 400 * DAY, stop=100)
    with db.read() as tx:
        assert tx.get(Counter, "stopped").failures == 100
        assert tx.get(Counter, "few") is None


@pytest.mark.attack("LG3")
def test_a_limit_of_the_operators_choice_stands_too(db, now):
    with db.write() as tx:
        for _ in range(10):
            counter.attempt(tx, "stopped at ten", now, ceiling=1000)
    pruning.prune(db, now + 400 * DAY, stop=10)
    with db.read() as tx:
        assert tx.get(Counter, "stopped at ten").failures == 10


def test_more_than_a_batch_goes_in_several(db, now, monkeypatch):
    monkeypatch.setattr(pruning, "BATCH", 10)
    with db.write() as tx:
        for number in range(35):
            used_jti.claim(tx, str(number), now, now)
    assert pruning.prune(db, now + DAY, stop=100)["used_jti"] == 35


def test_one_checkpoint_an_hour_is_kept(db, now):
    start = now.replace(minute=0, second=0, microsecond=0)
    with db.write() as tx:
        for number in range(1, 7):
            moment = start + dt.timedelta(minutes=20 * (number - 1))
            audit.add_checkpoint(tx, seq=number, chained=b"", mac=b"", at=moment)
    assert pruning.prune(db, start + 2 * DAY, stop=100)["audit_checkpoint"] == 4
    with db.read() as tx:
        assert [each.seq for each in tx.scalars(select(audit.AuditCheckpoint).order_by(audit.AuditCheckpoint.seq))] == [
            3,
            6,
        ]
