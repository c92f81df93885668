"""The gateway's own key: made where it is used, its public half for the provider."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from idp.cli import main
from idp.jose.keys import SigningKey

FILE = """
version = 1
[issuers.main]
issuer = "https://id.example"
client = { id = "gateway", key_file = "KEY" }
revocation = {}

[[routes]]
id = "orders"
match = { method = ["GET"], path = "/orders" }
audience = "https://orders.example"
upstream = "http://127.0.0.1:9"
"""


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA", "PS256"])
def test_a_key_is_written_for_its_owner_alone_and_its_public_half_is_shown(tmp_path: Path, alg: str) -> None:
    file = tmp_path / "gateway.pem"
    done = CliRunner().invoke(main, ["gateway", "key", str(file), "--alg", alg])
    assert done.exit_code == 0, done.output
    (shown,) = json.loads(done.stdout)["keys"]
    assert (shown["alg"], "d" in shown) == (alg, False)
    assert SigningKey.read_pem(file.read_bytes(), alg=alg).kid == shown["kid"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "gateway.pem"
    file.write_text("mine")
    done = CliRunner().invoke(main, ["gateway", "key", str(file)])
    assert (done.exit_code, file.read_text()) == (1, "mine")
    assert f"{file}: File exists" in done.output


def test_a_gateway_whose_key_is_missing_says_which_file(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(FILE.replace("KEY", str(tmp_path / "nowhere.pem")))
    done = CliRunner().invoke(main, ["gateway", "run", "--config", str(config)])
    assert done.exit_code == 1
    assert f"{tmp_path / 'nowhere.pem'}: cannot be read" in done.output
