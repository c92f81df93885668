"""`idp role explain`: from a group over there, or here, to the claim in a token."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from idp.accounts import federated
from idp.accounts.connectors import Ready
from idp.federation.connector import Identity, Membership
from idp.store import connector
from tests.cli.conftest import Cli

ORDERS = "https://orders.example"
NOW = datetime.now(UTC)

pytestmark = pytest.mark.usefixtures("orders")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def ada(cli: Cli) -> str:
    """Ada of the directory: in `inner`, which is in `outer`, which makes her a clerk; her department reads."""
    cli.told("role", "create", ORDERS, "clerk", "--scope", "read", "--scope", "write")
    cli.told("role", "create", ORDERS, "reader", "--scope", "read")
    with cli.db.write() as tx:
        row = connector.put(tx, name="corp", kind="ldap", label="Corp", config={}, now=NOW)
    cli.told("connector", "map", "corp", "group:CN=Outer,DC=test", ORDERS, "clerk")
    cli.told("connector", "map", "corp", "claim:department=it", ORDERS, "reader")
    ready = Ready(
        id=row.id,
        version=1,
        name="corp",
        label="Corp",
        domains=frozenset(),
        provisioning="open",
        allowed_domains=frozenset(),
        visible=True,
        connector=None,  # type: ignore[arg-type]  # nobody asks it
    )
    inner, outer = "cn=inner,dc=test", "cn=outer,dc=test"
    who = Identity(
        connector="corp",
        external_id="1",
        username="ada",
        groups=(Membership(key=inner, name="inner"), Membership(key=outer, name="outer", via=inner)),
        claims={"department": "it"},
    )
    with cli.db.write() as tx:
        return federated.arrive(tx, ready, who, NOW).account.username


def test_the_whole_chain_is_told_from_the_group_to_the_claim(cli: Cli, ada: str) -> None:
    told = cli.told("role", "explain", ada).splitlines()
    assert told == [
        ORDERS,
        "  corp: inner -> in outer -> rule group:CN=Outer,DC=test -> role clerk -> read write",
        "  corp: rule claim:department=it -> role reader -> read",
        "  in a token: roles ['clerk', 'reader'], scope at most \"read write\"",
    ]


def test_programs_get_the_same_as_facts_with_groups_of_here_beside(cli: Cli, ada: str) -> None:
    cli.told("group", "create", "staff")
    cli.told("group", "role", "staff", ORDERS, "clerk")
    cli.told("group", "add", "staff", ada)
    said = cli.json("role", "explain", ada)
    (at,) = said["apis"]
    assert at["claims"] == {"roles": ["clerk", "reader"], "scope": "read write"}
    here, there = at["roles"][0]["ways"]
    assert here == {"group": "staff"}
    assert [each["name"] for each in there["groups"]] == ["inner", "outer"]
    assert there["seen"].startswith(str(NOW.year))
    assert "group staff -> role clerk -> read write" in cli.told("role", "explain", ada)


def test_who_has_nothing_and_who_is_closed_is_told_so(cli: Cli, ada: str) -> None:
    cli.user("bob")
    assert "bob has no role" in cli.told("role", "explain", "bob")
    cli.told("user", "disable", ada)
    assert "ada is closed" in cli.told("role", "explain", ada)
    assert "no such account" in cli.refused("role", "explain", "nobody")
