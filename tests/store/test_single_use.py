from __future__ import annotations

import datetime as dt

import pytest

from idp.store import code, counter, lease, refresh_token, totp, used_jti
from idp.store.counter import Counter
from idp.store.digests import digest
from idp.store.ids import new_id

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def factor(db, person, now):
    with db.write() as tx:
        made = totp.create(tx, totp_id=new_id(), account_id=person.account_id, label="phone", seed_sealed=b"s", now=now)
        assert totp.confirm(tx, made.id, 10, now)
    return made.id


def _refresh(tx, person, now, secret):
    return refresh_token.create(
        tx,
        token_hash=digest(secret),
        grant_id=person.id,
        client_id="web-app",
        scopes={"a": ["one"]},
        now=now,
        idle_expires_at=now + 30 * MINUTE,
    )


def test_a_used_code_is_found_again_to_revoke_its_grant(db, person, now):
    with db.write() as tx:
        code.create(
            tx,
            code_hash=digest("c"),
            grant_id=person.id,
            client_id="web-app",
            redirect_uri="https://app.example/cb",
            code_challenge=None,
            nonce="n",
            resources=["https://orders.example"],
            claims={"id_token": {}},
            now=now,
            expires_at=now + MINUTE,
        )
        claimed = code.claim(tx, digest("c"), now)
        assert (claimed.nonce, claimed.used_at, claimed.resources) == ("n", now, ["https://orders.example"])
    with db.write() as tx:
        assert code.claim(tx, digest("c"), now) is None
        assert code.find(tx, digest("c")).grant_id == person.id
        assert code.find(tx, digest("d")) is None


def test_a_successor_is_given_again_only_while_fresh_and_unused(db, person, now):
    with db.write() as tx:
        _refresh(tx, person, now, "first")
        assert refresh_token.claim(tx, digest("first"), now, successor_hash=digest("second")).scopes == {"a": ["one"]}
        _refresh(tx, person, now, "second")
    with db.write() as tx:
        assert refresh_token.unused_successor(tx, digest("first"), now - MINUTE).token_hash == digest("second")
        assert refresh_token.unused_successor(tx, digest("first"), now + MINUTE) is None
        refresh_token.claim(tx, digest("second"), now, successor_hash=digest("third"))
        assert refresh_token.unused_successor(tx, digest("first"), now - MINUTE) is None


def test_a_token_that_is_not_rotated_moves_its_idle_limit(db, person, now):
    with db.write() as tx:
        _refresh(tx, person, now, "kept")
        refresh_token.touch(tx, digest("kept"), now + 60 * MINUTE)
    with db.read() as tx:
        assert refresh_token.find(tx, digest("kept")).idle_expires_at == now + 60 * MINUTE


@pytest.mark.attack("LG11")
@pytest.mark.spec("RFC 6238 section 5.2")
def test_the_code_that_confirmed_a_factor_counts_as_used(db, factor, now):
    with db.write() as tx:
        assert not totp.confirm(tx, factor, 11, now)
        assert not totp.claim_step(tx, factor, 10, now)
        assert not totp.claim_step(tx, factor, 9, now)
        assert totp.claim_step(tx, factor, 11, now)
        assert not totp.claim_step(tx, factor, 11, now)


@pytest.mark.attack("LG14")
def test_misses_in_a_row_lock_a_factor_and_a_right_code_no_longer_fits(db, person, factor, now):
    with db.write() as tx:
        assert [totp.fail(tx, factor, now, limit=3) for _ in range(2)] == [1, 2]
        assert totp.claim_step(tx, factor, 11, now)
        assert [totp.fail(tx, factor, now, limit=3) for _ in range(3)] == [1, 2, 3]
        assert not totp.claim_step(tx, factor, 12, now)
        totp.unlock(tx, person.account_id)
        assert totp.claim_step(tx, factor, 12, now)


def test_a_confirmed_factor_ends_the_others_that_wait(db, person, now):
    with db.write() as tx:
        made = [
            totp.create(tx, totp_id=new_id(), account_id=person.account_id, label="", seed_sealed=b"", now=now).id
            for _ in range(2)
        ]
        assert totp.pending(tx, person.account_id).id in made
        assert totp.confirmed(tx, person.account_id) == []
        totp.confirm(tx, made[0], 1, now)
        assert totp.pending(tx, person.account_id) is None
        assert [each.id for each in totp.confirmed(tx, person.account_id)] == [made[0]]


def test_a_recovery_code_opens_once_and_for_its_owner(db, person, now):
    with db.write() as tx:
        totp.replace_recovery_codes(tx, person.account_id, [digest("one"), digest("two")], now)
        assert not totp.claim_recovery_code(tx, "somebody", digest("one"), now)
        assert totp.claim_recovery_code(tx, person.account_id, digest("one"), now)
        assert not totp.claim_recovery_code(tx, person.account_id, digest("one"), now)
        assert totp.recovery_codes_left(tx, person.account_id) == 1
        totp.replace_recovery_codes(tx, person.account_id, [digest("three")], now)
        assert not totp.claim_recovery_code(tx, person.account_id, digest("two"), now)


def test_tries_run_out_and_come_back_with_the_window(db, now):
    with db.write() as tx:
        taken = [counter.take(tx, "ip", now, limit=2, window=MINUTE) for _ in range(3)]
        assert taken == [True, True, False]
        assert not counter.take(tx, "ip", now + MINUTE - dt.timedelta(seconds=1), limit=2, window=MINUTE)
        assert counter.take(tx, "ip", now + MINUTE, limit=2, window=MINUTE)
        assert tx.get(Counter, "ip").failures == 1


@pytest.mark.attack("FD10")
def test_where_each_try_begins_the_window_it_ends_after_a_quiet_one_alone(db, now):
    """As a directory counts: tries at the end of one window and at the begin of the next must not add up there."""

    def take(tx, seconds):
        at = now + dt.timedelta(seconds=seconds)
        return counter.take(tx, "who", at, limit=3, window=MINUTE, from_last=True)

    with db.write() as tx:
        assert [take(tx, at) for at in (0, 50, 100, 150)] == [True, True, True, False]
        assert [take(tx, at) for at in (159, 160)] == [False, True]


def test_failures_add_up_until_a_reset(db, now):
    with db.write() as tx:
        assert [counter.attempt(tx, "name", now, ceiling=5) for _ in range(3)] == [1, 2, 3]
        counter.block(tx, "name", now + 2 * MINUTE)
        counter.block(tx, "name", now + MINUTE)
        assert tx.get(Counter, "name", populate_existing=True).blocked_until == now + 2 * MINUTE
        assert counter.attempt(tx, "name", now + MINUTE, ceiling=5) is None
        assert counter.attempt(tx, "name", now + 2 * MINUTE, ceiling=5) == 4
        counter.reset(tx, "name")
        tx.expire_all()
        assert tx.get(Counter, "name") is None


@pytest.mark.attack("TK8")
def test_an_assertion_counts_once(db, now):
    with db.write() as tx:
        assert used_jti.claim(tx, "a", now + MINUTE, now)
        assert not used_jti.claim(tx, "a", now + MINUTE, now)
        assert used_jti.claim(tx, "b", now + MINUTE, now)


@pytest.mark.attack("ST4")
def test_after_a_restore_assertions_of_before_count_no_more(db, now):
    with db.write() as tx:
        used_jti.refuse_until(tx, now + used_jti.LONGEST)
        assert not used_jti.claim(tx, "a", now + used_jti.LONGEST, now)
        assert used_jti.claim(tx, "a", now + used_jti.LONGEST + dt.timedelta(microseconds=1), now)


def test_a_lease_has_one_holder_until_it_runs_out(db, now):
    with db.write() as tx:
        assert lease.take(tx, "audit", "one", now, now + MINUTE)
        assert lease.take(tx, "audit", "one", now, now + MINUTE)
        assert not lease.take(tx, "audit", "two", now, now + MINUTE)
        assert lease.take(tx, "audit", "two", now + MINUTE, now + 2 * MINUTE)
        lease.give_back(tx, "audit", "one")
        assert not lease.take(tx, "audit", "one", now + MINUTE, now + 2 * MINUTE)
        lease.give_back(tx, "audit", "two")
        assert lease.take(tx, "audit", "one", now + MINUTE, now + 2 * MINUTE)
