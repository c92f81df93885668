from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from idp.store import account, api, client, consent, device, grant, group, role, session, signin
from idp.store.digests import digest


@pytest.mark.attack("LG5")
@pytest.mark.parametrize(
    "login", ["alice", "ALICE", " Alice\t", "\uff21lice", "Alice@Example.org", "alice@example.ORG "]
)
def test_every_spelling_of_a_login_is_one_account(db, person, login):
    with db.read() as tx:
        assert account.find_by_login(tx, login).id == person.account_id


@pytest.mark.parametrize("login", ["", " ", "alic", "alice\u0301", "alice@example"])
def test_another_login_is_nobody(db, person, login):
    with db.read() as tx:
        assert account.find_by_login(tx, login) is None


@pytest.mark.attack("LG5")
@pytest.mark.parametrize("name", ["Alice", "ALICE@example.org", " "])
def test_a_name_or_email_that_signs_somebody_in_is_taken(db, person, now, name):
    with pytest.raises(account.NameTaken), db.write() as tx:
        account.create(tx, username=name, now=now)


def test_an_email_may_not_be_another_ones_name(db, person, now):
    with db.write() as tx:
        bob = account.create(tx, username="bob", now=now)
    with pytest.raises(account.NameTaken), db.write() as tx:
        account.change_email(tx, account.find(tx, bob.id), "alice", verified=True, now=now)


def test_an_email_changes_and_its_owner_may_keep_it(db, person, now):
    with db.write() as tx:
        account.change_email(tx, account.find(tx, person.account_id), "Alice@example.org", verified=True, now=now)
    with db.read() as tx:
        found = account.find_by_login(tx, "alice@example.org")
    assert (found.email, found.email_verified) == ("Alice@example.org", True)


def test_a_hash_is_upgraded_only_while_it_is_the_same_password(db, person, now):
    with db.write() as tx:
        account.set_password(tx, person.account_id, "old", now)
        assert account.upgrade_hash(tx, person.account_id, old="old", new="stronger")
        assert not account.upgrade_hash(tx, person.account_id, old="old", new="too late")
    with db.read() as tx:
        assert account.find(tx, person.account_id).password_hash == "stronger"


def test_a_client_and_its_scopes_are_two_statements(db, person, now):
    with db.write() as tx:
        orders = api.create(tx, audience="https://orders.example", name="Orders", now=now)
        for name in ("orders:read", "orders:write"):
            client.allow_scope(tx, "web-app", api.add_scope(tx, orders.id, name).id)
    statements = []
    event.listen(db.engine, "before_cursor_execute", lambda *facts: statements.append(facts[2]))
    with db.read() as tx:
        assert client.find(tx, "web-app").name == "Web app"
        assert client.scopes(tx, "web-app") == {"https://orders.example": {"orders:read", "orders:write"}}
    assert len(statements) == 2


def test_a_change_makes_a_new_version(db, person, now):
    with db.write() as tx:
        assert client.change(tx, "web-app", now, {"name": "Shop"})
        assert not client.change(tx, "nobody", now, {"name": "Shop"})
    with db.read() as tx:
        found = client.find(tx, "web-app")
    assert (found.name, found.version) == ("Shop", 2)


def test_roles_reach_people_through_groups_and_services_directly(db, person, now):
    with db.write() as tx:
        orders = api.create(tx, audience="https://orders.example", name="Orders", now=now)
        scope = api.add_scope(tx, orders.id, "orders:read")
        clerk = role.create(tx, api_id=orders.id, name="clerk", mfa="required")
        role.create(tx, api_id=orders.id, name="owner")
        role.add_scope(tx, clerk.id, scope.id)
        staff = group.create(tx, name="staff")
        for _ in range(2):
            group.add_member(tx, staff.id, person.account_id)
            group.add_role(tx, staff.id, clerk.id)
            role.add_client(tx, clerk.id, "web-app")
    with db.read() as tx:
        held = [("clerk", "required", "orders:read")]
        assert role.of_account(tx, person.account_id, "https://orders.example") == held
        assert role.of_client(tx, "web-app", "https://orders.example") == held
        assert role.of_account(tx, person.account_id, "https://other.example") == []
        assert [each.name for each in group.of_account(tx, person.account_id)] == ["staff"]
        assert api.known_scopes(tx, ["orders:read", "nothing"]) == {"orders:read": [("https://orders.example", "")]}


def test_only_resource_clients_serve_an_api(db, person, now):
    with db.write() as tx:
        orders = api.create(tx, audience="https://orders.example", name="Orders", now=now)
        api.add_resource_client(tx, orders.id, "web-app")
    with db.read() as tx:
        assert api.serves(tx, "web-app", "https://orders.example")
        assert not api.serves(tx, "web-app", "https://other.example")
        assert api.served_by(tx, "web-app") == {"https://orders.example"}


def test_consent_grows_and_starts_anew_after_it_was_taken_back(db, person, now):
    who = (person.account_id, "web-app")
    with db.write() as tx:
        consent.allow(tx, *who, {"a": ["one"]}, now)
        consent.allow(tx, *who, {"a": ["two"], "b": ["three"]}, now)
        assert consent.remembered(tx, *who) == {"a": ["one", "two"], "b": ["three"]}
        assert consent.revoke(tx, *who, now)
        assert consent.remembered(tx, *who) == {}
        consent.allow(tx, *who, {"b": ["four"]}, now)
    with db.read() as tx:
        assert consent.remembered(tx, *who) == {"b": ["four"]}


STRONG = {"auth_time": dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "acr": "aal2", "amr": ["pwd", "otp"]}


@pytest.mark.attack("LG19")
def test_a_rotated_cookie_opens_nothing(db, person, now):
    with db.write() as tx:
        assert session.step_up(tx, person.session_id, cookie_hash=digest("new"), **STRONG)
    with db.read() as tx:
        assert session.find_by_cookie(tx, digest("cookie"), now) is None
        assert session.find_by_cookie(tx, digest("new"), now).id == person.session_id


def test_an_ended_session_stays_ended(db, person, now):
    with db.write() as tx:
        assert session.end(tx, person.session_id, now)
        assert not session.end(tx, person.session_id, now)
        session.touch(tx, person.session_id, now, now + dt.timedelta(days=1))
        assert not session.step_up(tx, person.session_id, cookie_hash=digest("new"), **STRONG)
        assert session.find_by_cookie(tx, digest("cookie"), now) is None


def test_every_other_session_ends_but_the_one_in_use(db, person, now):
    with db.write() as tx:
        assert session.end_account(tx, person.account_id, now, keep=person.session_id) == []
        assert session.end_account(tx, person.account_id, now) == [person.session_id]


def test_the_first_reason_of_a_revocation_stands(db, person, now):
    with db.write() as tx:
        assert grant.revoke(tx, person.id, now, reason="code reused")
        assert not grant.revoke(tx, person.id, now, reason="logout")
        assert grant.find(tx, person.id).revoked_reason == "code reused"
        assert not grant.find(tx, person.id).live(now)


def test_a_sign_in_belongs_to_one_browser_and_ends_once(db, person, now):
    with db.write() as tx:
        later = now + dt.timedelta(minutes=10)
        made = signin.create(tx, flow_hash=b"mine", client_id="web-app", request={}, now=now, expires_at=later)
        assert signin.find_any(tx, made.id, b"yours") is None
        assert not signin.change(tx, made.id, later, account_id=person.account_id)
        assert signin.change(tx, made.id, now, account_id=person.account_id)
        assert signin.find_any(tx, made.id, b"mine").account_id == person.account_id
        assert signin.finish(tx, made.id, now).id == made.id
        assert signin.finish(tx, made.id, now) is None
        assert not signin.change(tx, made.id, now, consented_at=now)
        assert signin.find_any(tx, made.id, b"mine").finished_at == now


@pytest.mark.usefixtures("person")
def test_a_sign_in_of_nobody_is_taken_up_once(db, now):
    with db.write() as tx:
        later = now + dt.timedelta(minutes=10)
        made = signin.create(tx, flow_hash=None, client_id="web-app", request={}, now=now, expires_at=later)
        assert signin.take_up(tx, made.id, b"mine", later) is None
        assert signin.take_up(tx, made.id, b"mine", now).flow_hash == b"mine"
        assert signin.take_up(tx, made.id, b"yours", now) is None


def test_a_device_is_known_for_its_account_only(db, person, now):
    with db.write() as tx:
        for _ in range(2):
            device.remember(tx, b"cookie", person.account_id, now)
        bob = account.create(tx, username="bob", now=now)
        assert device.known(tx, b"cookie", person.account_id)
        assert not device.known(tx, b"cookie", bob.id)
        device.rotate(tx, b"cookie", b"new")
        assert not device.known(tx, b"cookie", person.account_id)
        assert device.known(tx, b"new", person.account_id)


def test_two_first_consents_at_once_are_added_up(db, person, now):
    def allow_too():
        with db.write() as tx:
            consent.allow(tx, person.account_id, "web-app", {"https://id.example": ["email"]}, now)

    with ThreadPoolExecutor() as pool:
        with db.write() as tx:
            consent.allow(tx, person.account_id, "web-app", {"https://id.example": ["openid"]}, now)
            second = pool.submit(allow_too)
            time.sleep(0.3)  # it has found nothing yet, and waits for us
        second.result(10)
    with db.read() as tx:
        assert set(consent.remembered(tx, person.account_id, "web-app")["https://id.example"]) == {"openid", "email"}
