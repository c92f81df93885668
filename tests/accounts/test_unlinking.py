"""What goes with a way in, and which ones nobody takes away by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from idp.accounts import federated, unlinking
from idp.accounts.connectors import Ready
from idp.accounts.sessions import Sessions
from idp.federation.connector import Membership
from idp.store import account, api, connector, event, identity, role, session, upstream_session
from idp.store.account import Account
from idp.store.database import Database
from idp.store.session import BrowserSession
from tests.accounts.elsewhere import ADA, arrive, ready

STAFF = Membership(key="staff", name="Staff")


@pytest.fixture
def social(db: Database, clock: Any) -> Ready:
    """A provider in the browser, whose members of Staff are clerks."""
    with db.write() as tx:
        row = connector.put(tx, name="social", kind="oidc", label="Social", config={}, now=clock())
        orders = api.create(tx, audience="https://orders.example", name="Orders", now=clock())
        clerk = role.create(tx, api_id=orders.id, name="clerk")
        connector.add_rule(tx, connector_id=row.id, match="name", pattern="Staff", role_id=clerk.id, now=clock())
    return ready(row)


@pytest.fixture
def person(db: Database, social: Ready, clock: Any) -> Account:
    """Ada, who came by it."""
    return arrive(db, social, replace(ADA, groups=(STAFF,)), clock)


def link_of(db: Database, place: Ready) -> identity.Identity:
    with db.read() as tx:
        found = identity.find(tx, place.id, ADA.external_id)
    assert found is not None
    return found


def signed_in(db: Database, person: Account, clock: Any, *, by: Ready | None = None) -> BrowserSession:
    """Open a session, by another provider or by a password."""
    with db.write() as tx:
        opened = Sessions(db=db).sign_in(tx, person.id, None, now=clock(), user_agent="", ip="")
        if by is not None:
            named = {"session_id": opened.session_id, "connector_id": by.id, "external_id": ADA.external_id}
            upstream_session.put(tx, **named, sid=None, now=clock())
        found = session.find(tx, opened.session_id)
    assert found is not None
    return found


def live(db: Database, clock: Any, *asked: BrowserSession) -> list[bool]:
    with db.read() as tx:
        found = [session.find(tx, each.id) for each in asked]
    return [each is not None and each.live(clock()) for each in found]


def unlink(db: Database, link: identity.Identity, clock: Any, keep: BrowserSession | None = None) -> None:
    with db.write() as tx:
        unlinking.unlink(tx, link, clock(), sessions=Sessions(db=db), keep=keep)


def test_the_last_way_in_is_not_unlinked(db: Database, social: Ready, person: Account, clock: Any) -> None:
    link = link_of(db, social)
    with db.write() as tx:
        assert not unlinking.may_unlink(tx, person, link)
        account.set_password(tx, person.id, "x", clock())
    with db.read() as tx:
        now_with_a_password = account.find(tx, person.id)
        assert now_with_a_password is not None
        assert unlinking.may_unlink(tx, now_with_a_password, link)


@pytest.mark.attack("FD7")
@pytest.mark.parametrize("kind", ["ldap", "active_directory"])
def test_nobody_gets_rid_of_their_directory_by_linking_another_provider(
    db: Database, social: Ready, person: Account, clock: Any, kind: str
) -> None:
    with db.write() as tx:
        row = connector.put(tx, name="corp", kind=kind, label="Corp", config={}, now=clock())
        directory = federated.link(tx, ready(row), ADA, person, clock())
        account.set_password(tx, person.id, "x", clock())
        assert not unlinking.may_unlink(tx, person, directory)
        assert unlinking.may_unlink(tx, person, link_of(db, social))


def test_sessions_that_it_began_end_and_others_stay(db: Database, social: Ready, person: Account, clock: Any) -> None:
    began, mine = signed_in(db, person, clock, by=social), signed_in(db, person, clock, by=social)
    by_password = signed_in(db, person, clock)
    unlink(db, link_of(db, social), clock, keep=mine)
    assert live(db, clock, began, mine, by_password) == [False, True, True]


def test_of_a_directory_every_session_ends(db: Database, corp: Ready, clock: Any) -> None:
    person = arrive(db, corp, ADA, clock)
    by_password = signed_in(db, person, clock)
    unlink(db, link_of(db, corp), clock)
    assert live(db, clock, by_password) == [False]


def test_roles_that_came_by_it_are_told_to_be_gone(db: Database, social: Ready, person: Account, clock: Any) -> None:
    def told() -> list[str]:
        with db.read() as tx:
            return [each.reason for each in tx.scalars(select(event.Event)) if each.ids == [person.id]]

    def roles() -> int:
        with db.read() as tx:
            return len(role.of_account(tx, person.id, "https://orders.example"))

    assert (roles(), told()) == (1, [])
    unlink(db, link_of(db, social), clock)
    assert (roles(), told()) == (0, ["roles changed"])
