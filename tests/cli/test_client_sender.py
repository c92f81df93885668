"""By which key or certificate a client is known, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from idp.jose.keys import SigningKey
from tests.cli.conftest import Cli
from tests.fixtures.certificates import make

REDIRECT = ("--redirect-uri", "https://app.example/cb")
DN = "CN=orders,O=Example,C=FR"


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    """A file with the certificate of a client."""
    file = tmp_path / "client.jwks"
    file.write_text(json.dumps(make().jwks))
    return str(file)


def test_a_client_is_made_that_must_prove_a_key(cli: Cli) -> None:
    made = cli.json("client", "create", "web", *REDIRECT, "--dpop-bound")
    assert made["dpop_bound_access_tokens"] is True
    assert made["tls_client_certificate_bound_access_tokens"] is False


@pytest.mark.spec("RFC 8705 section 2.1.2")
@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("--tls-subject-dn", "subject_dn", DN),
        ("--tls-san-dns", "san_dns", "orders.example"),
        ("--tls-san-uri", "san_uri", "spiffe://example/orders"),
        ("--tls-san-ip", "san_ip", "192.0.2.7"),
        ("--tls-san-email", "san_email", "orders@example.com"),
    ],
)
def test_a_client_is_known_by_one_name_of_its_certificate(cli: Cli, option: str, name: str, value: str) -> None:
    made = cli.json("client", "create", "orders", "--service", "--auth-method", "tls_client_auth", option, value)
    assert (made["auth_method"], made["tls_client_auth"]) == ("tls_client_auth", {name: value})
    assert "client_secret" not in made


def test_two_names_are_one_too_many(cli: Cli) -> None:
    names = ("--tls-subject-dn", DN, "--tls-san-dns", "orders.example")
    assert "one name" in cli.refused(
        "client", "create", "orders", "--service", "--auth-method", "tls_client_auth", *names
    )


def test_a_client_brings_its_own_certificate(cli: Cli, certificate: str) -> None:
    method = ("--auth-method", "self_signed_tls_client_auth")
    made = cli.json("client", "create", "orders", "--service", *method, "--jwks", certificate, "--certificate-bound")
    assert made["tls_client_certificate_bound_access_tokens"] is True
    assert "x5c" in cli.refused("client", "create", "stock", "--service", *method)


def test_a_client_is_changed_and_the_audit_knows(cli: Cli, certificate: str) -> None:
    cli.json("client", "create", "orders", "--service")
    assert cli.json("client", "edit", "orders", "--dpop-bound")["dpop_bound_access_tokens"] is True
    assert cli.json("client", "edit", "orders", "--certificate-bound")["dpop_bound_access_tokens"] is True
    assert cli.json("client", "edit", "orders", "--no-dpop-bound")["dpop_bound_access_tokens"] is False
    by_name = cli.json("client", "edit", "orders", "--auth-method", "tls_client_auth", "--tls-subject-dn", DN)
    assert (by_name["auth_method"], by_name["tls_client_auth"]) == ("tls_client_auth", {"subject_dn": DN})
    renamed = cli.json("client", "edit", "orders", "--tls-san-dns", "orders.example")
    assert renamed["tls_client_auth"] == {"san_dns": "orders.example"}
    own = cli.json("client", "edit", "orders", "--auth-method", "self_signed_tls_client_auth", "--jwks", certificate)
    assert (own["auth_method"], own["tls_client_auth"]) == ("self_signed_tls_client_auth", None)
    assert [event for event, _ in cli.events()].count("client.changed") == 6
    assert "orders" in cli.told("client", "edit", "orders", "--dpop-bound")


def test_a_change_obeys_the_rules_of_registration(cli: Cli, tmp_path: Path) -> None:
    cli.json("client", "create", "orders", "--service")
    assert "tls_subject" in cli.refused("client", "edit", "orders", "--auth-method", "tls_client_auth")
    assert "no such client" in cli.refused("client", "edit", "nobody", "--dpop-bound")
    keys = tmp_path / "keys.jwks"
    keys.write_text(json.dumps({"keys": [SigningKey.generate("ES256").public_jwk()]}))
    cli.json("client", "create", "keyed", "--service", "--auth-method", "private_key_jwt", "--jwks", str(keys))
    assert "no secret" in cli.refused("client", "edit", "keyed", "--auth-method", "client_secret_basic")
    keys.write_text("nonsense")
    assert "JWK Set" in cli.refused("client", "edit", "keyed", "--jwks", str(keys))
