"""`idp exchange`: allowed one by one, seen, and taken away."""

from __future__ import annotations

import pytest

from idp.store import client, exchange_policy
from tests.cli.conftest import Cli

ORDERS = "https://orders.example"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@pytest.fixture(autouse=True)
def gateway(cli: Cli, orders: object) -> None:
    cli.told("client", "create", "gateway", "--service")
    cli.told("client", "create", "next", "--service")


def test_allowing_writes_the_policy_and_gives_the_client_the_grant(cli: Cli) -> None:
    row = cli.json("exchange", "allow", "gateway", ORDERS, "--scope", "read")
    assert row == {
        "client_id": "gateway",
        "audience": ORDERS,
        "scopes": ["read"],
        "ways": ["delegation"],
        "max_ttl": None,
        "require_acr": None,
        "require_may_act": False,
        "may_act": None,
        "mode": "refuse",
        "per_minute": None,
        "owner": None,
        "review_by": None,
        "review_overdue": False,
    }
    with cli.db.read() as tx:
        found = client.find(tx, "gateway")
        assert found is not None
        assert found.grant_types == ["client_credentials", EXCHANGE]
    assert "exchange.allowed" in [event for event, _ in cli.events()]


def test_saying_it_again_replaces_it_whole(cli: Cli) -> None:
    options = ("--max-ttl", "60s", "--require-acr", "aal2", "--require-may-act", "--may-act", "next", "--narrow")
    cli.told("exchange", "allow", "gateway", ORDERS, "--scope", "read", "--scope", "write", *options)
    told = ("--owner", "team-orders", "--review-by", "2020-03-31", "--impersonation", "--no-delegation")
    cli.told("exchange", "allow", "gateway", ORDERS, "--scope", "write", *told)
    (row,) = cli.json("exchange", "list", "--client", "gateway")["exchanges"]
    assert (row["mode"], row["per_minute"]) == ("refuse", None)
    assert (row["scopes"], row["ways"], row["max_ttl"], row["may_act"]) == (["write"], ["impersonation"], None, None)
    assert (row["owner"], row["review_by"], row["review_overdue"]) == ("team-orders", "2020-03-31", True)
    assert "impersonation" in cli.told("exchange", "list")


def test_a_policy_may_narrow_and_may_have_a_quota_of_its_own(cli: Cli) -> None:
    row = cli.json("exchange", "allow", "gateway", ORDERS, "--scope", "read", "--narrow", "--per-minute", "60")
    assert (row["mode"], row["per_minute"]) == ("narrow", 60)
    assert "narrow" in cli.told("exchange", "allow", "gateway", ORDERS, "--scope", "read", "--narrow")


def test_what_is_removed_is_no_longer_allowed(cli: Cli) -> None:
    cli.told("exchange", "allow", "gateway", ORDERS, "--scope", "read")
    cli.told("exchange", "remove", "gateway", ORDERS)
    assert cli.json("exchange", "list")["exchanges"] == []
    assert "no such exchange" in cli.refused("exchange", "remove", "gateway", ORDERS)


def test_an_exchange_goes_with_its_client(cli: Cli) -> None:
    cli.told("exchange", "allow", "gateway", ORDERS, "--scope", "read")
    with cli.db.write() as tx:
        tx.delete(client.find(tx, "gateway"))
    with cli.db.read() as tx:
        assert exchange_policy.listing(tx) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("nobody", ORDERS, "--scope", "read"), "no such client"),
        (("gateway", "https://nowhere.example", "--scope", "read"), "no such API"),
        (("gateway", ORDERS, "--scope", "erase"), "no scope erase"),
        (("gateway", ORDERS), "Missing option '--scope'"),
        (("gateway", ORDERS, "--scope", "read", "--no-delegation"), "allow delegation, impersonation or both"),
        (("gateway", ORDERS, "--scope", "read", "--max-ttl", "soon"), "max-ttl"),
        (("gateway", ORDERS, "--scope", "read", "--max-ttl", "0s"), "max-ttl"),
        (("gateway", ORDERS, "--scope", "read", "--per-minute", "0"), "per-minute"),
        (("gateway", ORDERS, "--scope", "read", "--may-act", "nobody"), "may-act"),
    ],
)
def test_what_cannot_be_allowed_is_told_in_words(cli: Cli, arguments: tuple[str, ...], reason: str) -> None:
    assert reason in cli.refused("exchange", "allow", *arguments)


@pytest.mark.attack("TX5")
def test_a_public_client_cannot_be_allowed(cli: Cli) -> None:
    cli.told("client", "create", "spa", "--public", "--redirect-uri", "https://spa.example/cb")
    assert "public client" in cli.refused("exchange", "allow", "spa", ORDERS, "--scope", "read")
    refused = cli.refused("client", "create", "two", "--public", "--grant", EXCHANGE)
    assert "token exchange needs a client that can prove itself" in refused
