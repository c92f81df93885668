"""`idp key`, as an operator uses it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from idp.cli import main
from idp.store import audit as audit_rows
from idp.store.database import Database

Run = Callable[..., Result]


@pytest.fixture
def run(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command over a fresh store, with a settings file of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idp.toml").write_text(
        f'database_url = "{sqlite_url}"\nmaster_key_file = "{tmp_path}/var/master.key"\n'
        'signing_algs = ["ES256", "EdDSA"]\n'
    )

    def command(*arguments: str, **options: str) -> Result:
        return CliRunner().invoke(main, arguments, prog_name="idp", env={"COLUMNS": "140"}, **options)

    return command


@pytest.fixture
def ready(run: Run) -> Run:
    """The same with a master key and first keys."""
    assert run("key", "init").exit_code == 0
    assert run("key", "rotate").exit_code == 0
    return run


def keys(run: Run) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads(run("key", "list", "--json").output)["keys"]
    return listed


def test_init_writes_a_master_key_that_only_its_owner_can_read(run: Run, tmp_path: Path) -> None:
    result = run("key", "init")
    file = tmp_path / "var/master.key"
    assert result.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() not in result.output


def test_init_never_replaces_a_master_key(run: Run, tmp_path: Path) -> None:
    first = json.loads(run("key", "init", "--json").output)
    written = (tmp_path / "var/master.key").read_bytes()
    second = json.loads(run("key", "init", "--json").output)
    assert (first["created"], second["created"]) == (True, False)
    assert first["key_id"] == second["key_id"]
    assert (tmp_path / "var/master.key").read_bytes() == written
    assert "already" in run("key", "init").output


def test_init_works_for_an_exposed_provider_whose_key_is_not_there_yet(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "idp.toml").open("a") as file:
        file.write('issuer = "https://idp.example"\nhost = "0.0.0.0"\n')
    refused = run("key", "list")
    assert refused.exit_code == 1
    assert "master_key_file" in refused.output
    assert run("key", "init").exit_code == 0
    assert run("key", "list").exit_code == 0


def test_names_a_master_key_that_others_may_read(ready: Run, tmp_path: Path) -> None:
    (tmp_path / "var/master.key").chmod(0o644)
    for command in ("init", "list", "rotate"):
        result = ready("key", command)
        assert result.exit_code == 1
        assert "master_key_file" in result.output


def test_names_a_missing_master_key(run: Run) -> None:
    result = run("key", "list")
    assert result.exit_code == 1
    assert "idp key init" in result.output


def test_says_that_there_are_no_keys_yet(run: Run) -> None:
    run("key", "init")
    assert "No signing keys yet" in run("key", "list").output
    assert keys(run) == []


def test_names_a_database_without_tables(run: Run, tmp_path: Path) -> None:
    run("key", "init")
    with (tmp_path / "idp.toml").open() as file:
        text = file.read().replace("idp.db", "empty.db")
    (tmp_path / "idp.toml").write_text(text)
    result = run("key", "list")
    assert result.exit_code == 1
    assert "database_url" in result.output


def test_names_a_settings_file_that_is_wrong(run: Run, tmp_path: Path) -> None:
    (tmp_path / "idp.toml").write_text("no_such_setting = 1\n")
    result = run("key", "list")
    assert result.exit_code == 1
    assert "no_such_setting" in result.output


def test_rotate_publishes_and_says_from_when_the_key_signs(ready: Run) -> None:
    result = ready("key", "rotate")
    assert result.exit_code == 0
    assert result.output.count("is published and signs from") == 2
    assert sorted(key["state"] for key in keys(ready)) == ["signing", "signing", "waiting", "waiting"]
    assert "waits already" in ready("key", "rotate").output
    assert json.loads(ready("key", "rotate", "--json").output) == {"created": []}


def test_list_shows_every_key_for_people(ready: Run) -> None:
    ready("key", "rotate")
    output = ready("key", "list").output
    for key in keys(ready):
        assert key["kid"] in output
    assert "signs since" in output
    assert "signs from" in output


def test_withdraw_takes_a_key_away_and_names_the_one_that_signs_now(ready: Run) -> None:
    bad = keys(ready)[0]
    result = ready("key", "withdraw", bad["kid"], "--yes")
    assert result.exit_code == 0
    states = {key["kid"]: key["state"] for key in keys(ready)}
    assert states[bad["kid"]] == "withdrawn"
    assert sorted(states.values()) == ["signing", "signing", "withdrawn"]
    assert f"{bad['alg']} is signed by" in result.output
    assert "gone since" in ready("key", "list").output
    assert ready("key", "withdraw", bad["kid"], "--yes").exit_code == 1


def test_withdraw_asks_first(ready: Run) -> None:
    bad = keys(ready)[0]["kid"]
    assert ready("key", "withdraw", bad, input="n\n").exit_code == 1
    assert {key["state"] for key in keys(ready)} == {"signing"}
    assert ready("key", "withdraw", bad, input="y\n").exit_code == 0


@pytest.mark.parametrize("kid", ["unknown", "-h8zy", "-yes", "' OR 1=1 --"])
def test_withdraw_refuses_what_it_does_not_know_even_if_it_begins_with_a_dash(ready: Run, kid: str) -> None:
    result = ready("key", "withdraw", kid, "--yes")
    assert result.exit_code == 1
    assert "no such key" in result.output


def test_withdraw_answers_programs(ready: Run) -> None:
    bad = keys(ready)[0]
    told = json.loads(ready("key", "withdraw", bad["kid"], "--json").output)
    assert told["withdrawn"] == [bad["kid"]]
    assert set(told["signing"]) == {"ES256", "EdDSA"}


def test_withdraws_everything_when_told_to(ready: Run) -> None:
    before = {key["kid"] for key in keys(ready)}
    told = json.loads(ready("key", "withdraw", "--all", "--json").output)
    assert set(told["withdrawn"]) == before
    assert set(told["signing"]) == {"ES256", "EdDSA"}
    assert before.isdisjoint(told["signing"].values())


@pytest.mark.parametrize("arguments", [(), ("some-kid", "--all")])
def test_withdraw_wants_one_key_or_all(ready: Run, arguments: tuple[str, ...]) -> None:
    assert ready("key", "withdraw", *arguments, "--yes").exit_code == 2


def test_another_master_key_is_named_not_shown_as_a_crash(ready: Run, tmp_path: Path) -> None:
    (tmp_path / "var/master.key").unlink()
    ready("key", "init")
    assert ready("key", "list").exit_code == 0  # listing opens nothing


def test_every_change_is_in_the_audit_with_who_made_it(ready: Run, sqlite_url: str) -> None:
    ready("key", "withdraw", keys(ready)[0]["kid"], "--yes")
    with Database.open(sqlite_url).read() as tx:
        rows = [(row.event, row.actor) for row in tx.query(audit_rows.AuditRow).all()]
    events = [event for event, _ in rows]
    assert events.count("key.created") == 3
    assert events.count("key.withdrawn") == 1
    assert all(str(actor).startswith("cli:") for _, actor in rows)


@pytest.mark.attack("ST6")
def test_reseal_puts_everything_under_a_new_master_key(ready: Run, sqlite_url: str, tmp_path: Path) -> None:
    before = (tmp_path / "var/master.key").read_text().split()
    told = json.loads(ready("key", "reseal", "--new", "--json").output)
    after = (tmp_path / "var/master.key").read_text().split()
    assert (told["created"], told["rows"]["signing_key"]) == (True, 2)
    assert after[:1] == before
    assert len(after) == 2
    assert json.loads(ready("key", "reseal", "--json").output)["rows"]["signing_key"] == 0
    assert "already" in ready("key", "reseal").output
    assert {key["state"] for key in keys(ready)} == {"signing"}
    database = Database.open(sqlite_url)
    with database.read() as tx:
        events = [row for row in audit_rows.recent(tx, 10) if row.event == "master_key.resealed"]
    database.close()
    assert {row.detail["key_id"] for row in events} == {told["key_id"]}


def test_reseal_says_how_much_it_did(ready: Run) -> None:
    said = ready("key", "reseal", "--new").output
    assert "2 sealed anew." in said
    assert "Keep a copy" in said
