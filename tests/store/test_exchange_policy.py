"""What a policy of exchanges may say, and what those of before said."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from idp.store import api, client, exchange_policy, migrate

ORDERS = "https://orders.example"


@pytest.fixture
def put(db, now):
    """Write the policy of a gateway."""
    with db.write() as tx:
        orders = api.create(tx, audience=ORDERS, name="Orders", now=now).id
        client.create(tx, client_id="gateway", name="Gateway", auth_method="client_secret_basic", now=now)

    def write(**facts):
        with db.write() as tx:
            exchange_policy.put(
                tx, client_id="gateway", api_id=orders, now=now, allowed_scopes=["orders:read"], **facts
            )

    return write


def found(db):
    with db.read() as tx:
        policy = exchange_policy.find(tx, "gateway", ORDERS)
        return policy.mode, policy.per_minute, policy.allowed_scopes


def test_policies_from_before_the_choice_go_on_refusing(db, put):
    put(mode=exchange_policy.NARROW, per_minute=60)
    assert found(db) == ("narrow", 60, ["orders:read"])
    migrate.downgrade(db.engine, "0007")
    migrate.upgrade(db.engine)
    assert found(db) == ("refuse", None, ["orders:read"])


@pytest.mark.parametrize("wrong", [{"mode": "widen"}, {"per_minute": 0}], ids=str)
def test_the_table_itself_refuses_what_means_nothing(db, put, wrong):
    with pytest.raises(IntegrityError):
        put(**wrong)
