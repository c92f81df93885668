"""A new master key: everything is sealed anew, and nothing is lost on the way."""

from __future__ import annotations

import pytest

from idp.store import account, reseal, signing_key, totp
from idp.store.backup import backup
from idp.store.ids import new_id
from idp.store.restore import restore
from idp.store.sealed import SealBroken, add_master_key, create_master_key, load_master_key
from idp.store.tables import metadata

PLACES = {
    ("connector", "secrets_sealed"),
    ("handshake", "kept_sealed"),
    ("handshake", "who_sealed"),
    ("signing_key", "private_sealed"),
    ("totp", "seed_sealed"),
}
NOBODY = {"connector": 0, "handshake": 0}


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "master.key"
    create_master_key(made)
    return made


@pytest.fixture
def old(file):
    """The keys as a worker read them at its start."""
    return load_master_key(file)


def add_factor(db, sealer, name, now):
    row = new_id()
    with db.write() as tx:
        owner = account.create(tx, username=name, now=now)
        seed = sealer.seal("totp", "seed_sealed", row, name.encode())
        totp.create(tx, totp_id=row, account_id=owner.id, label="app", seed_sealed=seed, now=now)
        totp.confirm(tx, row, 1, now)
    return owner.id


def opened(db, sealer, account_id):
    with db.read() as tx:
        (factor,) = totp.confirmed(tx, account_id)
    return sealer.open("totp", "seed_sealed", factor.id, factor.seed_sealed)


@pytest.fixture
def people(db, old, now):
    """Five people with an authenticator, and a signing key."""
    with db.write() as tx:
        signing_key.create(
            tx,
            kid="kid",
            alg="ES256",
            public_jwk={},
            private_sealed=old.seal("signing_key", "private_sealed", "kid", b"pem"),
            now=now,
            publish_at=now,
            sign_from=now,
        )
    return {name: add_factor(db, old, name, now) for name in ("ada", "bob", "cy", "dee", "eve")}


def stale(db, sealer):
    return sum(
        sealer.stale(value)
        for table, column in reseal.columns()
        for rows in reseal._batches(db, table, column)
        for _, value in rows
    )


def test_every_sealed_column_is_known():
    assert {(table.name, column.name) for table, column in reseal.columns()} == PLACES
    assert all("id" in metadata.tables[name].c for name, _ in PLACES)


@pytest.mark.attack("ST6")
def test_everything_is_under_the_new_key_and_opens(db, file, old, people):
    add_master_key(file)
    new = load_master_key(file)
    assert stale(db, new) == 6
    assert reseal.reseal(db, new) == {**NOBODY, "signing_key": 1, "totp": 5}
    assert stale(db, new) == 0
    assert [opened(db, new, owner) for owner in people.values()] == [name.encode() for name in people]
    assert reseal.reseal(db, new) == {**NOBODY, "signing_key": 0, "totp": 0}


@pytest.mark.attack("ST6")
def test_a_worker_that_serves_opens_what_was_sealed_under_a_key_it_has_not_met(db, file, old, people):
    name = add_master_key(file)
    reseal.reseal(db, load_master_key(file))
    assert opened(db, old, people["ada"]) == b"ada"
    # From then on it seals under the new key as well.
    assert old.active == name


@pytest.mark.attack("ST6")
def test_what_was_broken_off_is_finished_by_the_next_run(db, file, old, people, monkeypatch):
    monkeypatch.setattr(reseal, "BATCH", 2)
    add_master_key(file)
    new = load_master_key(file)

    def break_off(table, done, _total):
        if table == "totp" and done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reseal.reseal(db, new, break_off)
    assert 0 < stale(db, new) < 5
    # Both keys are known meanwhile, so everybody can sign in.
    assert [opened(db, new, owner) for owner in people.values()] == [name.encode() for name in people]
    assert reseal.reseal(db, new)["totp"] == 3
    assert stale(db, new) == 0


@pytest.mark.attack("ST6")
def test_a_row_that_comes_under_the_older_key_meanwhile_is_not_forgotten(db, file, old, people, now):
    add_master_key(file)
    new = load_master_key(file)
    late = []

    def arrive(table, *_):
        if table == "totp" and not late:
            late.append(add_factor(db, old, "late", now))

    reseal.reseal(db, new, arrive)
    assert stale(db, new) == 0
    assert opened(db, new, late[0]) == b"late"


def test_a_value_that_changed_meanwhile_is_left_as_it_is(db, file, old, people, monkeypatch):
    add_master_key(file)
    new = load_master_key(file)
    table, column = next(place for place in reseal.columns() if place[0].name == "totp")
    rows = next(reseal._batches(db, table, column))
    assert reseal._batch(db, new, (table, column), rows) == 5
    assert reseal._batch(db, new, (table, column), rows) == 0


@pytest.mark.attack("ST6", "ST4")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_backup_of_either_side_of_a_new_key_comes_back(db, file, old, people, tmp_path, now, when):
    early = backup(db, tmp_path / "early", now).file
    add_master_key(file)
    new = load_master_key(file)
    reseal.reseal(db, new)
    made = early if when == "before" else backup(db, tmp_path / "late", now).file
    restore(db, made, new, lambda: now, force=True)
    reseal.reseal(db, new)
    assert stale(db, new) == 0
    assert opened(db, new, people["cy"]) == b"cy"


def test_a_key_that_is_nowhere_stays_unknown(db, file, old, people, tmp_path):
    create_master_key(tmp_path / "other.key")
    with pytest.raises(SealBroken):
        reseal.reseal(db, load_master_key(tmp_path / "other.key"))
    sealed = old.seal("t", "c", "1", b"value")
    file.unlink()
    assert old.open("t", "c", "1", sealed) == b"value"
    with pytest.raises(SealBroken):
        old.open("t", "c", "1", bytes(8) + sealed[8:])
