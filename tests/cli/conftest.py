"""The command line on a fresh database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from idp.cli import main
from idp.store import audit
from idp.store.database import Database
from idp.store.sealed import create_master_key

PASSWORD = "seven purple herons walk"


@dataclass(frozen=True, kw_only=True)
class Cli:
    """Runs `idp` as an operator would."""

    environment: dict[str, str]
    db: Database

    def run(self, *arguments: str, typed: str | None = None) -> Result:
        """Run a command."""
        return CliRunner().invoke(main, arguments, input=typed, env=self.environment)

    def told(self, *arguments: str, typed: str | None = None) -> str:
        """Run a command that succeeds; return what it says."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, typed: str | None = None) -> Any:
        """Run a command that succeeds; return what it says to programs."""
        return json.loads(self.told(*arguments, "--json", typed=typed))

    def refused(self, *arguments: str, typed: str | None = None) -> str:
        """Run a command that does not; return the one reason it gives."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code != 0, result.output
        assert "Traceback" not in result.output
        return result.stderr

    def user(self, name: str = "ada", *options: str) -> Any:
        """Create an account."""
        return self.json("user", "create", name, "--password-stdin", *options, typed=f"{PASSWORD}\n")

    def events(self) -> Sequence[tuple[str, str | None]]:
        """Return what the audit says: event and actor."""
        with self.db.read() as tx:
            return [(row.event, row.actor) for row in audit.recent(tx, 1000)]


@pytest.fixture
def cli(db: Database, database_url: str, tmp_path: Path) -> Cli:
    key = tmp_path / "cli.key"
    create_master_key(key)
    environment = {"IDP_DATABASE_URL": database_url, "IDP_MASTER_KEY_FILE": str(key), "COLUMNS": "200"}
    return Cli(environment=environment, db=db)


@pytest.fixture
def orders(cli: Cli) -> Any:
    """The orders API with two scopes."""
    return cli.json(
        "api", "create", "https://orders.example", "--name", "Orders", "--scope", "read=Read", "--scope", "write"
    )
