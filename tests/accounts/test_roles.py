"""Roles come from groups and stay inside one API; policy decides about a second factor."""

from __future__ import annotations

from typing import Any

import pytest

from idp.accounts import roles
from idp.accounts.roles import SecondFactor
from idp.clients.client import Client
from idp.store import account, api, group, role
from idp.store.account import Account
from idp.store.database import Database, Session

ORDERS, STOCK = "https://orders.example", "https://stock.example"
CLIENT = Client(id="1", client_id="web", name="Web", auth_method="none", grant_types=frozenset())


@pytest.fixture
def staff(db: Database, person: Account, clock: Any) -> group.Group:
    """Ada is staff; staff are clerks of orders (read, write) and readers of stock (read)."""
    with db.write() as tx:
        staff = group.create(tx, name="staff")
        group.add_member(tx, staff.id, person.id)
        for audience, name, scopes in ((ORDERS, "clerk", ("read", "write")), (STOCK, "reader", ("read",))):
            made = api.create(tx, audience=audience, name=name, now=clock())
            given = role.create(tx, api_id=made.id, name=name)
            for scope in scopes:
                role.add_scope(tx, given.id, api.add_scope(tx, made.id, scope).id)
            group.add_role(tx, staff.id, given.id)
        return staff


def test_a_member_has_the_roles_and_scopes_of_one_api(db: Database, person: Account, staff: group.Group) -> None:
    with db.read() as tx:
        found = roles.entitlements(tx, person.id, ORDERS)
    assert (found.roles, found.scopes) == ({"clerk"}, {"read", "write"})


def test_roles_of_another_api_give_nothing_here(db: Database, person: Account, staff: group.Group) -> None:
    with db.read() as tx:
        assert roles.entitlements(tx, person.id, STOCK).scopes == {"read"}
        assert roles.entitlements(tx, person.id, "https://else.example") == roles.Entitlements()


def test_who_leaves_the_group_has_nothing(db: Database, person: Account, staff: group.Group) -> None:
    with db.write() as tx:
        group.remove_member(tx, staff.id, person.id)
        assert roles.entitlements(tx, person.id, ORDERS) == roles.Entitlements()


def policy(tx: Session, person: Account, *, client: str = "optional", default: str = "optional") -> SecondFactor:
    asked = Client(id="1", client_id="web", name="Web", auth_method="none", grant_types=frozenset(), mfa=client)
    return roles.second_factor(tx, person, asked, [ORDERS], default)


def test_a_second_factor_is_optional_to_begin_with(db: Database, person: Account, staff: group.Group) -> None:
    with db.read() as tx:
        assert policy(tx, person) is SecondFactor.OPTIONAL


@pytest.mark.parametrize("where", ["client", "api", "role", "group", "settings", "account"])
def test_whoever_requires_a_second_factor_gets_it(
    db: Database, person: Account, staff: group.Group, where: str
) -> None:
    with db.write() as tx:
        orders = api.find(tx, ORDERS)
        assert orders is not None
        holder = {
            "api": orders,
            "role": role.find(tx, orders.id, "clerk"),
            "group": group.find(tx, "staff"),
        }.get(where)
        if holder is not None:
            holder.mfa = "required"
        held = account.find(tx, person.id)
        assert held is not None
        held.must_enrol = where == "account"
        tx.flush()
        said = {"client": "required"} if where == "client" else {"client": "off"}
        found = policy(tx, held, **said, default="required" if where == "settings" else "optional")
    assert found is SecondFactor.REQUIRED


def test_one_off_switches_an_optional_factor_off(db: Database, person: Account, staff: group.Group) -> None:
    with db.read() as tx:
        assert policy(tx, person, client="off") is SecondFactor.OFF


def test_a_role_at_another_api_demands_nothing_here(db: Database, person: Account, staff: group.Group) -> None:
    with db.write() as tx:
        stock = api.find(tx, STOCK)
        assert stock is not None
        reader = role.find(tx, stock.id, "reader")
        assert reader is not None
        reader.mfa = "required"
        tx.flush()
        assert policy(tx, person) is SecondFactor.OPTIONAL
