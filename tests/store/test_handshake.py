from __future__ import annotations

import datetime as dt

import pytest

from idp.store import connector, handshake, signin
from idp.store.digests import digest
from idp.store.ids import new_id


@pytest.fixture
def begun(db, person, now):
    """Somebody who has left for a provider elsewhere."""
    with db.write() as tx:
        made = connector.put(
            tx, name="elsewhere", now=now, kind="oidc", label="Elsewhere", config={}, provisioning="open"
        )
        row = signin.create(
            tx, flow_hash=b"flow", client_id="web-app", request={}, now=now, expires_at=now + dt.timedelta(minutes=10)
        )
    return made, row


def begin(db, begun, now, state="s"):
    made, row = begun
    with db.write() as tx:
        handshake.begin(
            tx,
            handshake_id=new_id(),
            state_hash=digest(state),
            flow_hash=b"flow",
            connector_id=made.id,
            signin_id=row.id,
            kept_sealed=b"x",
            now=now,
        )


def claim(db, begun, now, **changes):
    facts = {"state_hash": digest("s"), "flow_hash": b"flow", "connector_id": begun[0].id, **changes}
    with db.write() as tx:
        return handshake.claim(tx, now=now, **facts)


@pytest.mark.attack("FD20")
def test_a_way_back_is_good_once(db, begun, now):
    begin(db, begun, now)
    assert claim(db, begun, now) is not None
    assert claim(db, begun, now) is None


@pytest.mark.attack("FD15")
@pytest.mark.parametrize(
    "wrong", [{"state_hash": b"another"}, {"flow_hash": b"another"}, {"connector_id": "another"}], ids=str
)
def test_a_way_back_of_another_is_none(db, begun, now, wrong):
    begin(db, begun, now)
    assert claim(db, begun, now, **wrong) is None


@pytest.mark.attack("FD15")
def test_a_way_back_ends(db, begun, now):
    begin(db, begun, now)
    assert claim(db, begun, now + handshake.LIFETIME) is None


def test_a_sign_in_waits_for_one_return_at_a_time(db, begun, now):
    begin(db, begun, now, "first")
    begin(db, begun, now, "second")
    assert claim(db, begun, now, state_hash=digest("first")) is None
    assert claim(db, begun, now, state_hash=digest("second")) is not None


def test_who_waits_is_forgotten_once(db, begun, now):
    begin(db, begun, now)
    row = claim(db, begun, now)
    with db.write() as tx:
        assert handshake.waiting(tx, now, signin_id=begun[1].id) is None
        handshake.keep_who(tx, row.id, b"who")
        assert handshake.waiting(tx, now, signin_id=begun[1].id).who_sealed == b"who"
        assert handshake.waiting(tx, now + handshake.LIFETIME, signin_id=begun[1].id) is None
        assert handshake.forget(tx, row.id)
        assert not handshake.forget(tx, row.id)
