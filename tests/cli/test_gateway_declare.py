"""`idp gateway plan` and `apply`: one file says what an API is, and the provider is made to agree."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import pytest

from idp.audit.log import AuditLog
from idp.cli.declaring import reading
from idp.clients.declaration import apply as applying
from idp.clients.declaration.model import Declaration, Moved
from idp.clients.declaration.plan import plan
from idp.gateway.load import parse
from idp.gateway.policy.lint import findings
from idp.jose.keys import SigningKey
from idp.store import api, client, declared, event, role
from idp.store.digests import digest
from tests.cli.conftest import Cli
from tests.services.provider import IDP

PROVIDER = "http://localhost:8000"
ORDERS = "https://orders.example"
REPORTS = "https://reports.example"

ISSUER = f"""
version = 1
[issuers.main]
issuer = "{PROVIDER}"
client = {{ id = "orders-gateway", key_file = "KEY" }}
"""
ROLES = """
[roles]
support = ["read", "write"]
auditor = ["read"]
"""
ROUTES = f"""
[[routes]]
id = "order-read"
match = {{ method = ["GET"], path = "/orders/{{oid}}" }}
audience = "{ORDERS}"
upstream = "http://127.0.0.1:1"
require = {{ scope = ["read"], role_any = ["support", "customer"] }}
[[routes]]
id = "order-write"
match = {{ method = ["POST"], path = "/orders" }}
audience = "{ORDERS}"
upstream = "http://127.0.0.1:1"
when = [{{ any = [{{ scope = "write" }}, {{ role = "chief" }}] }}, {{ not = {{ role = "banned" }} }}]
"""


class Ground:
    """A folder with a gateway's file and its key."""

    def __init__(self, cli: Cli, folder: Path) -> None:
        self.cli = cli
        self.key = folder / "gateway.pem"
        self.key.write_bytes(SigningKey.generate("ES256").private_pem())
        self.file = folder / "gateway.toml"
        self.write(ISSUER + ROLES + ROUTES)

    def write(self, text: str) -> None:
        """Write the file."""
        self.file.write_text(text.replace("KEY", str(self.key)))

    def plan(self, *options: str) -> dict[str, Any]:
        """Ask what would change."""
        result = self.cli.run("gateway", "plan", str(self.file), "--json", *options)
        told: dict[str, Any] = json.loads(result.stdout)
        assert result.exit_code == (2 if told["changes"] else 0)
        return told

    def lines(self, *options: str) -> list[str]:
        """Ask what would change, in words."""
        signs = {"add": "+", "change": "~", "remove": "-"}
        return [f"{signs[each['what']]} {each['text']}" for each in self.plan(*options)["changes"]]

    def apply(self, *options: str) -> str:
        """Make it so."""
        return self.cli.told("gateway", "apply", str(self.file), "--yes", *options)

    def declaration(self) -> Declaration:
        """Read the file as the commands do."""
        config = parse(self.file.read_text(), source="gateway.toml")
        return reading.read(config, provider=PROVIDER, name=None, jwks=None).declaration


@pytest.fixture
def ground(cli: Cli, tmp_path: Path) -> Ground:
    return Ground(cli, tmp_path)


def test_a_plan_for_an_empty_store_names_everything_and_changes_nothing(ground: Ground) -> None:
    kid = SigningKey.read_pem(ground.key.read_bytes(), alg="ES256").kid
    lines = [
        f"+ API {ORDERS}",
        f"+ scope read of {ORDERS}",
        f"+ scope write of {ORDERS}",
        *(f"+ role {name} of {ORDERS}" for name in ("auditor", "chief", "customer", "support")),
        f"+ role auditor of {ORDERS} grants read",
        f"+ role support of {ORDERS} grants read",
        f"+ role support of {ORDERS} grants write",
        f"+ client orders-gateway, proves itself by private_key_jwt, key {kid}",
        f"+ client orders-gateway serves {ORDERS}: it may introspect its tokens and hear what is revoked",
    ]
    assert ground.lines() == lines
    assert ground.lines() == lines
    with ground.cli.db.read() as tx:
        assert api.find(tx, ORDERS) is None


def test_words_say_what_would_happen_and_how_to_do_it(ground: Ground) -> None:
    result = ground.cli.run("gateway", "plan", str(ground.file))
    assert result.exit_code == 2
    assert f"+ API {ORDERS}\n" in result.stdout
    assert '"orders-gateway": 12 to add.' in result.stdout
    assert f"idp gateway apply {ground.file} --plan {ground.plan()['plan']}" in result.stdout


def test_applied_the_provider_agrees_and_a_second_apply_has_nothing_to_do(ground: Ground) -> None:
    assert "Done: 12 added, 0 changed, 0 removed." in ground.apply()
    with ground.cli.db.read() as tx:
        found = api.find(tx, ORDERS)
        assert found is not None
        assert found.name == "orders.example"
        support = role.find(tx, found.id, "support")
        assert support is not None
        assert role.scopes(tx, support.id) == {"read", "write"}
        gateway = client.find(tx, "orders-gateway")
        assert gateway is not None
        assert (gateway.auth_method, gateway.grant_types) == ("private_key_jwt", [])
        assert api.serves(tx, "orders-gateway", ORDERS)
    assert ground.plan()["changes"] == []
    before = ground.cli.events()
    assert "Nothing to do" in ground.apply()
    assert ground.cli.events() == before


def test_every_change_is_in_the_audit_under_its_usual_name(ground: Ground) -> None:
    ground.apply()
    told = {name for name, _ in ground.cli.events()}
    assert told >= {
        "api.created", "api.scope_added", "role.created", "role.scopes_added", "client.created",
        "api.resource_client_added", "declaration.applied",
    }  # fmt: skip


def test_what_the_file_no_longer_names_is_taken_back_with_who_loses_by_it(ground: Ground) -> None:
    ground.apply()
    ground.cli.user("ada")
    for arguments in (("create", "helpdesk"), ("add", "helpdesk", "ada"), ("role", "helpdesk", ORDERS, "support")):
        ground.cli.told("group", *arguments)
    ground.write(ISSUER + ROLES.replace('support = ["read", "write"]', 'support = ["read"]') + ROUTES)
    (change,) = ground.plan()["changes"]
    assert change["text"] == f"role support of {ORDERS} grants write"
    assert (change["what"], change["loses"]) == ("remove", ["group helpdesk (1 person)"])
    ground.apply()
    ground.write(ISSUER + ROUTES.replace('"support", ', ""))
    changes = {each["text"]: each for each in ground.plan()["changes"]}
    assert changes[f"role support of {ORDERS}"]["loses"] == ["group helpdesk (1 person)"]
    assert "loses: group helpdesk (1 person)" in ground.cli.run("gateway", "plan", str(ground.file)).stdout
    ground.apply()
    with ground.cli.db.read() as tx:
        found = api.find(tx, ORDERS)
        assert found is not None
        assert [each.name for each in role.listing(tx, found.id)] == ["chief", "customer"]


def test_an_api_that_only_the_file_made_goes_with_it(ground: Ground) -> None:
    other = ROUTES.replace(ORDERS, REPORTS).replace("order-", "report-").replace("/orders", "/reports")
    ground.write(ISSUER + ROUTES + other)
    ground.apply()
    ground.write(ISSUER + ROUTES)
    assert ground.lines()[-1] == f"- API {REPORTS}"
    ground.apply()
    with ground.cli.db.read() as tx:
        assert api.find(tx, REPORTS) is None
        assert declared.made(tx)["orders-gateway"] == set(ground.declaration().items)


def test_an_api_stays_while_something_made_by_hand_hangs_on_it(ground: Ground) -> None:
    other = ROUTES.replace(ORDERS, REPORTS).replace("order-", "report-").replace("/orders", "/reports")
    ground.write(ISSUER + ROUTES + other)
    ground.apply()
    ground.cli.told("api", "scope", REPORTS, "extra")
    ground.cli.told("role", "create", REPORTS, "boss")
    ground.write(ISSUER + ROUTES)
    told = ground.plan()
    assert told["notes"] == [
        f"API {REPORTS} stays, since something hangs on it that stays: scope extra of {REPORTS} and 1 more"
    ]
    ground.apply()
    assert ground.plan()["changes"] == []
    with ground.cli.db.read() as tx:
        found = api.find(tx, REPORTS)
        assert found is not None
        assert [each.name for each in api.scopes(tx, found.id)] == ["extra"]


def test_what_was_made_by_hand_is_used_as_it_is_and_never_taken_away(ground: Ground) -> None:
    ground.cli.told("api", "create", ORDERS, "--name", "Orders", "--scope", "read=Read your orders", "--scope", "old")
    ground.cli.told("role", "create", ORDERS, "chief", "--scope", "old")
    lines = ground.lines()
    assert f"+ API {ORDERS}" not in lines
    assert f"+ scope read of {ORDERS}" not in lines
    ground.apply()
    ground.write(ISSUER + ROUTES.replace('scope = ["read"], ', "").replace(', { role = "chief" }', ""))
    assert not [line for line in ground.lines() if "scope read" in line or "chief" in line]
    ground.apply()
    with ground.cli.db.read() as tx:
        found = api.find(tx, ORDERS)
        assert found is not None
        assert found.name == "Orders"
        assert {each.name for each in api.scopes(tx, found.id)} == {"read", "old", "write"}


def test_pruned_only_what_the_file_names_is_left(ground: Ground) -> None:
    ground.apply()
    ground.cli.told("api", "scope", ORDERS, "extra")
    ground.cli.told("role", "create", ORDERS, "boss", "--scope", "extra")
    ground.cli.told("role", "grant", ORDERS, "auditor", "write")
    ground.cli.told("api", "create", REPORTS, "--name", "Reports", "--scope", "look")
    ground.cli.told("api", "resource-client", REPORTS, "orders-gateway")
    assert ground.plan()["changes"] == []
    assert ground.lines("--prune") == [
        f"- client orders-gateway serves {REPORTS}: it may introspect its tokens and hear what is revoked",
        f"- role auditor of {ORDERS} grants write",
        f"- role boss of {ORDERS}",
        f"- scope extra of {ORDERS}",
    ]
    ground.apply("--prune")
    assert ground.plan("--prune")["changes"] == []
    with ground.cli.db.read() as tx:
        assert api.find(tx, REPORTS) is not None


def test_pruning_spares_what_another_declaration_has_made(ground: Ground) -> None:
    ground.apply("--name", "one")
    ground.write(ISSUER + ROUTES)
    ground.apply("--name", "two")
    assert ground.lines("--name", "two", "--prune") == []


def test_what_two_declarations_name_stays_until_neither_does(ground: Ground) -> None:
    ground.apply("--name", "one")
    assert "Nothing to do" in ground.apply("--name", "two")
    ground.write(ISSUER + ROLES + ROUTES.replace('role_any = ["support", "customer"]', 'role_any = ["support"]'))
    assert ground.lines("--name", "one") == []
    ground.apply("--name", "one")
    assert ground.lines("--name", "two") == [f"- role customer of {ORDERS}"]
    ground.apply("--name", "two")
    with ground.cli.db.read() as tx:
        found = api.find(tx, ORDERS)
        assert found is not None
        assert role.find(tx, found.id, "customer") is None


def test_drift_by_hand_is_seen_and_mended(ground: Ground) -> None:
    ground.apply()
    ground.cli.told("role", "grant", ORDERS, "support", "write", "--remove")
    ground.cli.told("api", "resource-client", ORDERS, "orders-gateway", "--remove")
    assert ground.lines() == [
        f"+ role support of {ORDERS} grants write",
        f"+ client orders-gateway serves {ORDERS}: it may introspect its tokens and hear what is revoked",
    ]
    ground.apply()
    assert ground.plan()["changes"] == []


def test_whoever_gains_by_a_change_is_named(ground: Ground) -> None:
    ground.apply()
    ground.cli.told("group", "create", "helpdesk")
    ground.cli.told("group", "role", "helpdesk", ORDERS, "auditor")
    ground.cli.told("client", "create", "cron", "--service")
    ground.cli.told("role", "client", ORDERS, "auditor", "cron")
    ground.write(ISSUER + ROLES.replace('auditor = ["read"]', 'auditor = ["read", "write"]') + ROUTES)
    (change,) = ground.plan()["changes"]
    assert change["gains"] == ["group helpdesk (0 people)", "client cron"]


def test_a_scope_that_goes_names_roles_and_clients_that_had_it(ground: Ground) -> None:
    ground.apply()
    ground.cli.told("client", "create", "cron", "--service", "--scope", "write")
    ground.write(ISSUER + ROLES.replace(', "write"', "") + ROUTES.replace('{ scope = "write" }, ', ""))
    changes = {each["text"]: each for each in ground.plan()["changes"]}
    assert changes[f"scope write of {ORDERS}"]["loses"] == ["role support", "client cron"]
    ground.apply()
    with ground.cli.db.read() as tx:
        assert client.scopes(tx, "cron") == {}


def test_a_new_key_of_the_gateway_is_a_change(ground: Ground) -> None:
    ground.apply()
    was = SigningKey.read_pem(ground.key.read_bytes(), alg="ES256").kid
    made = SigningKey.generate("ES256")
    ground.key.write_bytes(made.private_pem())
    assert ground.lines() == [f"~ client orders-gateway: key {was}, now key {made.kid}"]
    ground.apply()
    with ground.cli.db.read() as tx:
        found = client.find(tx, "orders-gateway")
        assert found is not None
        assert found.jwks == {"keys": [made.public_jwk()]}


def test_where_the_key_is_elsewhere_public_keys_will_do(ground: Ground, tmp_path: Path) -> None:
    public = tmp_path / "public.jwks"
    public.write_text(json.dumps({"keys": [SigningKey.generate("ES256").public_jwk()]}))
    ground.key.unlink()
    told = ground.cli.refused("gateway", "plan", str(ground.file))
    assert "client orders-gateway is not registered, and its key or secret is not at hand" in told
    ground.apply("--jwks", str(public))
    assert ground.plan()["changes"] == []  # not compared
    assert ground.plan("--jwks", str(public))["changes"] == []
    public.write_text("{}")
    assert "does not hold a JWK Set" in ground.cli.refused("gateway", "plan", str(ground.file), "--jwks", str(public))
    public.write_text("[")
    assert "does not hold a JWK Set" in ground.cli.refused("gateway", "plan", str(ground.file), "--jwks", str(public))


def test_keys_that_nobody_could_use_are_refused_whether_the_client_is_there_or_not(
    ground: Ground, tmp_path: Path
) -> None:
    public = tmp_path / "public.jwks"
    public.write_text('{"keys": [{"kty": "oct", "kid": "x", "k": "c2VjcmV0"}]}')
    options = ("gateway", "apply", str(ground.file), "--yes", "--jwks", str(public))
    assert "jwks: write a JWK Set of public keys" in ground.cli.refused(*options)
    ground.apply()
    assert "jwks: write a JWK Set of public keys" in ground.cli.refused(*options)
    assert ground.plan()["changes"] == []


def test_a_secret_is_read_from_its_file_and_never_shown(ground: Ground) -> None:
    secret = "a very long secret of the gateway, 1"
    ground.write(ISSUER.replace("key_file", "secret_file") + ROUTES)
    ground.key.write_text(secret + "\n")
    told = ground.cli.run("gateway", "plan", str(ground.file)).stdout
    assert "+ client orders-gateway, proves itself by client_secret_basic, with a secret\n" in told
    ground.apply()
    ground.key.write_text("another long secret of the gateway, 2\n")
    told = ground.cli.run("gateway", "plan", str(ground.file), "--json").stdout
    assert "client orders-gateway: has another secret" in told
    assert secret not in told
    assert digest(secret).hex() not in told
    ground.apply()
    with ground.cli.db.read() as tx:
        found = client.find(tx, "orders-gateway")
        assert found is not None
        assert found.secret_hash == digest("another long secret of the gateway, 2")
    ground.key.write_text("twenty letters in it\n")
    assert "at least 32 characters" in ground.cli.refused("gateway", "plan", str(ground.file))
    ground.key.write_text("short\n")
    assert "does not hold a secret" in ground.cli.refused("gateway", "plan", str(ground.file))


def test_a_client_that_was_closed_stays_closed(ground: Ground) -> None:
    ground.apply()
    ground.cli.told("client", "disable", "orders-gateway")
    assert ground.plan()["notes"] == ["client orders-gateway is closed, and stays so: see `idp client enable`"]
    assert "Note: client orders-gateway is closed" in ground.apply()


def test_a_client_of_before_goes_unless_something_by_hand_hangs_on_it(ground: Ground) -> None:
    ground.apply("--name", "orders")
    ground.write((ISSUER + ROLES + ROUTES).replace("orders-gateway", "new-gateway"))
    assert ground.lines("--name", "orders")[-1] == "- client orders-gateway"
    ground.cli.told("api", "create", REPORTS, "--name", "Reports", "--scope", "look")
    ground.cli.told("api", "resource-client", REPORTS, "orders-gateway")
    assert "client orders-gateway stays" in ground.plan("--name", "orders")["notes"][0]
    ground.cli.told("api", "resource-client", REPORTS, "orders-gateway", "--remove")
    ground.apply("--name", "orders")
    with ground.cli.db.read() as tx:
        assert client.find(tx, "orders-gateway") is None
    assert ground.plan("--name", "orders")["changes"] == []


def test_only_the_plan_that_was_looked_at_is_applied(ground: Ground) -> None:
    expected = ground.plan()["plan"]
    ground.cli.told("api", "create", ORDERS, "--name", "Orders")
    assert f"no longer plan {expected}" in ground.cli.refused("gateway", "apply", str(ground.file), "--plan", expected)
    now = ground.plan()["plan"]
    assert "Done" in ground.cli.told("gateway", "apply", str(ground.file), "--plan", now)


def test_nothing_is_applied_when_the_store_changes_while_somebody_thinks(ground: Ground) -> None:
    with ground.cli.db.read() as tx:
        expected = plan(tx, ground.declaration()).digest
    ground.cli.told("api", "create", ORDERS, "--name", "Orders")
    record = AuditLog(lambda: pytest.fail("nothing happened")).record
    with pytest.raises(Moved), ground.cli.db.write() as tx:
        applying.apply(tx, ground.declaration(), expected, None, prune=False, record=record)  # type: ignore[arg-type]
    with ground.cli.db.read() as tx:
        assert declared.made(tx) == {}
        assert client.find(tx, "orders-gateway") is None


def test_of_several_who_apply_at_once_one_does_it(ground: Ground) -> None:
    """As processes: a command run inside the tests borrows the environment, and two would mix up whose it was."""
    argv = [IDP, "gateway", "apply", str(ground.file), "--plan", ground.plan()["plan"]]
    environment = {**os.environ, **ground.cli.environment}
    callers = [subprocess.Popen(argv, env=environment, stdout=PIPE, stderr=STDOUT) for _ in range(4)]
    told = [caller.communicate(timeout=60)[0] for caller in callers]
    assert [caller.returncode for caller in callers].count(0) == 1, told
    assert ground.plan()["changes"] == []


def test_without_yes_somebody_is_asked(ground: Ground) -> None:
    assert ground.cli.run("gateway", "apply", str(ground.file), typed="n\n").exit_code == 1
    with ground.cli.db.read() as tx:
        assert api.find(tx, ORDERS) is None
    assert "Done" in ground.cli.told("gateway", "apply", str(ground.file), typed="y\n")


def test_a_program_says_yes_beforehand(ground: Ground) -> None:
    assert "--yes or --plan" in ground.cli.refused("gateway", "apply", str(ground.file), "--json")
    told = json.loads(ground.apply("--json"))
    assert told["applied"]
    assert len(told["changes"]) == 12


INTERNAL = "https://orders.internal"
EXCHANGES = f"""
exchange = {{ audience = "{INTERNAL}", scope = ["read"], ttl = "45s" }}
[[routes]]
id = "order-list"
match = {{ method = ["GET"], path = "/orders" }}
audience = "{ORDERS}"
upstream = "http://127.0.0.1:1"
exchange = {{ audience = "{INTERNAL}", scope = ["list"], ttl = "1500ms" }}
"""


def test_exchanges_of_routes_are_one_permission_for_each_target(ground: Ground) -> None:
    ground.write(ISSUER + ROUTES + EXCHANGES)
    lines = ground.lines()
    assert "+ client orders-gateway may exchange tokens" in lines
    assert lines[-1] == (
        f"+ client orders-gateway may exchange tokens for {INTERNAL}, for list read, at most 45 s long, "
        "named as the one who acts"
    )
    ground.apply()
    (row,) = ground.cli.json("exchange", "list")["exchanges"]
    assert (row["client_id"], row["audience"], row["scopes"]) == ("orders-gateway", INTERNAL, ["list", "read"])
    assert (row["ways"], row["max_ttl"]) == (["delegation"], 45)
    ground.cli.told("exchange", "allow", "orders-gateway", INTERNAL, "--scope", "read", "--impersonation",
                    "--no-delegation", "--owner", "team-orders")  # fmt: skip
    (change,) = ground.plan()["changes"]
    assert change["text"] == (
        f"client orders-gateway may exchange tokens for {INTERNAL}: for read, now for list read; "
        "no time limit of its own, now at most 45 s long; "
        "not named as the one who acts, now named as the one who acts; "
        "in the person's own name, now never in the person's own name"
    )
    assert (change["gains"], change["loses"]) == (["scope list"], [])
    ground.apply()
    (row,) = ground.cli.json("exchange", "list")["exchanges"]
    assert (row["max_ttl"], row["owner"], row["ways"]) == (45, "team-orders", ["delegation"])
    ground.write(ISSUER + ROUTES)
    assert ground.lines() == [
        f"- client orders-gateway may exchange tokens for {INTERNAL}",
        "- client orders-gateway may exchange tokens",
        f"- scope read of {INTERNAL}",
        f"- scope list of {INTERNAL}",
        f"- API {INTERNAL}",
    ]
    ground.apply()
    with ground.cli.db.read() as tx:
        gateway = client.find(tx, "orders-gateway")
        assert gateway is not None
        assert gateway.grant_types == []
        assert api.find(tx, INTERNAL) is None


def test_a_route_to_which_fewer_scopes_will_do_makes_its_permission_narrow(ground: Ground) -> None:
    ground.write(ISSUER + ROUTES + EXCHANGES.replace('ttl = "45s"', 'ttl = "45s", mode = "narrow"'))
    assert ground.lines()[-1].endswith("named as the one who acts, given less where more is asked")
    ground.apply()
    assert [row["mode"] for row in ground.cli.json("exchange", "list")["exchanges"]] == ["narrow"]
    ground.cli.told("exchange", "allow", "orders-gateway", INTERNAL, "--scope", "read", "--scope", "list",
                    "--max-ttl", "45s", "--per-minute", "60")  # fmt: skip
    (change,) = ground.plan()["changes"]
    assert change["text"].endswith(": refused what is beyond that, now given less where more is asked")
    ground.apply()
    (row,) = ground.cli.json("exchange", "list")["exchanges"]
    assert (row["mode"], row["per_minute"]) == ("narrow", 60)
    ground.write(ISSUER + ROUTES + EXCHANGES)
    (change,) = ground.plan()["changes"]
    assert change["text"].endswith(": given less where more is asked, now refused what is beyond that")


def test_an_exchange_without_scopes_allows_nothing_and_says_so(ground: Ground) -> None:
    ground.write(ISSUER + ROUTES + EXCHANGES.replace('scope = ["read"], ', "").replace('scope = ["list"], ', ""))
    assert ground.plan()["notes"] == [f"an exchange for {INTERNAL} names no scope: none is allowed by it"]


def test_a_permission_that_people_gave_the_client_goes_only_when_pruned(ground: Ground) -> None:
    ground.apply()
    ground.cli.told("api", "create", REPORTS, "--name", "Reports", "--scope", "look")
    ground.cli.told("exchange", "allow", "orders-gateway", REPORTS, "--scope", "look")
    assert ground.plan()["changes"] == []
    assert ground.lines("--prune") == [f"- client orders-gateway may exchange tokens for {REPORTS}"]
    ground.apply("--prune")
    assert ground.cli.json("exchange", "list")["exchanges"] == []


def test_scopes_that_belong_nowhere_are_named(ground: Ground) -> None:
    other = ROUTES.replace(ORDERS, REPORTS).replace("order-", "report-").replace("/orders", "/reports")
    roles = '[roles]\nsupport = ["read", "erase"]\nidle = ["sleep"]\nchief = ["write"]\n'
    ground.write(ISSUER + roles + ROUTES + other)
    assert ground.plan()["notes"] == [
        "scope erase of role support belongs to no single API: name it in a route",
        "role idle belongs to no API: no route names it or one of its scopes",
        "scope sleep of role idle belongs to no single API: name it in a route",
    ]


def test_a_scope_that_no_route_names_belongs_where_its_role_does(ground: Ground) -> None:
    ground.write(ISSUER + '[roles]\nsupport = ["read", "erase"]\n' + ROUTES)
    assert f"+ role support of {ORDERS} grants erase" in ground.lines()


def test_routes_of_other_providers_are_left_to_them(ground: Ground) -> None:
    other = '[issuers.other]\nissuer = "https://other.example"\n'
    routes = ROUTES.replace('id = "order-read"', 'issuer = "other"\nid = "order-read"')
    routes = routes.replace('id = "order-write"', 'issuer = "main"\nid = "order-write"')
    ground.write(ISSUER + other + routes)
    told = ground.plan()
    assert told["notes"] == ['route "order-read" is for another provider']
    assert f"scope read of {ORDERS}" not in [each["text"] for each in told["changes"]]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (PROVIDER, "https://elsewhere.example", "believes no tokens of this provider"),
        (f'audience = "{ORDERS}"', 'audience = "orders"', "an absolute URI"),
        ('scope = "write"', 'scope = "openid"', "belongs to the provider"),
        ('id = "orders-gateway", ', 'id = "a:b", ', "client_id"),
        ("[[routes]]", "[[roots]]", "unknown"),
    ],
)
def test_what_the_provider_cannot_take_is_said(ground: Ground, old: str, new: str, reason: str) -> None:
    ground.write((ISSUER + ROUTES).replace(old, new))
    assert reason in ground.cli.refused("gateway", "apply", str(ground.file), "--yes")
    with ground.cli.db.read() as tx:
        assert api.listing(tx) == []


def test_the_provider_itself_is_never_made_nor_taken_away(ground: Ground) -> None:
    own = ROUTES.replace(ORDERS, PROVIDER).replace("order-", "own-").replace("/orders", "/own")
    own = own.replace('scope = ["read"]', 'scope = ["openid"]').replace('scope = "write"', 'scope = "profile"')
    ground.write(ISSUER + ROUTES + own)
    assert f"+ API {PROVIDER}" not in ground.lines()
    ground.apply()
    ground.write(ISSUER + ROUTES)
    ground.apply("--prune")
    with ground.cli.db.read() as tx:
        found = api.find(tx, PROVIDER)
        assert found is not None
        assert found.builtin
        assert {"openid", "profile"} <= {each.name for each in api.scopes(tx, found.id)}


def test_a_file_without_a_client_needs_a_name(ground: Ground) -> None:
    ground.write(f'version = 1\n[issuers.main]\nissuer = "{PROVIDER}"\n' + ROUTES)
    assert "--name" in ground.cli.refused("gateway", "plan", str(ground.file))
    assert "Done" in ground.apply("--name", "orders")
    ground.cli.told("api", "scope", ORDERS, "extra")
    told = ground.cli.run("gateway", "plan", str(ground.file), "--name", "orders", "--prune").stdout
    assert "--name orders --prune --plan" in told


def test_the_line_to_apply_by_names_the_keys_that_the_plan_was_made_with(ground: Ground, tmp_path: Path) -> None:
    public = tmp_path / "gateway.jwks"
    public.write_text(json.dumps({"keys": [SigningKey.generate("ES256").public_jwk()]}))
    told = ground.cli.run("gateway", "plan", str(ground.file), "--jwks", str(public)).stdout
    assert f"{ground.file} --jwks {public} --plan " in told


def test_streams_say_which_gateways_listen_and_how_far_they_are(ground: Ground) -> None:
    ground.apply()
    now = dt.datetime.now(dt.UTC)
    early = now - dt.timedelta(seconds=90)
    with ground.cli.db.write() as tx:
        event.open_stream(tx, "orders-gateway", "one", now, since=early)
        event.tell(tx, "token", ["jti"], early, reason="test")
        event.open_stream(tx, "orders-gateway", "two", now, since=now)
    one, two = ground.cli.json("gateway", "streams")["streams"]
    assert (one["client_id"], one["stream"], one["waiting"]) == ("orders-gateway", "one", 1)
    assert one["lag_seconds"] >= 90
    assert one["acknowledged_until"] == early.isoformat()
    assert (two["waiting"], two["lag_seconds"], two["acknowledged_until"]) == (0, 0, "everything")
    told = ground.cli.told("gateway", "streams")
    assert "orders-gateway" in told
    assert "everything" in told


def test_the_file_of_the_documentation_comes_to_what_the_documentation_shows(ground: Ground, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/declare-an-api.md").read_text()
    (written,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert findings(parse(written), dt.date(2026, 11, 24)) == ()
    public = tmp_path / "gateway.jwks"
    key = SigningKey.generate("ES256")
    public.write_text(json.dumps({"keys": [key.public_jwk()]}))
    ground.write(written.replace("https://idp.example", PROVIDER))
    told = ground.cli.run("gateway", "plan", str(ground.file), "--jwks", str(public)).stdout
    shown = text.partition("--jwks gateway.jwks\n")[2].partition("Apply exactly")[0]
    assert told.partition("Apply exactly")[0] == shown.replace("uE9s…", key.kid)
    assert "Done: 19 added" in ground.apply("--jwks", str(public))


def test_where_only_the_gateway_is_installed_it_says_where_to_go(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "idp.cli.declaring.commands")
    monkeypatch.setitem(sys.modules, "idp.cli.context", None)
    told = ground.cli.refused("gateway", "plan", str(ground.file))
    assert "run this where the provider is installed; here idp.cli.context is missing" in told
