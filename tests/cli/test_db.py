"""`idp db` and `idp audit`, as an operator uses them."""

from __future__ import annotations

import json
import os
import stat

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from idp.audit.log import AuditLog
from idp.cli import main
from idp.cli.key import moment
from idp.store import account, signing_key
from idp.store.database import Database


@pytest.fixture
def run(database_url, tmp_path, monkeypatch):
    """The command over a fresh store of each kind, with a settings file of its own."""
    for name in [each for each in os.environ if each.startswith("IDP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idp.toml").write_text(
        f'database_url = "{database_url}"\nmaster_key_file = "var/master.key"\nsigning_algs = ["ES256"]\n'
    )

    def command(*arguments):
        return CliRunner().invoke(main, arguments, prog_name="idp", env={"COLUMNS": "140"})

    assert command("key", "init").exit_code == 0
    return command


@pytest.fixture
def tables(database_url):
    database = Database.open(database_url)
    yield database
    database.close()


def answered(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_upgrade_says_when_there_is_nothing_to_do(run):
    assert "nothing was changed" in run("db", "upgrade").output
    assert answered(run("db", "upgrade", "--json"))["changed"] is False


def test_check_names_a_difference_and_fails(run, tables):
    with tables.write() as tx:
        tx.execute(text("ALTER TABLE account ADD COLUMN nickname TEXT"))
    result = run("db", "check", "--json")
    assert result.exit_code == 1
    assert (
        "the tables differ from this version: remove_column account nickname" in json.loads(result.stdout)["problems"]
    )
    assert "nickname" in run("db", "check").output


def test_check_of_a_sound_sqlite_file_is_content(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setenv("IDP_DATABASE_URL", sqlite_url)
    (tmp_path / "idp.db").chmod(0o600)
    result = CliRunner().invoke(main, ["db", "check"])
    assert (result.exit_code, result.output.split(":")[0]) == (0, "All is well")


def test_check_of_a_file_that_others_may_read_says_how_to_close_it(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setenv("IDP_DATABASE_URL", sqlite_url)
    (tmp_path / "idp.db").chmod(0o644)
    result = CliRunner().invoke(main, ["db", "check"])
    assert result.exit_code == 1
    assert "chmod 600" in result.output


def test_a_backup_comes_back_with_new_keys(run, tables, tmp_path):
    with tables.write() as tx:
        account.create(tx, username="alice", now=moment())
    assert run("key", "rotate").exit_code == 0
    made = answered(run("db", "backup", "backup.db", "--json"))
    assert made["bytes"] == (tmp_path / "backup.db").stat().st_size
    assert stat.S_IMODE((tmp_path / "backup.db").stat().st_mode) == 0o600
    refused = run("db", "restore", "backup.db")
    assert refused.exit_code == 1
    assert "--force" in refused.output
    assert answered(run("db", "restore", "backup.db", "--force", "--json"))["epoch"] == 1
    with tables.read() as tx:
        withdrawn = [key.withdrawn_at is not None for key in signing_key.listing(tx)]
        assert sorted(withdrawn) == [False, True]
        assert account.find_by_login(tx, "alice") is not None
    assert "database.restored by=cli:" in run("audit", "tail").output


def test_a_file_that_is_no_backup_is_refused_in_one_line(run, tmp_path):
    (tmp_path / "letter.txt").write_text("hello")
    result = run("db", "restore", "letter.txt", "--force")
    assert (result.exit_code, result.output) == (1, "Error: letter.txt is not a backup, or it is damaged\n")


def test_prune_says_what_went(run):
    assert "Nothing was old enough" in run("db", "prune").output
    assert set(answered(run("db", "prune", "--json")).values()) == {0}


def test_verify_seals_what_waits_and_gives_a_head_to_note(run, tables):
    with tables.write() as tx:
        AuditLog(moment).record(tx, "account.created", note="x")
    found = answered(run("audit", "verify", "--json"))
    assert (found["intact"], found["rows"], found["problems"]) == (True, 1, [])
    assert run("audit", "verify", "--expect", found["head"]).exit_code == 0
    assert run("audit", "verify", "--expect", "9:00").exit_code == 1


@pytest.mark.attack("AD10")
def test_verify_names_a_changed_row_and_fails(run, tables):
    with tables.write() as tx:
        AuditLog(moment).record(tx, "account.created", note="x")
    assert run("audit", "verify").exit_code == 0
    with tables.write() as tx:
        tx.execute(text("DROP TRIGGER audit_no_change" + (" ON audit" if tables.dialect == "postgresql" else "")))
        tx.execute(text("UPDATE audit SET event = 'nothing'"))
        (row,) = tx.scalars(text("SELECT id FROM audit"))
    result = run("audit", "verify")
    assert result.exit_code == 1
    assert f"seq 1, row {row}: this row is not what was sealed" in result.output


@pytest.mark.attack("LO2")
def test_tail_shows_one_line_for_each_event_whatever_was_typed(run, tables):
    with tables.write() as tx:
        AuditLog(moment).record(tx, "signin.refused", ip="\r\n\x1b[2Jforged", agent='"}\n{"event": "forged"}')
    shown = run("audit", "tail")
    assert len(shown.stdout.splitlines()) == 1
    assert "\x1b" not in shown.stdout
    assert json.loads(run("audit", "tail", "--json").stdout)["event"] == "signin.refused"


def test_a_database_that_is_away_is_told_in_one_line(run, tmp_path):
    (tmp_path / "idp.toml").write_text('database_url = "postgresql://nobody@127.0.0.1:9/none"\n')
    result = run("db", "check")
    assert result.exit_code == 1
    assert result.output.startswith("Error: database_url: ")
