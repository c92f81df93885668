"""`idp group`, `idp role`, `idp api`: who may do what, where."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from idp.accounts import roles
from idp.store import api
from idp.store.event import Event
from tests.cli.conftest import Cli

ORDERS = "https://orders.example"

pytestmark = pytest.mark.usefixtures("orders")


def test_a_person_gets_scopes_by_group_and_role(cli: Cli) -> None:
    cli.told("role", "create", ORDERS, "clerk", "--scope", "read")
    cli.told("group", "create", "staff")
    cli.told("group", "role", "staff", ORDERS, "clerk")
    ada = cli.user("ada")
    cli.told("group", "add", "staff", "ada")
    with cli.db.read() as tx:
        assert roles.entitlements(tx, ada["id"], ORDERS).scopes == {"read"}
    cli.told("role", "grant", ORDERS, "clerk", "write")
    with cli.db.read() as tx:
        assert roles.entitlements(tx, ada["id"], ORDERS).scopes == {"read", "write"}
    cli.told("group", "remove", "staff", "ada")
    with cli.db.read() as tx:
        assert roles.entitlements(tx, ada["id"], ORDERS) == roles.Entitlements()


def test_what_was_given_can_be_taken_away(cli: Cli) -> None:
    cli.told("role", "create", ORDERS, "clerk", "--scope", "read", "--scope", "write")
    assert cli.json("role", "grant", ORDERS, "clerk", "write", "--remove")["scopes"] == ["read"]
    cli.told("group", "create", "staff", "--mfa", "required")
    cli.told("group", "role", "staff", ORDERS, "clerk")
    cli.told("group", "role", "staff", ORDERS, "clerk", "--remove")
    ada = cli.user("ada", "--group", "staff")
    with cli.db.read() as tx:
        assert roles.entitlements(tx, ada["id"], ORDERS) == roles.Entitlements()


@pytest.mark.attack("IN4")
def test_what_is_taken_away_is_told_to_gateways(cli: Cli) -> None:
    cli.told("client", "create", "robot", "--service", "--scope", "read", "--scope", "write")
    cli.told("role", "create", ORDERS, "clerk", "--scope", "read", "--scope", "write")
    cli.told("role", "client", ORDERS, "clerk", "robot")
    cli.told("role", "grant", ORDERS, "clerk", "write", "--remove")
    cli.told("role", "client", ORDERS, "clerk", "robot", "--remove")
    cli.told("client", "scope", "robot", "write", "--remove")
    with cli.db.read() as tx:
        said = tx.execute(select(Event.kind, Event.ids, Event.reason).order_by(Event.at)).all()
    subject, client = ("account", ["robot"], "roles changed"), ("client", ["robot"], "roles changed")
    assert said == [subject, subject, client]


def test_lists_and_shows(cli: Cli) -> None:
    cli.told("role", "create", ORDERS, "clerk", "--scope", "read")
    cli.told("group", "create", "staff")
    cli.user("ada", "--group", "staff")
    assert cli.json("group", "list")["groups"] == [{"name": "staff", "mfa": "optional", "members": 1}]
    assert cli.json("group", "show", "staff")["members"] == ["ada"]
    assert cli.json("role", "list", ORDERS)["roles"] == [{"name": "clerk", "scopes": ["read"], "mfa": "optional"}]
    assert cli.json("api", "show", ORDERS)["scopes"] == ["read", "write"]
    for command in (("group", "list"), ("group", "show", "staff"), ("role", "list", ORDERS), ("api", "list")):
        assert cli.told(*command)
    assert "Orders" in cli.told("api", "show", ORDERS)


def test_a_group_says_whether_a_second_factor_is_needed(cli: Cli) -> None:
    cli.told("group", "create", "staff")
    assert cli.json("group", "mfa", "staff", "required")["mfa"] == "required"


def test_a_scope_carries_the_words_of_the_consent_page(cli: Cli) -> None:
    cli.told("api", "scope", ORDERS, "cancel", "--text", "Cancel orders")
    with cli.db.read() as tx:
        assert api.known_scopes(tx, ["cancel", "read"]) == {
            "cancel": [(ORDERS, "Cancel orders")],
            "read": [(ORDERS, "Read")],
        }


def test_a_lifetime_of_tokens_is_kept_in_seconds(cli: Cli) -> None:
    made = cli.json("api", "create", "https://a.example", "--name", "A", "--token-lifetime", "5m")
    assert made["token_lifetime"] == 300


def test_resource_clients_serve_an_api(cli: Cli) -> None:
    cli.told("client", "create", "gateway", "--service")
    cli.told("api", "resource-client", ORDERS, "gateway")
    assert cli.json("api", "show", ORDERS)["resource_clients"] == ["gateway"]
    cli.told("api", "resource-client", ORDERS, "gateway", "--remove")
    assert cli.json("api", "show", ORDERS)["resource_clients"] == []


def test_a_service_client_has_roles_of_its_own(cli: Cli) -> None:
    cli.told("client", "create", "robot", "--service", "--scope", "read")
    cli.told("role", "create", ORDERS, "clerk", "--scope", "read")
    cli.told("role", "client", ORDERS, "clerk", "robot")
    with cli.db.read() as tx:
        assert roles.client_entitlements(tx, "robot", ORDERS).roles == {"clerk"}
    cli.told("role", "client", ORDERS, "clerk", "robot", "--remove")
    with cli.db.read() as tx:
        assert roles.client_entitlements(tx, "robot", ORDERS) == roles.Entitlements()


@pytest.mark.spec("RFC 8707 section 2")
@pytest.mark.parametrize(
    "audience", ["orders", "/orders", "https://orders.example/#x", "https://", "http://[", "a b", ""]
)
def test_refuses_an_audience_that_is_no_absolute_uri(cli: Cli, audience: str) -> None:
    assert "absolute URI" in cli.refused("api", "create", audience, "--name", "X")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("api", "create", ORDERS, "--name", "Again"), "already"),
        (("api", "create", "https://x.example", "--name", "X", "--token-lifetime", "2h"), "1h"),
        (("api", "create", "https://x.example", "--name", "X", "--token-lifetime", "0s"), "1s"),
        (("api", "create", "https://x.example", "--name", "X", "--token-lifetime", "soon"), "duration"),
        (("api", "create", "https://x.example", "--name", "X", "--alg", "EdDSA"), "signing_algs"),
        (("api", "scope", ORDERS, "read"), "already"),
        (("api", "scope", ORDERS, "openid"), "provider itself"),
        (("api", "scope", ORDERS, 'a"b'), "printable"),
        (("api", "scope", "https://none.example", "x"), "no such API"),
        (("api", "resource-client", ORDERS, "none"), "no such client"),
        (("role", "create", ORDERS, "clerk", "--scope", "none"), "no scope"),
        (("role", "create", "https://none.example", "clerk"), "no such API"),
        (("role", "grant", ORDERS, "none", "read"), "no such role"),
        (("group", "add", "none", "ada"), "no such"),
        (("group", "role", "none", ORDERS, "clerk"), "no such"),
        (("group", "create", "x", "--mfa", "sometimes"), "not one of"),
    ],
)
def test_says_in_one_line_what_is_wrong(cli: Cli, command: tuple[str, ...], reason: str) -> None:
    assert reason in cli.refused(*command)


def test_names_are_given_once(cli: Cli) -> None:
    cli.told("group", "create", "staff")
    assert "already" in cli.refused("group", "create", "staff")
    cli.told("role", "create", ORDERS, "clerk")
    assert "already" in cli.refused("role", "create", ORDERS, "clerk")
    cli.told("client", "create", "robot", "--service")
    assert "no such role" in cli.refused("role", "client", ORDERS, "none", "robot")
    assert "no such client" in cli.refused("role", "client", ORDERS, "clerk", "none")


def test_every_change_is_in_the_audit(cli: Cli) -> None:
    cli.told("group", "create", "staff")
    cli.told("role", "create", ORDERS, "clerk")
    cli.told("group", "role", "staff", ORDERS, "clerk")
    names: Any = [event for event, actor in cli.events() if actor and actor.startswith("cli:")]
    assert names == [
        "api.scope_added",
        "api.scope_added",
        "api.created",
        "group.created",
        "role.created",
        "group.role_added",
    ]
