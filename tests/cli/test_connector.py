"""`idp connector` for a directory: add, test, map, sync, list, remove."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from idp.store import account, identity
from idp.store import connector as store
from tests.services.authority import Authority
from tests.services.slapd import PEOPLE, READER, Slapd, group

NOW = datetime.now(UTC)


@pytest.fixture
def file(tmp_path: Path, slapd: Slapd, authority: Authority) -> Path:
    (tmp_path / "secret").write_text(READER[1] + "\n")
    made = tmp_path / "example.toml"
    made.write_text(
        f'kind = "ldap"\nservers = ["{slapd.ldaps}"]\nca_file = "{authority.file}"\n'
        f'bind_dn = "{READER[0]}"\nbind_password_file = "secret"\nuser_base = "{PEOPLE}"\n'
    )
    return made


def test_a_directory_is_added_tried_mapped_read_and_removed(cli: Any, orders: Any, file: Path) -> None:
    assert "connected" in cli.told("connector", "add", "example", str(file))
    walked = cli.json("connector", "test", "example", "--user", "alice")
    assert [each["step"] for each in walked["findings"]] == ["TLS", "bind", "search", "person", "groups", "roles"]
    assert "no rule is made" in walked["findings"][-1]["words"]
    cli.told("role", "create", "https://orders.example", "clerk", "--scope", "read")
    rule = ("connector", "map", "example", f"group:{group('outer')}", "https://orders.example", "clerk")
    assert "the whole DN" in cli.refused(*rule[:3], "group:outer", *rule[4:])
    assert "gives clerk" in cli.told(*rule)
    walked = cli.json("connector", "test", "example", "--user", "alice")
    assert walked["findings"][-1]["words"] == "group outer gives clerk at https://orders.example: read"
    walked = cli.json("connector", "test", "example", "--user", "user000001")
    assert "no rule fits" in walked["findings"][-1]["words"]
    shown = cli.told("connector", "show", "example", "--json")
    assert "outer" in shown
    assert READER[1] not in shown
    assert cli.json("connector", "sync", "example", "--dry-run")["read"] == 28
    assert [cli.json("connector", "sync", "example", *more)["full"] for more in ((), (), ("--full",))] == [
        True,
        False,
        True,
    ]
    assert cli.json("connector", "list")["connectors"][0]["name"] == "example"
    assert "is gone" in cli.told(*rule, "--remove")
    assert "no such rule" in cli.refused(*rule, "--remove")
    assert "Nobody signs in" in cli.told("connector", "disable", "example")
    assert "again" in cli.told("connector", "enable", "example")
    assert "is gone" in cli.told("connector", "remove", "example", "--yes")
    assert cli.json("connector", "list")["connectors"] == []


def test_what_is_wrong_is_said_by_its_field_and_never_by_its_value(cli: Any, file: Path) -> None:
    file.write_text(file.read_text() + 'verify = "s3cret"\n')
    said = cli.refused("connector", "add", "example", str(file))
    assert "verify" in said
    assert "s3cret" not in said
    file.write_text("kind = ")
    assert "not TOML" in cli.refused("connector", "add", "example", str(file))
    assert "no such connector" in cli.refused("connector", "show", "example")


@pytest.mark.attack("LG7")
def test_a_single_try_is_warned_of_where_it_is_said_and_where_it_is_tested(cli: Any, file: Path) -> None:
    added = cli.run("connector", "add", "example", str(file))
    assert (added.exit_code, added.stderr) == (0, "")
    assert "tries" not in [each["step"] for each in _findings(cli, "alice")]
    file.write_text(file.read_text() + "tries = 1\n")
    added = cli.run("connector", "add", "example", str(file))
    assert added.exit_code == 0
    assert "strangers can hold people back" in added.stderr
    (said,) = [each for each in _findings(cli, "alice") if each["step"] == "tries"]
    assert (said["passed"], said["words"]) == (True, added.stderr.strip())


def test_a_dry_run_says_a_line_for_each_person_and_does_nothing(cli: Any, file: Path, slapd: Slapd) -> None:
    cli.told("connector", "add", "example", str(file))
    with cli.db.write() as tx:
        row = store.find(tx, "example")
        for name, external_id in (("gone", "1"), ("locked", _key_of(cli, "locked"))):
            made = account.create(tx, username=name, now=NOW)
            facts = {"account_id": made.id, "username": name, "username_key": name, "email": None}
            identity.create(tx, connector_id=row.id, external_id=external_id, now=NOW, **facts)
    for _ in range(2):
        said = cli.told("connector", "sync", "example", "--dry-run")
        assert "- locked  closed: locked" in said
        assert "- gone  closed: gone" in said
    assert cli.json("user", "show", "locked")["state"] == "open"
    assert cli.json("connector", "sync", "example")["gone"] == ["gone"]
    assert cli.json("user", "show", "locked")["state"] == "closed"


def _key_of(cli: Any, name: str) -> str:
    """Return the key of somebody, as the test of the connector says it."""
    (said,) = [each["words"] for each in _findings(cli, name) if each["step"] == "person"]
    return said.partition("key ")[2].partition(",")[0]


def _findings(cli: Any, name: str) -> Any:
    return json.loads(cli.run("connector", "test", "example", "--user", name, "--json").stdout)["findings"]
