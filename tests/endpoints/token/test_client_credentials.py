"""A service acts for itself."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from idp.store import api
from idp.store import client as clients
from tests.fixtures.browser import claims
from tests.fixtures.clients import register

GRANT = {"grant_type": "client_credentials"}


def ask(http, client, **form):
    return http.post("/token", data={**GRANT, **form}, headers=client.basic)


@pytest.mark.spec("RFC 6749 section 4.4", "RFC 9068 section 2.2")
def test_gives_a_token_for_its_one_api(http, service, clock):
    answer = ask(http, service)
    assert answer.status_code == 200
    assert set(answer.json) == {"access_token", "token_type", "expires_in", "scope"}
    told = claims(answer.json["access_token"])
    assert told.pop("jti")
    assert told == {
        "iss": "https://localhost",
        "sub": "service",
        "aud": "https://orders.example",
        "client_id": "service",
        "iat": int(clock.timestamp),
        "exp": int(clock.timestamp) + 600,
        "scope": "orders:read orders:write",
        "roles": ["clerk"],
    }


@pytest.mark.spec("RFC 6749 section 3.3")
def test_gives_no_more_scope_than_asked(http, service):
    answer = ask(http, service, scope="orders:read")
    assert answer.json["scope"] == "orders:read"
    assert claims(answer.json["access_token"])["scope"] == "orders:read"


@pytest.mark.attack("TK26")
@pytest.mark.spec("RFC 6749 section 4.4")
def test_refuses_a_public_client(http, services, orders_api):
    register(services, "open", auth_method="none", scopes=orders_api.scopes, grant_types=["client_credentials"])
    answer = http.post("/token", data={**GRANT, "client_id": "open"})
    assert (answer.status_code, answer.json["error"]) == (400, "unauthorized_client")


@pytest.mark.attack("TK26")
@pytest.mark.parametrize("scope", ["openid", "offline_access", "orders:read openid"])
def test_refuses_scopes_that_need_a_person(http, service, scope):
    answer = ask(http, service, scope=scope)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("scope", ["orders:delete", "orders:read orders:delete", "ORDERS:READ", 'a"b'])
def test_refuses_a_scope_beyond_the_client(http, service, scope):
    answer = ask(http, service, scope=scope)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_scope")


@pytest.mark.spec("RFC 8707 section 2")
@pytest.mark.parametrize("name", ["resource", "audience"])
def test_takes_the_audience_by_either_name(http, service, name):
    answer = ask(http, service, **{name: "https://orders.example"})
    assert claims(answer.json["access_token"])["aud"] == "https://orders.example"


@pytest.mark.spec("RFC 8707 section 2")
@pytest.mark.parametrize(
    "resource",
    ["https://localhost", "https://nowhere.example", "orders", "https://orders.example#x", "https://orders.example/"],
)
def test_refuses_a_resource_that_is_not_its_own(http, service, resource):
    answer = ask(http, service, resource=resource)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_target")


def test_must_choose_between_two_apis(http, services, service, clock):
    with services.db.write() as tx:
        made = api.create(tx, audience="https://stock.example", name="Stock", now=clock())
        clients.allow_scope(tx, service.client_id, api.add_scope(tx, made.id, "stock:read").id)
    assert ask(http, service).json["error"] == "invalid_target"
    assert (
        ask(http, service, resource=["https://orders.example", "https://stock.example"]).json["error"]
        == "invalid_target"
    )
    answer = ask(http, service, resource="https://stock.example")
    told = claims(answer.json["access_token"])
    # Only what means something there: the role and the scopes of the other API stay away.
    assert (told["aud"], told["scope"], "roles" in told) == ("https://stock.example", "stock:read", False)


def test_an_api_sets_the_lifetime_of_its_tokens(http, services, service, clock):
    with services.db.write() as tx:
        made = api.create(tx, audience="https://short.example", name="Short", now=clock(), token_lifetime=60)
        clients.allow_scope(tx, service.client_id, api.add_scope(tx, made.id, "short").id)
    answer = ask(http, service, resource="https://short.example")
    told = claims(answer.json["access_token"])
    assert (answer.json["expires_in"], told["exp"] - told["iat"]) == (60, 60)


def test_asks_the_store_nothing_while_the_client_is_known(http, services, service):
    ask(http, service)
    statements = []
    event.listen(services.db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert ask(http, service).status_code == 200
    assert statements == []


def test_every_token_has_an_id_of_its_own(http, service):
    ids = {claims(ask(http, service).json["access_token"])["jti"] for _ in range(20)}
    assert len(ids) == 20
