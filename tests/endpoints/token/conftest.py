"""A second API behind the first, and a gateway that may exchange tokens for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import TestResponse

from idp.store import api, client, exchange_policy, group, role
from tests.fixtures.clients import App, register
from tests.fixtures.people import Api
from tests.fixtures.provider import Http

if TYPE_CHECKING:
    from idp.web.services import Services

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ORDERS, STOCK = "https://orders.example", "https://stock.example"


def allow(services: Services, client_id: str, audience: str, **facts: Any) -> None:
    """Write an exchange policy; delegation unless it says otherwise."""
    facts.setdefault("allowed_scopes", ["orders:read", "orders:write"])
    facts.setdefault("allow_delegation", True)
    with services.db.write() as tx:
        found = api.find(tx, audience)
        assert found is not None
        exchange_policy.put(tx, client_id=client_id, api_id=found.id, now=services.clock(), **facts)


def exchange(http: Http, caller: App, subject: str, **form: Any) -> TestResponse:
    """Ask for an exchange; a form value of None is left out."""
    usual = {
        "grant_type": EXCHANGE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN,
        "audience": STOCK,
    }
    data = {name: value for name, value in {**usual, **form}.items() if value is not None}
    if caller.secret is None:
        return http.post("/token", data={"client_id": caller.client_id, **data})
    return http.post("/token", data=data, headers=caller.basic)


@pytest.fixture
def stock_api(services: Services, orders_api: Api) -> Api:
    """The API behind orders; it knows the same scopes and one of its own, and `staff` are its keepers."""
    names = (*orders_api.scopes, "stock:move")
    with services.db.write() as tx:
        made = api.create(tx, audience=STOCK, name="Stock", now=services.clock())
        keeper = role.create(tx, api_id=made.id, name="keeper")
        for name in names:
            role.add_scope(tx, keeper.id, api.add_scope(tx, made.id, name).id)
        staff = group.find(tx, "staff")
        assert staff is not None
        group.add_role(tx, staff.id, keeper.id)
    return Api(id=made.id, audience=made.audience, scopes=names)


@pytest.fixture
def gateway(services: Services, orders_api: Api, stock_api: Api) -> App:
    """A gateway in front of orders that may act for people at stock."""
    made = register(services, "gateway", grant_types=[EXCHANGE, "client_credentials"], scopes=("stock:move",))
    with services.db.write() as tx:
        api.add_resource_client(tx, orders_api.id, made.client_id)
    allow(services, made.client_id, STOCK)
    return made


@pytest.fixture
def keeper(services: Services, stock_api: Api) -> App:
    """The stock API itself, which may ask orders in turn."""
    made = register(services, "keeper", grant_types=[EXCHANGE])
    with services.db.write() as tx:
        api.add_resource_client(tx, stock_api.id, made.client_id)
    allow(services, made.client_id, ORDERS)
    return made


@pytest.fixture
def subject(browser, web_app, alice, stock_api) -> str:
    """Alice's token for orders, in the hands of the gateway."""
    found = browser.tokens(web_app, alice, scope="openid offline_access orders:read orders:write", resource=ORDERS)
    return str(found["access_token"])


@pytest.fixture
def service_token(http, service, services, stock_api) -> str:
    """The service's own token for orders; it may write there, and only read at stock."""
    with services.db.write() as tx:
        for name, change in (("orders:read", client.allow_scope), ("orders:write", client.refuse_scope)):
            found = api.find_scope(tx, stock_api.id, name)
            assert found is not None
            change(tx, service.client_id, found.id)
    answer = http.post("/token", data={"grant_type": "client_credentials", "audience": ORDERS}, headers=service.basic)
    return str(answer.get_json()["access_token"])
