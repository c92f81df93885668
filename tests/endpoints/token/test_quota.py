"""A client exchanges no more often than it may."""

from __future__ import annotations

import pytest

from idp.gateway.exchange.outcome import of_error
from idp.store import audit
from tests.endpoints.token.conftest import ORDERS, STOCK, allow, exchange


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"throttle_exchanges_per_minute": 3})


def refused(services):
    """Return for what reasons exchanges were refused, as the audit has it."""
    with services.db.read() as tx:
        return [row.detail["error"] for row in audit.recent(tx, 1000) if row.event == "token.exchanged.refused"]


@pytest.mark.spec("RFC 6585 section 4", "RFC 8693 section 2.2.2")
def test_a_client_that_asks_too_often_is_told_when_to_come_again(http, services, gateway, keeper, subject, clock):
    first = exchange(http, gateway, subject).json["access_token"]
    for broken in ("garbage", subject[:-4]):  # what is refused counts, too
        assert exchange(http, gateway, broken).json["error"] == "invalid_request"
    clock.advance(10)
    answer = exchange(http, gateway, subject)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (429, "no-store")
    assert answer.json == {"error": "too_many_requests", "error_description": "too many exchanges in a minute"}
    assert answer.headers["Retry-After"] == "50"
    # What the gateway makes of it.
    heard = of_error(answer.status_code, answer.json["error"], answer.headers["Retry-After"])
    assert (heard.kind, heard.retry_after) == ("too_many", 50)
    exchange(http, gateway, subject)
    assert sorted(refused(services)) == ["invalid_request", "invalid_request", "too_many_requests"]
    assert exchange(http, keeper, first, audience=ORDERS).status_code == 200
    clock.advance(50)
    assert exchange(http, gateway, subject).status_code == 200


def test_a_policy_may_allow_a_target_less_often(http, services, gateway, subject):
    allow(services, gateway.client_id, STOCK, per_minute=1)
    allow(services, gateway.client_id, ORDERS, per_minute=1)
    assert [exchange(http, gateway, subject).status_code for _ in range(2)] == [200, 429]
    assert exchange(http, gateway, subject, audience=ORDERS).status_code == 200
