"""Whoever loses a right is told to gateways in the transaction that takes it, and nobody else is."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest
import sqlalchemy
from sqlalchemy import insert, select

from idp.gateway.revocation.marks import marks_of
from idp.gateway.revocation.revoked import Revoked
from idp.protocol.security_event import Ended
from idp.store import account, api, client, event, grant, group, role, taking
from idp.store.account import Account
from idp.store.event import Event
from idp.store.grant import Grant
from idp.store.group import GroupMember

ORDERS = "https://orders.example"
GROUPS = {"staff": "clerk", "desk": "clerk", "lobby": "reader"}
MEMBERS = {"ann": ("staff",), "bob": ("staff", "desk"), "cy": ("staff", "lobby"), "dan": ("staff",)}
ROLES = {"clerk": ("read", "write"), "reader": ("read",)}
SERVICES = {"robot": ("clerk",), "rover": ("clerk", "reader"), "web-app": ()}
EVERYBODY = {"ann", "bob", "cy", "robot", "rover", "web-app"}

TAKEN = {
    "a role from a group": (lambda tx, it: taking.role_from_group(tx, it.staff, it.clerk, it.now), {"ann", "cy"}),
    "a role that the group has not": (lambda tx, it: taking.role_from_group(tx, it.staff, it.reader, it.now), set()),
    "a person from a group": (lambda tx, it: taking.person_from_group(tx, it.staff, it.ann, it.now), {"ann"}),
    "a person with it by another": (lambda tx, it: taking.person_from_group(tx, it.staff, it.bob, it.now), set()),
    "a person who was not in it": (lambda tx, it: taking.person_from_group(tx, it.desk, it.ann, it.now), set()),
    "a scope from a role": (
        lambda tx, it: taking.scope_from_role(tx, it.clerk, it.write, it.now),
        EVERYBODY - {"web-app"},
    ),
    "a scope that another role grants": (
        lambda tx, it: taking.scope_from_role(tx, it.clerk, it.read, it.now),
        {"ann", "bob", "robot"},
    ),
    "a scope that the role has not": (lambda tx, it: taking.scope_from_role(tx, it.reader, it.write, it.now), set()),
    "a role from a service": (lambda tx, it: taking.role_from_client(tx, it.clerk, "robot", it.now), {"robot"}),
    "a role it has not": (lambda tx, it: taking.role_from_client(tx, it.reader, "robot", it.now), set()),
    "a role": (lambda tx, it: taking.whole_role(tx, it.clerk, it.now), EVERYBODY - {"web-app"}),
    "a scope": (lambda tx, it: taking.whole_scope(tx, it.write, it.now), EVERYBODY),
    "an API": (lambda tx, it: taking.whole_api(tx, it.orders, it.now), EVERYBODY),
}


@pytest.fixture
def it(db, now):
    """An API with roles, groups that have them, and everybody's ids by name."""
    made = SimpleNamespace(now=now)
    with db.write() as tx:
        made.orders = api.create(tx, audience=ORDERS, name="Orders", now=now).id
        for name in ("read", "write"):
            setattr(made, name, api.add_scope(tx, made.orders, name).id)
        for name, scopes in ROLES.items():
            setattr(made, name, role.create(tx, api_id=made.orders, name=name).id)
            for scope in scopes:
                role.add_scope(tx, getattr(made, name), getattr(made, scope))
        for name, given in GROUPS.items():
            setattr(made, name, group.create(tx, name=name).id)
            group.add_role(tx, getattr(made, name), getattr(made, given))
        for name, roles in SERVICES.items():
            client.create(tx, client_id=name, name=name, auth_method="none", now=now)
            client.allow_scope(tx, name, made.write)
            for given in roles:
                role.add_client(tx, getattr(made, given), name)
        for name, groups in MEMBERS.items():
            setattr(made, name, account.create(tx, username=name, email=None, now=now).id)
            for each in groups:
                group.add_member(tx, getattr(made, each), getattr(made, name))
            if name != "dan":  # who never allowed anything: no token can be about him
                facts = {"auth_time": now, "acr": "aal1", "amr": ["pwd"], "now": now, "expires_at": now}
                grant.create(
                    tx, account_id=getattr(made, name), client_id="web-app", session_id=None, scopes={}, **facts
                )
        made.stream = event.open_stream(tx, "web-app", "", now, since=now)
    return made


def told(db, it):
    """What waits for a gateway."""
    with db.read() as tx:
        return event.waiting(tx, it.stream, since=it.now - dt.timedelta(hours=1), limit=1_000)


@pytest.mark.attack("IN4")
@pytest.mark.parametrize(("take", "losers"), TAKEN.values(), ids=TAKEN.keys())
def test_exactly_those_who_lose_something_are_told(db, it, take, losers):
    with db.write() as tx:
        take(tx, it)
    found = told(db, it)
    assert {each.kind for each in found} <= {"account"}
    heard = [name for each in found for name in each.ids]
    assert sorted(heard) == sorted(getattr(it, name, name) for name in losers)
    assert {each.reason for each in found} <= {taking.ROLES}


def test_a_scope_that_a_client_may_ask_for_no_longer_voids_the_tokens_of_its_users(db, it):
    with db.write() as tx:
        taking.scope_from_client(tx, "web-app", it.write, it.now)
        taking.scope_from_client(tx, "web-app", it.read, it.now)  # which it had not
    (one,) = told(db, it)
    assert (one.kind, one.ids) == ("client", ["web-app"])
    with db.read() as tx:
        assert client.find(tx, "web-app").not_before == one.not_before


POLICY = {"allowed_scopes": ["read", "write"], "allow_delegation": True, "allow_impersonation": True}


@pytest.mark.parametrize(
    ("changed", "told_of"),
    [
        ({}, False),
        ({"allowed_scopes": ["read", "write", "more"]}, False),
        ({"max_ttl": 60}, False),
        ({"allowed_scopes": ["read"]}, True),
        ({"allow_impersonation": False}, True),
        ({"allow_delegation": False}, True),
        (None, True),
    ],
)
def test_an_exchange_that_may_no_longer_be_so_voids_what_was_exchanged(db, it, changed, told_of):
    with db.write() as tx:
        orders = api.find(tx, ORDERS)
        taking.exchange_of_client(tx, "rover", orders, it.now, POLICY)
        if changed is None:
            assert taking.exchange_from_client(tx, "rover", it.orders, it.now)
        else:
            taking.exchange_of_client(tx, "rover", orders, it.now, {**POLICY, **changed})
    assert [(each.kind, each.ids) for each in told(db, it)] == [("client", ["rover"])] * told_of


def test_an_exchange_that_was_never_allowed_is_no_loss(db, it):
    with db.write() as tx:
        assert not taking.exchange_from_client(tx, "robot", it.orders, it.now)
    assert not told(db, it)


def test_tokens_of_before_are_refused_and_the_next_ones_are_not(db, it):
    with db.write() as tx:
        taking.role_from_group(tx, it.staff, it.clerk, it.now)
    revoked = Revoked()
    for each in told(db, it):
        not_before = int(each.not_before.timestamp())
        revoked.add(Ended(kind=each.kind, ids=tuple(each.ids), not_before=not_before, until=not_before + 3_600))
    issued = int(it.now.timestamp())
    token = {"jti": "one", "client_id": "web-app", "sub": it.ann, "iat": issued + 1}
    assert revoked.covers(marks_of(token))
    assert not revoked.covers(marks_of({**token, "iat": issued + 2}))
    assert not revoked.covers(marks_of({**token, "sub": it.bob}))


def test_a_big_group_costs_two_statements_and_an_event_for_each_hundred(db, it):
    people = [f"person-{number}" for number in range(248)]
    at = {"created_at": it.now, "updated_at": it.now}
    held = {"client_id": "web-app", "scopes": {}, "claims": {}, "acr": "aal1", "amr": [], "auth_time": it.now}
    with db.write() as tx:
        tx.execute(insert(Account), [{"id": n, "username": n, "username_key": n, "claims": {}, **at} for n in people])
        tx.execute(insert(GroupMember), [{"group_id": it.staff, "account_id": name} for name in people])
        tx.execute(
            insert(Grant),
            [{"id": n, "account_id": n, "created_at": it.now, "expires_at": it.now, **held} for n in people],
        )
    written = []

    def note(_connection, _cursor, statement, *_rest):
        if statement.startswith("INSERT"):
            written.append(statement)

    sqlalchemy.event.listen(db.engine, "before_cursor_execute", note)
    with db.write() as tx:
        taking.role_from_group(tx, it.staff, it.clerk, it.now)
    assert len(written) == 2
    assert sorted(len(each.ids) for each in told(db, it)) == [50, 100, 100]
    with db.read() as tx:
        assert len({name for ids in tx.scalars(select(Event.ids)) for name in ids}) == 250
