"""The keyring over a real store: keys appear, take turns, rest, and go."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from idp.jose.keys import ALGS, KeySet
from idp.jose.sign import sign
from idp.jose.strict import JoseError
from idp.jose.verify import verify
from idp.keys.rotation import COLUMN, TABLE, Keyring, NoSigningKey
from idp.keys.schedule import MARGIN
from idp.store import signing_key
from idp.store.database import Database, Session, StoreUnavailable
from idp.store.sealed import SealBroken, Sealer

SECOND = dt.timedelta(seconds=1)
LEAD = dt.timedelta(minutes=10)
KEEP = dt.timedelta(minutes=60, seconds=30 + 60)
INTERVAL = dt.timedelta(days=90)
PUBLIC = {"kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"}


def kids(keyring: Keyring, now: dt.datetime) -> set[str]:
    return {str(jwk["kid"]) for jwk in keyring.public(now)}


def verifies(token: str, keys: KeySet) -> bool:
    try:
        return bool(verify(token, keys, typ=None, algs=frozenset(ALGS)))
    except JoseError:
        return False


@pytest.mark.parametrize("alg", ALGS)
def test_makes_a_key_on_first_need_that_signs_and_verifies(
    make: Callable[..., Keyring], now: dt.datetime, alg: str
) -> None:
    keyring = make(signing_algs=(alg,))
    key = keyring.signing(alg, now)
    assert key.alg == alg
    assert kids(keyring, now) == {key.kid}
    assert verifies(sign({"sub": "alice"}, key, typ="JWT"), keyring.verifying(now))


def test_publishes_every_algorithm_of_the_setting(keyring: Keyring, now: dt.datetime) -> None:
    assert {jwk["alg"] for jwk in keyring.public(now)} == {"ES256", "EdDSA"}


def test_refuses_an_algorithm_that_has_no_key(keyring: Keyring, now: dt.datetime) -> None:
    with pytest.raises(NoSigningKey):
        keyring.signing("RS256", now)


@pytest.mark.attack("JO27")
@pytest.mark.spec("RFC 7517 section 5")
def test_the_served_document_is_the_public_members_and_its_etag_follows_them(
    make: Callable[..., Keyring], now: dt.datetime
) -> None:
    keyring = make(signing_algs=ALGS)
    document, etag = keyring.jwks_document(now)
    shown = json.loads(document)["keys"]
    assert {jwk["alg"] for jwk in shown} == set(ALGS)
    assert all(set(jwk) <= PUBLIC for jwk in shown)
    assert keyring.jwks_document(now + 5 * SECOND) == (document, etag)
    keyring.rotate(now)
    assert keyring.jwks_document(now)[1] != etag


def test_survives_a_restart(make: Callable[..., Keyring], now: dt.datetime) -> None:
    token = sign({"sub": "alice"}, make().signing("ES256", now), typ="JWT")
    again = make()
    assert verifies(token, again.verifying(now))
    assert len(again.public(now)) == 2


@pytest.mark.attack("ST2")
def test_private_keys_are_sealed_and_bound_to_their_row(
    keyring: Keyring, db: Database, sealer: Sealer, now: dt.datetime
) -> None:
    keyring.ensure(now)
    with db.read() as tx:
        first, second = signing_key.listing(tx)
    assert b"PRIVATE" not in first.private_sealed
    assert b"PRIVATE KEY" in sealer.open(TABLE, COLUMN, first.id, first.private_sealed)
    with pytest.raises(SealBroken):
        sealer.open(TABLE, COLUMN, second.id, first.private_sealed)


def test_a_new_key_is_shown_at_once_and_signs_after_the_lead(keyring: Keyring, now: dt.datetime) -> None:
    old = keyring.signing("ES256", now)
    new = set(keyring.rotate(now))
    assert len(new) == 2
    assert kids(keyring, now) > new
    assert keyring.signing("ES256", now + LEAD - SECOND).kid == old.kid
    assert keyring.signing("ES256", now + LEAD).kid in new


def test_workers_move_to_the_next_key_at_one_moment_however_old_their_copy(
    make: Callable[..., Keyring], now: dt.datetime
) -> None:
    one, other = make(), make()
    one.ensure(now)
    one.rotate(now)
    moment = now + LEAD
    other.public(moment - SECOND / 2)  # read before the moment, used after it
    one.public(moment)
    assert one.signing("ES256", moment).kid == other.signing("ES256", moment).kid


def test_an_old_key_stays_until_the_longest_token_it_signed_has_died(keyring: Keyring, now: dt.datetime) -> None:
    old = keyring.signing("ES256", now).kid
    keyring.rotate(now)
    keyring.public(now + LEAD)
    assert old in kids(keyring, now + LEAD + KEEP - SECOND)
    assert old not in kids(keyring, now + LEAD + KEEP)


def test_an_old_key_still_verifies_hints_while_a_session_may_last(keyring: Keyring, now: dt.datetime) -> None:
    hint = sign({"sub": "alice"}, keyring.signing("ES256", now), typ="JWT")
    keyring.rotate(now)
    keyring.public(now + LEAD)
    gone = now + LEAD + KEEP
    assert not verifies(hint, keyring.verifying(gone))
    assert verifies(hint, keyring.verifying_hints(gone))
    assert not verifies(hint, keyring.verifying_hints(gone + dt.timedelta(days=7)))


def test_rotation_is_automatic_and_on_time(keyring: Keyring, now: dt.datetime) -> None:
    first = keyring.signing("ES256", now).kid
    born = now - MARGIN
    soon = born + INTERVAL - LEAD
    assert keyring.signing("ES256", soon - SECOND).kid == first
    assert len(kids(keyring, soon - SECOND)) == 2
    assert len(kids(keyring, soon)) == 4
    assert keyring.signing("ES256", born + INTERVAL - SECOND).kid == first
    assert keyring.signing("ES256", born + INTERVAL).kid != first


def test_a_key_that_waits_is_not_followed_by_another(keyring: Keyring, now: dt.datetime) -> None:
    keyring.ensure(now)
    assert len(keyring.rotate(now)) == 2
    assert keyring.rotate(now) == ()
    assert len(kids(keyring, now)) == 4


def test_a_withdrawn_key_is_gone_and_another_signs(make: Callable[..., Keyring], now: dt.datetime) -> None:
    here, there = make(), make()
    bad = here.signing("ES256", now)
    token = sign({"sub": "alice"}, bad, typ="JWT")
    there.public(now)
    assert here.withdraw(bad.kid, now)
    assert here.signing("ES256", now).kid != bad.kid
    for keyring, moment in ((here, now), (there, now + SECOND)):
        assert bad.kid not in kids(keyring, moment)
        assert not verifies(token, keyring.verifying(moment))
        assert not verifies(token, keyring.verifying_hints(moment))
        assert keyring.signing("ES256", moment).kid == here.signing("ES256", now).kid


def test_all_keys_can_be_withdrawn_at_once(keyring: Keyring, now: dt.datetime) -> None:
    token = sign({"sub": "alice"}, keyring.signing("ES256", now), typ="JWT")
    keyring.rotate(now)
    before = kids(keyring, now)
    assert keyring.withdraw_all(now) == before
    assert kids(keyring, now).isdisjoint(before)
    assert {jwk["alg"] for jwk in keyring.public(now)} == {"ES256", "EdDSA"}
    assert not verifies(token, keyring.verifying_hints(now))


def test_withdrawing_a_waiting_key_lets_the_old_one_go_on(keyring: Keyring, now: dt.datetime) -> None:
    old = keyring.signing("ES256", now).kid
    for kid in keyring.rotate(now):
        assert keyring.withdraw(kid, now)
    assert keyring.signing("ES256", now + LEAD).kid == old
    assert old in kids(keyring, now + LEAD + KEEP)


@pytest.mark.parametrize("kid", ["", "unknown", "' OR 1=1 --"])
def test_withdraws_nothing_that_it_does_not_know(keyring: Keyring, now: dt.datetime, kid: str) -> None:
    keyring.ensure(now)
    assert not keyring.withdraw(kid, now)
    assert len(kids(keyring, now)) == 2


def test_withdrawing_twice_is_withdrawing_once(keyring: Keyring, now: dt.datetime) -> None:
    bad = keyring.signing("ES256", now).kid
    assert keyring.withdraw(bad, now)
    assert not keyring.withdraw(bad, now)
    assert len(kids(keyring, now)) == 2


def test_an_algorithm_taken_out_of_the_setting_stops_signing_and_fades(
    make: Callable[..., Keyring], now: dt.datetime
) -> None:
    make().ensure(now)
    fewer = make(signing_algs=("ES256",))
    assert len(kids(fewer, now)) == 2
    assert len(kids(fewer, now + KEEP)) == 1
    with pytest.raises(NoSigningKey):
        fewer.signing("EdDSA", now)


def test_lists_every_key_with_its_state(keyring: Keyring, now: dt.datetime) -> None:
    keyring.ensure(now)
    keyring.withdraw(keyring.signing("EdDSA", now).kid, now)
    keyring.rotate(now)
    keyring.public(now + LEAD)
    later = now + LEAD

    def states(moment: dt.datetime) -> list[str]:
        return sorted(state for _, state in keyring.listing(moment))

    assert states(now) == ["signing", "signing", "waiting", "waiting", "withdrawn"]
    assert states(later) == ["resting", "resting", "signing", "signing", "withdrawn"]
    assert states(later + KEEP) == ["removed", "removed", "signing", "signing", "withdrawn"]


def test_a_clock_that_goes_back_reads_again(keyring: Keyring, now: dt.datetime) -> None:
    keyring.public(now)
    assert kids(keyring, now - SECOND)


def test_threads_that_find_no_key_make_one_each_algorithm(make: Callable[..., Keyring], now: dt.datetime) -> None:
    workers = [make() for _ in range(4)]
    gate = threading.Barrier(8)
    found: list[str] = []

    def ask(keyring: Keyring) -> None:
        gate.wait()
        found.append(keyring.signing("ES256", now).kid)

    threads = [threading.Thread(target=ask, args=(workers[i % 4],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(workers[0].listing(now)) == 2


def test_gives_up_when_the_rows_change_under_every_attempt(
    keyring: Keyring, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keyring, "_commit", lambda *_: None)
    with pytest.raises(RuntimeError):
        keyring.ensure(now)


def test_looks_again_when_more_keys_are_missing_than_were_made(
    keyring: Keyring, db: Database, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    kid = keyring.signing("ES256", now).kid
    listed = signing_key.listing
    looks = iter([True])

    def first_look_is_old(tx: Session) -> Sequence[signing_key.SigningKey]:
        rows = listed(tx)
        if next(looks, False):  # the key goes between the look and the change
            with db.write() as other:
                signing_key.withdraw(other, kid, now)
        return rows

    monkeypatch.setattr(signing_key, "listing", first_look_is_old)
    assert len(keyring.ensure(now)) == 1
    assert keyring.signing("ES256", now).kid != kid


class Door:
    """A lock that counts who comes to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._knocked: list[None] = []

    @property
    def knocks(self) -> int:
        return len(self._knocked)

    def __enter__(self) -> None:
        self._knocked.append(None)
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_nobody_waits_for_more_than_one_look_at_a_store_that_hangs(
    keyring: Keyring, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.ensure(now)
    threads = 8
    looks: list[int] = []
    door = Door()
    monkeypatch.setattr(keyring, "_refreshing", door)

    def hangs(_keyring: Keyring) -> None:
        looks.append(door.knocks)
        deadline = time.monotonic() + 30
        while door.knocks < threads and time.monotonic() < deadline:
            time.sleep(0.001)
        raise StoreUnavailable("the store is not available")

    monkeypatch.setattr(Keyring, "_rows", hangs)
    told: list[StoreUnavailable] = []

    def ask() -> None:
        with pytest.raises(StoreUnavailable) as refused:
            keyring.verifying(now)
        told.append(refused.value)

    asking = [threading.Thread(target=ask) for _ in range(threads)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert (len(told), len(looks), door.knocks) == (threads, 1, threads)
    with pytest.raises(StoreUnavailable):  # whoever comes later looks again
        keyring.verifying(now)
    assert len(looks) == 2


@pytest.mark.parametrize("behind", [dt.timedelta(milliseconds=1), dt.timedelta(seconds=30)])
def test_a_worker_whose_moment_is_a_little_earlier_sees_the_keys_another_has_just_made(
    make: Callable[..., Keyring], now: dt.datetime, behind: dt.timedelta
) -> None:
    first, second = make(), make()
    key = first.signing("ES256", now)
    assert second.signing("ES256", now - behind).kid == key.kid
    assert kids(second, now - behind) == kids(first, now)
