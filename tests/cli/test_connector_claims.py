"""`idp connector claims`: a mapping is tried before anybody signs in by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from idp.jose.keys import SigningKey
from tests.cli.conftest import Cli

ORDERS = "https://orders.example"
PERSON = {"sub": "117", "email": "ada@example.org", "email_verified": True, "hd": "example.org", "name": "Ada"}

pytestmark = pytest.mark.usefixtures("orders")


@pytest.fixture
def google(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "google.secret").write_text("s3cret\n")
    toml = tmp_path / "google.toml"
    toml.write_text('kind = "oidc"\npreset = "google"\nclient_id = "x"\nclient_secret_file = "google.secret"\n')
    cli.told("connector", "add", "google", str(toml))


def said(tmp_path: Path, text: str) -> str:
    file = tmp_path / "someone.json"
    file.write_text(text)
    return str(file)


@pytest.mark.usefixtures("google")
def test_says_who_somebody_would_be_and_in_which_roles(cli: Cli, tmp_path: Path) -> None:
    cli.told("role", "create", ORDERS, "clerk", "--scope", "read")
    cli.told("connector", "map", "google", "claim:hd=example.org", ORDERS, "clerk")

    who = cli.json("connector", "claims", "google", said(tmp_path, json.dumps(PERSON)))

    assert (who["subject"], who["username"], who["email_verified"]) == ("117", "ada@example.org", True)
    assert who["roles"] == ["clerk"]


@pytest.mark.usefixtures("google")
@pytest.mark.parametrize(("text", "words"), [("[]", "not one JSON object"), ("{}", "the subject is absent")])
def test_says_what_is_wrong(cli: Cli, tmp_path: Path, text: str, words: str) -> None:
    assert words in cli.refused("connector", "claims", "google", said(tmp_path, text))


@pytest.mark.usefixtures("google")
def test_a_secret_is_shown_to_nobody(cli: Cli) -> None:
    assert "s3cret" not in cli.told("connector", "show", "google")


@pytest.mark.usefixtures("google")
def test_prints_the_public_keys_that_a_provider_needs(cli: Cli, tmp_path: Path) -> None:
    assert "no keys" in cli.refused("connector", "keys", "google")
    for name in ("signs", "opens"):
        (tmp_path / f"{name}.pem").write_bytes(SigningKey.generate("ES256").private_pem())
    toml = tmp_path / "works.toml"
    toml.write_text(
        'kind = "oidc"\nissuer = "https://op.example"\nclient_id = "x"\nprivate_key_file = "signs.pem"\n'
        'encrypted = ["id_token"]\ndecryption_key_file = "opens.pem"\n'
    )
    cli.told("connector", "add", "works", str(toml))

    told = json.loads(cli.told("connector", "keys", "works"))["keys"]

    assert [each["use"] for each in told] == ["sig", "enc"]
    assert not any("d" in each for each in told)
    assert cli.json("connector", "keys", "works")["keys"] == told


@pytest.mark.usefixtures("google")
def test_reading_what_is_no_directory_is_refused_in_words(cli: Cli) -> None:
    assert "only a directory can be read" in cli.refused("connector", "sync", "google")


@pytest.mark.usefixtures("google")
def test_a_rule_is_shown_as_it_is_written_and_one_of_a_claim_without_a_value_is_refused(cli: Cli) -> None:
    cli.told("role", "create", ORDERS, "clerk", "--scope", "read")
    assert "claim:NAME=VALUE" in cli.refused("connector", "map", "google", "claim:hd", ORDERS, "clerk")
    cli.told("connector", "map", "google", "claim:hd=example.org", ORDERS, "clerk")
    assert cli.json("connector", "show", "google")["rules"] == [f"claim:hd=example.org -> {ORDERS} clerk"]
