from __future__ import annotations

import datetime as dt
import sqlite3
import stat
import threading
from contextlib import closing

import pytest

from idp.audit.log import AuditLog
from idp.audit.seal import AuditSealer
from idp.audit.verify import verify
from idp.store import (
    account,
    audit,
    client,
    code,
    consent,
    device,
    grant,
    meta,
    migrate,
    refresh_token,
    session,
    signing_key,
    totp,
    used_jti,
)
from idp.store import token as token_state
from idp.store.backup import BackupRefused, backup
from idp.store.database import Database
from idp.store.digests import digest
from idp.store.restore import restore
from idp.store.sealed import Sealer, create_master_key, load_master_key

LATER = dt.timedelta(hours=1)
NOW = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.fixture
def lived_in(db, person, sealer, now):
    """A database in which everything has happened once; its person's grant is returned."""
    with db.write() as tx:
        AuditLog(lambda: now).record(tx, "account.created", account_id=person.account_id, note="caf\u00e9")
        totp.create(
            tx,
            totp_id="factor",
            account_id=person.account_id,
            label="phone",
            seed_sealed=sealer.seal("totp", "seed_sealed", "factor", b"seed"),
            now=now,
        )
        totp.confirm(tx, "factor", 1, now)
        totp.replace_recovery_codes(tx, person.account_id, [digest("recovery")], now)
        device.remember(tx, b"device", person.account_id, now)
        consent.allow(tx, person.account_id, "web-app", {"a": ["one"]}, now)
        signing_key.create(
            tx,
            kid="kid",
            alg="ES256",
            public_jwk={"kty": "EC"},
            private_sealed=b"sealed",
            now=now,
            publish_at=now,
            sign_from=now,
        )
        code.create(
            tx,
            code_hash=digest("code"),
            grant_id=person.id,
            client_id="web-app",
            redirect_uri=None,
            code_challenge=None,
            nonce=None,
            resources=[],
            claims={},
            now=now,
            expires_at=now + LATER,
        )
        refresh_token.create(
            tx,
            token_hash=digest("refresh"),
            grant_id=person.id,
            client_id="web-app",
            scopes={},
            now=now,
            idle_expires_at=now + LATER,
        )
    AuditSealer(db, sealer).run(now)
    return person


@pytest.fixture
def empty(empty_url):
    """A database without tables, to restore into."""
    database = Database.open(empty_url)
    yield database
    database.close()


def test_a_backup_of_either_kind_comes_back_in_either_kind(db, lived_in, empty, sealer, tmp_path):
    made = backup(db, tmp_path / "backup", NOW)
    done = restore(empty, made.file, sealer, lambda: NOW + LATER)
    assert (done.made_from, done.epoch, done.rows["account"]) == (db.dialect, 1, 1)
    assert migrate.check(empty.engine) == []
    with db.read() as before, empty.read() as after:
        old, new = account.find_by_login(before, "alice"), account.find_by_login(after, "alice")
        assert (new.id, new.username, new.created_at, new.claims) == (old.id, old.username, old.created_at, old.claims)
        assert client.find(after, "web-app").redirect_uris == []
        (factor,) = totp.confirmed(after, new.id)
        assert sealer.open("totp", "seed_sealed", factor.id, factor.seed_sealed) == b"seed"
        assert verify(after, sealer).intact
        assert meta.get(after, "backup_format") is None


@pytest.mark.attack("ST4")
def test_nothing_used_or_revoked_revives(db, lived_in, empty, sealer, tmp_path):
    restored_at = NOW + LATER
    restore(empty, backup(db, tmp_path / "backup", NOW).file, sealer, lambda: restored_at)
    claims = {
        "jti": "j",
        "iat": int(NOW.timestamp()),
        "sub": lived_in.account_id,
        "client_id": "web-app",
    }
    step = int(restored_at.timestamp()) // 30
    with empty.write() as tx:
        assert code.claim(tx, digest("code"), restored_at) is None
        assert refresh_token.find(tx, digest("refresh")) is None
        assert grant.find(tx, lived_in.id) is None
        assert session.find_by_cookie(tx, digest("cookie"), restored_at) is None
        assert not totp.claim_recovery_code(tx, lived_in.account_id, digest("recovery"), restored_at)
        assert not device.known(tx, b"device", lived_in.account_id)
        assert consent.remembered(tx, lived_in.account_id, "web-app") == {}
        assert not totp.claim_step(tx, "factor", step + 1, restored_at)
        assert totp.claim_step(tx, "factor", step + 2, restored_at)
        assert signing_key.present(tx, restored_at) == []
        assert not token_state.is_live(tx, claims, restored_at)
        assert not token_state.is_live(tx, claims | {"grant_id": lived_in.id, "sid": lived_in.session_id}, restored_at)
        assert not used_jti.claim(tx, "assertion", restored_at + dt.timedelta(minutes=5), restored_at)


@pytest.mark.attack("ST4")
def test_each_restore_begins_a_new_epoch_and_says_so_in_the_audit(db, lived_in, sealer, tmp_path, now):
    made = backup(db, tmp_path / "backup", now)
    with db.read() as tx:
        head = audit.head(tx)
    assert restore(db, made.file, sealer, lambda: now, force=True, actor="cli:root").epoch == 1
    assert restore(db, made.file, sealer, lambda: now, force=True).epoch == 2
    with db.read() as tx:
        (told,) = [row for row in audit.recent(tx, 10) if row.event == "database.restored"]
        assert told.detail == {
            "epoch": 2,
            "made_at": now.isoformat(),
            "replaced_audit_head": f"{head.seq}:{head.hash.hex()}",
        }


def test_a_database_that_holds_something_is_not_replaced_unasked(db, lived_in, sealer, tmp_path, now):
    made = backup(db, tmp_path / "backup", now)
    with db.write() as tx:
        account.create(tx, username="later", now=now)
    with pytest.raises(BackupRefused, match="--force"):
        restore(db, made.file, sealer, lambda: now)
    with db.read() as tx:
        assert account.find_by_login(tx, "later") is not None
        assert grant.find(tx, lived_in.id) is not None
    restore(db, made.file, sealer, lambda: now, force=True)
    with db.read() as tx:
        assert account.find_by_login(tx, "later") is None


def test_a_restore_that_fails_leaves_everything_as_it_was(db, lived_in, sealer, tmp_path, monkeypatch):
    made = backup(db, tmp_path / "backup", NOW)

    def fail(*_args, **_more):
        raise ZeroDivisionError

    monkeypatch.setattr("idp.store.restore._void", fail)
    with pytest.raises(ZeroDivisionError):
        restore(db, made.file, sealer, lambda: NOW, force=True)
    assert migrate.check(db.engine) == []
    with db.read() as tx:
        assert grant.find(tx, lived_in.id).live(NOW)


def test_a_backup_is_of_one_moment_while_others_write(db, lived_in, tmp_path, now):
    stop, failures = threading.Event(), []

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            try:
                with db.write() as tx:
                    meta.put(tx, "left", str(number))
                    meta.put(tx, "right", str(number))
            except Exception as error:  # noqa: BLE001 (whatever it is, the test names it)
                failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        files = [backup(db, tmp_path / f"backup{number}", now).file for number in range(5)]
    finally:
        stop.set()
        writer.join(10)
    assert failures == []
    for file in files:
        with closing(sqlite3.connect(file)) as opened:
            held = dict(opened.execute("SELECT key, value FROM meta WHERE key IN ('left', 'right')"))
        assert held.get("left") == held.get("right")


def test_a_backup_is_for_its_owner_and_overwrites_nothing(db, lived_in, tmp_path, now):
    file = tmp_path / "backup"
    assert stat.S_IMODE(backup(db, file, now).file.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.glob("backup*")) == ["backup"]
    with pytest.raises(BackupRefused, match="already there"):
        backup(db, file, now)


def test_progress_reaches_its_end(db, lived_in, tmp_path, now):
    told = []
    backup(db, tmp_path / "backup", now, lambda *facts: told.append(facts))
    assert told[-1][1] == told[-1][2] > 0


def test_a_backup_under_another_master_key_is_refused(db, lived_in, empty, tmp_path, now):
    made = backup(db, tmp_path / "backup", now)
    create_master_key(tmp_path / "other.key")
    with pytest.raises(BackupRefused, match="master key"):
        restore(empty, made.file, load_master_key(tmp_path / "other.key"), lambda: now)


def _damage(file):
    content = bytearray(file.read_bytes())
    content[100:4000] = bytes(3900)
    file.write_bytes(content)


def _cut(file):
    file.write_bytes(file.read_bytes()[:-5000])


def _forget_format(file):
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("DELETE FROM meta WHERE key = 'backup_format'")


def _newer_format(file):
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("UPDATE meta SET value = '9' WHERE key = 'backup_format'")


def _newer_tables(file):
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("UPDATE alembic_version SET version_num = '9999'")


BROKEN = {
    "damaged": _damage,
    "cut": _cut,
    "no backup": _forget_format,
    "newer format": _newer_format,
    "newer tables": _newer_tables,
    "text": lambda file: file.write_text("hello"),
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_sound_backup_is_refused_and_changes_nothing(sqlite_url, sealer, tmp_path, now, change):
    database = Database.open(sqlite_url)
    with database.write() as tx:
        account.create(tx, username="alice", now=now)
    file = backup(database, tmp_path / "backup", now).file
    change(file)
    with pytest.raises(BackupRefused):
        restore(database, file, sealer, lambda: now, force=True)
    with database.read() as tx:
        assert account.find_by_login(tx, "alice") is not None
    database.close()


def test_a_backup_of_older_tables_is_brought_up_to_date(sqlite_url, sealer, tmp_path, now):
    database = Database.open(sqlite_url)
    file = backup(database, tmp_path / "backup", now).file
    old = Database.open(f"sqlite:///{file}")
    migrate.downgrade(old.engine, "0001")
    old.close()
    restore(database, file, sealer, lambda: now, force=True)
    assert migrate.check(database.engine) == []
    database.close()


def test_an_outdated_database_is_not_backed_up(db, tmp_path, now):
    migrate.downgrade(db.engine, "0001")
    with pytest.raises(migrate.Outdated):
        backup(db, tmp_path / "backup", now)


def test_no_key_opens_what_it_did_not_seal():
    assert not Sealer({"00" * 8: bytes(32)}, "00" * 8).knows(b"")


def test_what_happens_while_a_restore_copies_does_not_count_after_it(db, lived_in, sealer, tmp_path, now):
    file = backup(db, tmp_path / "backup", now).file
    moments = iter([now + LATER])
    copied = []

    def clock():
        assert copied, "the moment is taken when everything has been copied"
        return next(moments)

    restore(db, file, sealer, clock, force=True, progress=lambda table, *_: copied.append(table))
    with db.read() as tx:
        assert account.find(tx, lived_in.account_id).not_before == (now + LATER).replace(microsecond=0)
