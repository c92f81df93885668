"""`idp client`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idp.jose.keys import SigningKey
from idp.store import client
from idp.store.client import Client
from idp.store.digests import digest
from tests.cli.conftest import Cli

REDIRECT = ("--redirect-uri", "https://app.example/cb")


def row_of(cli: Cli, client_id: str) -> Client:
    with cli.db.read() as tx:
        found = client.find(tx, client_id)
    assert found is not None
    return found


def test_a_made_secret_is_shown_once_and_kept_as_a_digest(cli: Cli) -> None:
    made = cli.json("client", "create", "web", *REDIRECT)
    secret = made["client_secret"]
    assert len(secret) == 43
    assert row_of(cli, "web").secret_hash == digest(secret)
    assert secret not in cli.told("client", "show", "web") + cli.told("client", "list")


def test_pkce_and_consent_are_on_unless_switched_off(cli: Cli) -> None:
    made = cli.json("client", "create", "web", *REDIRECT)
    assert (made["require_pkce"], made["require_consent"]) == (True, True)
    own = cli.json("client", "create", "own", *REDIRECT, "--no-pkce", "--no-consent")
    assert (own["require_pkce"], own["require_consent"]) == (False, False)


@pytest.mark.attack("AZ13")
def test_a_public_client_has_no_secret_and_always_pkce(cli: Cli) -> None:
    made = cli.json(
        "client", "create", "spa", "--public", "--native", "--no-pkce", "--redirect-uri", "http://127.0.0.1/cb"
    )
    assert "client_secret" not in made
    assert (made["auth_method"], made["require_pkce"], made["application_type"]) == ("none", True, "native")


def test_the_usual_scopes_are_allowed_when_none_are_named(cli: Cli) -> None:
    made = cli.json("client", "create", "web", *REDIRECT)
    assert made["scopes"] == {"http://localhost:8000": ["email", "offline_access", "openid", "profile"]}


@pytest.mark.usefixtures("orders")
def test_scopes_of_an_api_are_allowed_by_name_or_all_together(cli: Cli) -> None:
    assert cli.json("client", "create", "one", "--service", "--scope", "read")["scopes"] == {
        "https://orders.example": ["read"]
    }
    assert cli.json("client", "create", "all", "--service", "--api", "https://orders.example")["scopes"] == {
        "https://orders.example": ["read", "write"]
    }
    some = cli.json(
        "client", "create", "some", *REDIRECT, "--scope", "openid", "--scope", "read", "--api", "https://orders.example"
    )
    assert some["scopes"] == {"http://localhost:8000": ["openid"], "https://orders.example": ["read"]}
    both = cli.json("client", "create", "both", *REDIRECT, "--scope", "openid", "--api", "https://orders.example")
    assert both["scopes"]["https://orders.example"] == ["read", "write"]
    assert cli.json("client", "scope", "one", "write")["scopes"] == {"https://orders.example": ["read", "write"]}
    assert cli.json("client", "scope", "one", "read", "--remove")["scopes"] == {"https://orders.example": ["write"]}


@pytest.mark.usefixtures("orders")
def test_a_scope_that_several_apis_have_needs_the_api(cli: Cli) -> None:
    cli.told("api", "create", "https://b.example", "--name", "B", "--scope", "read")
    told = cli.refused("client", "create", "x", "--service", "--scope", "read")
    assert "several APIs" in told
    assert "say which by --api" in told
    there = cli.json("client", "create", "there", "--service", "--scope", "read", "--api", "https://b.example")
    assert there["scopes"] == {"https://b.example": ["read"]}
    assert "no scope" in cli.refused("client", "create", "x", "--service", "--scope", "none")
    with cli.db.read() as tx:
        assert client.find(tx, "x") is None
    cli.told("client", "create", "x", "--service")
    assert "several APIs" in cli.refused("client", "scope", "x", "read")
    chosen = ("client", "scope", "x", "read", "--api", "https://b.example")
    assert cli.json(*chosen)["scopes"] == {"https://b.example": ["read"]}
    assert cli.json(*chosen, "--remove")["scopes"] == {}
    assert "has no scope write" in cli.refused("client", "scope", "x", "write", "--api", "https://b.example")


def test_keys_make_a_client_without_a_secret(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [SigningKey.generate("ES256").public_jwk()]}))
    made = cli.json("client", "create", "jwt", "--service", "--auth-method", "private_key_jwt", "--jwks", str(file))
    assert (made["auth_method"], "client_secret" in made) == ("private_key_jwt", False)


def test_a_new_secret_replaces_the_old_one(cli: Cli) -> None:
    old = cli.json("client", "create", "web", *REDIRECT)["client_secret"]
    new = cli.json("client", "secret", "rotate", "web")["client_secret"]
    assert old != new
    assert row_of(cli, "web").secret_hash == digest(new)
    assert row_of(cli, "web").version > 1
    assert "shown this once" in cli.told("client", "secret", "rotate", "web")


def test_a_client_is_closed_and_opened(cli: Cli) -> None:
    cli.told("client", "create", "web", *REDIRECT)
    cli.told("client", "disable", "web")
    assert cli.json("client", "show", "web")["state"] == "closed"
    cli.told("client", "enable", "web")
    assert cli.json("client", "show", "web")["state"] == "open"


@pytest.mark.attack("SC4")
@pytest.mark.parametrize("secret", ["", "secret", "a" * 64, "changeme-changeme-changeme"])
def test_refuses_a_weak_chosen_secret(cli: Cli, secret: str) -> None:
    assert "secret" in cli.refused("client", "create", "web", *REDIRECT, "--secret-stdin", typed=f"{secret}\n")


def test_takes_a_strong_chosen_secret_and_does_not_show_it(cli: Cli) -> None:
    secret = "kX2pQ9vL4mN7rT1wY6zB3cD8fG5hJ0sA"
    told = cli.told("client", "create", "web", *REDIRECT, "--secret-stdin", typed=f"{secret}\n")
    assert secret not in told
    assert row_of(cli, "web").secret_hash == digest(secret)


@pytest.mark.attack("AZ6")
@pytest.mark.parametrize("uri", ["javascript:alert(1)", "data:text/html,x", "http://app.example/cb", "myapp:/cb"])
def test_refuses_an_unsafe_redirect_uri(cli: Cli, uri: str) -> None:
    assert "redirect" in cli.refused("client", "create", "web", "--redirect-uri", uri)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("create", "web"), "redirect_uris"),
        (("create", "a b", *REDIRECT), "client_id"),
        (("create", "x", "--service", "--grant", "refresh_token"), "--service"),
        (("create", "x", "--public", "--auth-method", "private_key_jwt"), "public"),
        (("create", "x", "--public", "--service"), "client_credentials"),
        (("create", "x", "--service", "--auth-method", "private_key_jwt"), "jwks"),
        (("show", "none"), "no such client"),
        (("disable", "none"), "no such client"),
        (("scope", "none", "x"), "no such client"),
        (("secret", "rotate", "none"), "no such client"),
    ],
)
def test_says_what_is_wrong(cli: Cli, command: tuple[str, ...], reason: str) -> None:
    assert reason in cli.refused("client", *command)


def test_refuses_keys_that_are_none(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    for text in ("nonsense", "[]", '{"keys": [{"kty": "oct", "k": "AAAA"}]}'):
        file.write_text(text)
        options = ("--service", "--auth-method", "private_key_jwt", "--jwks", str(file))
        assert "jwks" in cli.refused("client", "create", "x", *options)


def test_a_client_without_a_secret_has_none_to_rotate(cli: Cli) -> None:
    cli.told("client", "create", "spa", "--public", *REDIRECT)
    assert "secret" in cli.refused("client", "secret", "rotate", "spa")


def test_names_are_given_once(cli: Cli) -> None:
    cli.told("client", "create", "web", *REDIRECT)
    assert "already" in cli.refused("client", "create", "web", *REDIRECT)


def test_every_change_is_in_the_audit(cli: Cli) -> None:
    cli.told("client", "create", "web", *REDIRECT)
    for command in (("disable", "web"), ("enable", "web"), ("secret", "rotate", "web"), ("scope", "web", "phone")):
        cli.told("client", *command)
    names: Any = [event for event, _ in cli.events()]
    assert names == [
        "client.created",
        "client.disabled",
        "client.enabled",
        "client.secret_rotated",
        "client.scopes_added",
    ]


def test_a_client_can_be_given_references_and_jwts_again(cli: Cli) -> None:
    assert cli.json("client", "create", "web", *REDIRECT)["access_token_format"] == "jwt"
    assert cli.json("client", "create", "shop", *REDIRECT, "--reference-tokens")["access_token_format"] == "reference"
    assert "reference" in cli.told("client", "token-format", "web", "reference")
    assert row_of(cli, "web").access_token_format == "reference"
    assert cli.json("client", "token-format", "web", "jwt")["access_token_format"] == "jwt"
    assert "no such client" in cli.refused("client", "token-format", "nobody", "jwt")
    assert [event for event, _ in cli.events()].count("client.token_format_changed") == 2
