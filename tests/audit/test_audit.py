from __future__ import annotations

import datetime as dt
import threading

import pytest
from sqlalchemy import exc, text

from idp.audit import chain
from idp.audit.log import AuditLog
from idp.audit.seal import AuditSealer
from idp.audit.verify import verify
from idp.store import audit
from idp.store.database import Database
from idp.store.ids import new_id
from idp.store.sealed import create_master_key, load_master_key

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def sealer(tmp_path):
    create_master_key(tmp_path / "master.key")
    return load_master_key(tmp_path / "master.key")


@pytest.fixture
def log():
    return AuditLog(lambda: NOW)


@pytest.fixture
def sealed(db, sealer, log):
    """Six events, sealed in two batches."""
    sealing = AuditSealer(db, sealer)
    for start in (1, 4):
        for number in range(start, start + 3):
            with db.write() as tx:
                log.record(tx, f"event.{number}", account_id="a", number=number)
        sealing.run(NOW)
    return db


@pytest.fixture
def tamper(sealed):
    """Change the table as somebody who owns the database can, past its triggers."""

    def run(*statements):
        with sealed.write() as tx:
            for trigger in ("audit_no_delete", "audit_no_change"):
                tx.execute(text(f"DROP TRIGGER {trigger}" + (" ON audit" if sealed.dialect == "postgresql" else "")))
            for statement in statements:
                tx.execute(text(statement))

    return run


def row_at(db, seq):
    with db.read() as tx:
        return next(row for row in audit.chain(tx) if row.seq == seq)


def report(db, sealer, **more):
    with db.read() as tx:
        return verify(tx, sealer, **more)


def test_an_untouched_record_is_intact(sealed, sealer):
    found = report(sealed, sealer)
    assert (found.intact, found.rows, found.waiting) == (True, 6, 0)
    assert found.head == f"6:{row_at(sealed, 6).hash.hex()}"


def test_an_empty_record_is_intact(db, sealer):
    assert report(db, sealer).intact


def test_rows_enter_unchained_and_prove_nothing_yet(sealed, sealer, log):
    with sealed.write() as tx:
        log.record(tx, "late")
    found = report(sealed, sealer)
    assert (found.intact, found.rows, found.waiting) == (True, 6, 1)


EDITS = {
    "event": "UPDATE audit SET event = 'nothing' WHERE seq = 3",
    "actor": "UPDATE audit SET actor = 'somebody' WHERE seq = 3",
    "account": "UPDATE audit SET account_id = NULL WHERE seq = 3",
    "detail": """UPDATE audit SET detail = '{"number": 9}' WHERE seq = 3""",
    "time": "UPDATE audit SET at = '2026-01-01 00:00:00.000000' WHERE seq = 3",
}


@pytest.mark.attack("AD10")
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edited_row_is_named(sealed, sealer, tamper, edit):
    row = row_at(sealed, 3)
    tamper(edit)
    (problem,) = report(sealed, sealer).problems
    assert (problem.seq, problem.row_id, problem.text) == (3, row.id, "this row is not what was sealed")


@pytest.mark.attack("AD10")
def test_a_deleted_row_is_missed(sealed, sealer, tamper):
    tamper("DELETE FROM audit WHERE seq = 2")
    problems = report(sealed, sealer).problems
    assert [(each.seq, each.text) for each in problems] == [
        (2, "a row is missing here"),
        (3, "this row is not what was sealed"),
    ]


@pytest.mark.attack("AD10")
def test_a_cut_off_end_is_missed(sealed, sealer, tamper):
    tamper("DELETE FROM audit WHERE seq > 4")
    (problem,) = report(sealed, sealer).problems
    assert (problem.seq, problem.row_id) == (6, None)


@pytest.mark.attack("AD10")
def test_rows_in_another_order_are_named(sealed, sealer, tamper):
    second, third = row_at(sealed, 2), row_at(sealed, 3)
    tamper(
        "UPDATE audit SET seq = 99 WHERE seq = 2",
        "UPDATE audit SET seq = 2 WHERE seq = 3",
        "UPDATE audit SET seq = 3 WHERE seq = 99",
    )
    named = {each.row_id for each in report(sealed, sealer).problems}
    assert named >= {second.id, third.id}


@pytest.mark.attack("AD10")
def test_a_row_put_in_between_is_named(sealed, sealer, tamper):
    tamper(
        "DELETE FROM audit WHERE seq = 2",
        "INSERT INTO audit (id, at, event, detail, seq) "
        "VALUES ('forged', '2026-03-01 12:00:00.000000', 'forged', '{}', 2)",
    )
    assert "forged" in {each.row_id for each in report(sealed, sealer).problems}


@pytest.mark.attack("AD10")
def test_a_chain_made_anew_without_the_key_is_found_by_its_checkpoints(sealed, sealer, tamper):
    tamper("UPDATE audit SET event = 'nothing' WHERE seq = 2")
    last = chain.BEGINNING
    for seq in range(1, 7):
        last = chain.link(last, row_at(sealed, seq), seq)
        with sealed.write() as tx:
            tx.execute(text("UPDATE audit SET hash = :hash WHERE seq = :seq"), {"hash": last, "seq": seq})
    found = {(each.seq, each.text) for each in report(sealed, sealer).problems}
    assert found == {(seq, "the chain was made anew before this checkpoint") for seq in (3, 6)}
    with sealed.write() as tx:
        for seq in (3, 6):
            tx.execute(
                text("UPDATE audit_checkpoint SET hash = :hash WHERE seq = :seq"),
                {"hash": row_at(sealed, seq).hash, "seq": seq},
            )
    found = {(each.seq, each.text) for each in report(sealed, sealer).problems}
    assert found == {(seq, "the checkpoint here was not made by this provider") for seq in (3, 6)}


@pytest.mark.attack("AD10")
def test_a_head_noted_outside_finds_even_a_cut_with_its_checkpoints(sealed, sealer, tamper):
    noted = report(sealed, sealer).head
    assert report(sealed, sealer, expected=noted).intact
    tamper("DELETE FROM audit WHERE seq > 3", "DELETE FROM audit_checkpoint WHERE seq > 3")
    assert report(sealed, sealer).intact
    assert not report(sealed, sealer, expected=noted).intact


@pytest.mark.attack("AD10")
@pytest.mark.parametrize("statement", ["DELETE FROM audit WHERE seq = 2", "UPDATE audit SET event = 'x' WHERE seq = 2"])
def test_the_database_itself_refuses_to_touch_what_is_sealed(sealed, statement):
    with pytest.raises(exc.DBAPIError, match="append-only"), sealed.write() as tx:
        tx.execute(text(statement))


def test_two_sealers_at_once_number_each_row_once(db, database_url, sealer, log):
    with db.write() as tx:
        for number in range(1200):
            log.record(tx, "event", number=number)
    other = Database.open(database_url)
    threads = [threading.Thread(target=AuditSealer(each, sealer).run, args=(NOW,)) for each in (db, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.close()
    found = report(db, sealer)
    assert (found.intact, found.rows, found.waiting) == (True, 1200, 0)


def test_another_sealer_takes_over_when_the_first_gives_back(db, sealer, log):
    first, second = AuditSealer(db, sealer), AuditSealer(db, sealer)
    for turn in (first, second):
        with db.write() as tx:
            log.record(tx, "event")
        assert turn.run(NOW) == 1
        turn.stop()


def test_a_sealer_waits_while_another_holds_the_lease(db, sealer, log):
    with db.write() as tx:
        log.record(tx, "event")
    AuditSealer(db, sealer).run(NOW)
    with db.write() as tx:
        log.record(tx, "event")
    assert AuditSealer(db, sealer).run(NOW) == 0
    assert AuditSealer(db, sealer).run(NOW + dt.timedelta(seconds=10)) == 1


@pytest.mark.attack("LO2")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ('{"event": "forged"}', '{"event": "forged"}'),
        ("nul\x00", "nul\\x00"),
        ("half\ud800", "half\\ud800"),
        ("turned\u202earound", "turned\\u202earound"),
        ("line\u2028break", "line\\u2028break"),
        ("caf\u00e9", "caf\u00e9"),
        ("x" * 600, "x" * 500 + "..."),
    ],
)
def test_whatever_is_typed_stays_one_readable_record(db, log, given, kept):
    with db.write() as tx:
        log.record(tx, "signin.refused", ip=given, actor=given, agent=given, parts=[given], inner={given: given})
    with db.read() as tx:
        (row,) = audit.recent(tx, 10)
    assert (row.ip, row.actor) == (kept, kept)
    assert row.detail == {"agent": kept, "parts": [kept], "inner": {kept: kept}}


def test_detail_keeps_plain_values_and_drops_what_is_absent(db, log):
    with db.write() as tx:
        log.record(tx, "event", count=3, sure=True, at=NOW, names={"b", "a"}, absent=None)
    with db.read() as tx:
        (row,) = audit.recent(tx, 1)
    assert row.detail == {"count": 3, "sure": True, "at": "2026-03-01T12:00:00+00:00", "names": ["a", "b"]}


@pytest.mark.parametrize("name", ["password", "code", "refresh_token"])
def test_a_secret_is_not_recorded(db, log, name):
    with pytest.raises(ValueError, match="secrets"), db.write() as tx:
        log.record(tx, "event", **{name: "hidden"})


def test_the_newest_come_last_and_only_those_after_a_mark(sealed, log):
    with sealed.read() as tx:
        assert [row.event for row in audit.recent(tx, 2)] == ["event.5", "event.6"]
        assert audit.recent(tx, 10, after=new_id()) == []
