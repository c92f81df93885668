"""Whoever comes from elsewhere: found by what never changes, linked by nothing that can be claimed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from idp.accounts import federated, standing
from idp.accounts.connectors import Ready
from idp.accounts.federated import NotWelcome, Taken, Unwelcome, domain_of
from idp.federation.connector import Identity, Membership
from idp.store import account, api, connector, group, identity, invitation, role
from idp.store.account import Account, canonical_login
from idp.store.database import Database
from tests.accounts.elsewhere import ADA, arrive

STAFF = Membership(key="CN=Staff, DC=corp,DC=test", name="Staff")


@pytest.fixture
def clerk(db: Database, corp: Ready, clock: Any) -> str:
    """A role that members of Staff have."""
    with db.write() as tx:
        orders = api.create(tx, audience="https://orders.example", name="Orders", now=clock())
        made = role.create(tx, api_id=orders.id, name="clerk")
        connector.add_rule(
            tx, connector_id=corp.id, match="key", pattern="cn=staff,dc=CORP,dc=test", role_id=made.id, now=clock()
        )
        return made.id


def held(db: Database, person: Account) -> list[str]:
    with db.read() as tx:
        return sorted({name for name, _, _ in role.of_account(tx, person.id, "https://orders.example")})


def test_the_first_sign_in_makes_an_account_and_the_next_finds_it(db: Database, corp: Ready, clock: Any) -> None:
    first = arrive(db, corp, ADA, clock)
    again = arrive(db, corp, replace(ADA, username="ada.lovelace"), clock)
    assert again.id == first.id
    assert again.username == "ada.lovelace"
    assert (again.email, again.email_verified) == ("ada@corp.test", True)


@pytest.mark.attack("FD11")
def test_a_recycled_name_and_address_is_another_person(db: Database, corp: Ready, clock: Any) -> None:
    first = arrive(db, corp, replace(ADA, email_verified=False), clock)
    second = arrive(db, corp, replace(ADA, external_id="guid-2", email_verified=False), clock)
    assert second.id != first.id
    assert second.username == "ada@corp"


@pytest.mark.attack("FD12")
@pytest.mark.parametrize("verified", [True, False])
def test_no_email_links_to_an_account_that_is_here(db: Database, corp: Ready, clock: Any, *, verified: bool) -> None:
    with db.write() as tx:
        local = account.create(tx, username="countess", email="ADA@corp.test", password_hash="x", now=clock())
    who = replace(ADA, email_verified=verified)
    if verified:
        with pytest.raises(NotWelcome) as refused:
            arrive(db, corp, who, clock)
        assert refused.value.why is Unwelcome.LINK_FIRST
    else:
        assert arrive(db, corp, who, clock).id != local.id
    with db.read() as tx:
        assert identity.of_account(tx, local.id) == []
        found = account.find_by_login(tx, "ada@corp.test")
    assert found is not None
    assert found.id == local.id


@pytest.mark.attack("FD12")
def test_an_unverified_email_takes_no_name(db: Database, corp: Ready, clock: Any) -> None:
    arrive(db, corp, replace(ADA, email="victim@corp.test", email_verified=False), clock)
    with db.write() as tx:
        assert account.create(tx, username="victim", email="victim@corp.test", now=clock())


def test_an_account_is_linked_by_its_owner_and_to_one_person_only(db: Database, corp: Ready, clock: Any) -> None:
    with db.write() as tx:
        mine = account.create(tx, username="mine", password_hash="x", now=clock())
        other = account.create(tx, username="other", password_hash="x", now=clock())
        federated.link(tx, corp, ADA, mine, clock())
        federated.link(tx, corp, ADA, mine, clock())
        with pytest.raises(Taken):
            federated.link(tx, corp, ADA, other, clock())
    assert arrive(db, corp, ADA, clock).id == mine.id


def test_groups_give_roles_and_take_them_again(db: Database, corp: Ready, clerk: str, clock: Any) -> None:
    person = arrive(db, corp, replace(ADA, groups=(STAFF,)), clock)
    assert held(db, person) == ["clerk"]
    arrive(db, corp, ADA, clock)
    assert held(db, person) == []


def test_what_was_given_by_hand_stays(db: Database, corp: Ready, clerk: str, clock: Any) -> None:
    person = arrive(db, corp, replace(ADA, groups=(STAFF,)), clock)
    with db.write() as tx:
        staff = group.create(tx, name="staff")
        group.add_role(tx, staff.id, clerk)
        group.add_member(tx, staff.id, person.id)
    arrive(db, corp, ADA, clock)
    assert held(db, person) == ["clerk"]


@pytest.mark.attack("FD8")
def test_groups_that_could_not_be_read_in_time_take_nothing_away(
    db: Database, corp: Ready, clerk: str, clock: Any
) -> None:
    person = arrive(db, corp, replace(ADA, groups=(STAFF,)), clock)
    arrive(db, corp, replace(ADA, groups_complete=False), clock)
    assert held(db, person) == ["clerk"]


@pytest.mark.attack("FD8")
def test_of_ten_thousand_groups_only_those_that_a_rule_names_are_kept(
    db: Database, corp: Ready, clerk: str, clock: Any
) -> None:
    crowd = tuple(Membership(key=f"cn=g{n},dc=test", name=f"g{n}") for n in range(10_000))
    nested = Membership(key="cn=team,dc=test", name="team")
    around = replace(STAFF, via=nested.key)
    arrive(db, corp, replace(ADA, groups=(*crowd, nested, around)), clock)
    with db.read() as tx:
        found = identity.find(tx, corp.id, "guid-1")
    assert found is not None
    kept = found.groups["all"]
    assert isinstance(kept, list)
    assert [each["name"] for each in kept] == ["Staff", "team"]


def test_a_rule_that_goes_takes_its_role_along(db: Database, corp: Ready, clerk: str, clock: Any) -> None:
    person = arrive(db, corp, replace(ADA, groups=(STAFF,)), clock)
    rule = {"match": "key", "pattern": "cn=staff,dc=CORP,dc=test", "role_id": clerk}
    with db.write() as tx:
        assert federated.drop_rule(tx, connector_id=corp.id, **rule, now=clock())
        assert not federated.drop_rule(tx, connector_id=corp.id, **rule, now=clock())
    assert held(db, person) == []


def test_nobody_has_verified_a_number_that_has_just_come(db: Database, corp: Ready, clock: Any) -> None:
    def claims(**said: object) -> Any:
        return arrive(db, corp, replace(ADA, claims=said), clock).claims

    known = {"phone_number": "+41440000001", "phone_number_verified": True}
    assert claims(**known) == known
    assert claims(phone_number="+41440000001") == known
    assert claims(phone_number="+41440000002") == {"phone_number": "+41440000002"}
    assert claims(**known) == known


def invite(db: Database, corp: Ready, clock: Any, *, email: str = "ada@corp.test", **more: Any) -> Account:
    """Make an account that nobody has a way in to, and invite somebody to it for a day."""
    with db.write() as tx:
        made = account.create(tx, username="countess", now=clock(), **more)
        until = clock() + timedelta(days=1)
        key = canonical_login(email)
        invitation.put(tx, account_id=made.id, connector_id=corp.id, email_key=key, expires_at=until)
        return made


@pytest.mark.parametrize("provisioning", ["linked", "open", "domains"])
def test_whoever_was_invited_takes_the_account_that_waits_for_them(
    db: Database, corp: Ready, clock: Any, provisioning: str
) -> None:
    waiting = invite(db, corp, clock)
    place = replace(corp, provisioning=provisioning)
    assert arrive(db, place, replace(ADA, email="ADA@Corp.test"), clock).id == waiting.id
    assert arrive(db, place, ADA, clock).id == waiting.id
    with db.read() as tx:
        assert not invitation.of_account(tx, waiting.id, clock())


@pytest.mark.attack("FD12")
@pytest.mark.parametrize(
    "who",
    [
        replace(ADA, email_verified=False),
        replace(ADA, email=None),
        replace(ADA, email="ada@corp.test.evil.test"),
        replace(ADA, email="bob@corp.test"),
    ],
)
def test_an_invitation_is_for_a_verified_address_alone(db: Database, corp: Ready, clock: Any, who: Identity) -> None:
    invite(db, corp, clock)
    with pytest.raises(NotWelcome):
        arrive(db, replace(corp, provisioning="linked"), who, clock)


@pytest.mark.attack("FD12")
def test_an_invitation_is_good_once_for_one_connector_and_for_its_time(
    db: Database, corp: Ready, other: Ready, clock: Any
) -> None:
    waiting = invite(db, corp, clock)
    with pytest.raises(NotWelcome):
        arrive(db, replace(other, provisioning="linked"), ADA, clock)
    clock.advance(86_400)
    with pytest.raises(NotWelcome):
        arrive(db, replace(corp, provisioning="linked"), ADA, clock)
    clock.advance(-1)
    assert arrive(db, corp, ADA, clock).id == waiting.id
    with pytest.raises(NotWelcome):
        arrive(db, replace(corp, provisioning="linked"), replace(ADA, external_id="guid-2"), clock)


@pytest.mark.attack("FD12")
@pytest.mark.parametrize("why", ["password", "identity", "closed"])
def test_an_account_with_a_way_in_is_given_to_nobody_who_was_invited_before(
    db: Database, corp: Ready, other: Ready, clock: Any, why: str
) -> None:
    waiting = invite(db, corp, clock)
    with db.write() as tx:
        if why == "password":
            account.set_password(tx, waiting.id, "x", clock())
        elif why == "closed":
            account.disable(tx, waiting.id, clock())
        else:
            federated.link(tx, other, ADA, waiting, clock())
    with pytest.raises(NotWelcome):
        arrive(db, replace(corp, provisioning="linked"), ADA, clock)


def test_of_two_invitations_to_one_address_the_last_counts(db: Database, corp: Ready, clock: Any) -> None:
    first = invite(db, corp, clock)
    with db.write() as tx:
        second = account.create(tx, username="second", now=clock())
        until = clock() + timedelta(days=1)
        key = canonical_login("ada@corp.test")
        invitation.put(tx, account_id=second.id, connector_id=corp.id, email_key=key, expires_at=until)
        assert not invitation.of_account(tx, first.id, clock())
    assert arrive(db, corp, ADA, clock).id == second.id


def test_whom_a_connector_lets_in_is_said_per_connector(db: Database, corp: Ready, clock: Any) -> None:
    linked = replace(corp, provisioning="linked")
    domains = replace(corp, provisioning="domains", allowed_domains=frozenset({"corp.test"}))
    for place, who, why in (
        (linked, ADA, Unwelcome.NOT_LINKED),
        (domains, replace(ADA, email_verified=False), Unwelcome.DOMAIN),
        (domains, replace(ADA, email="ada@evil.test"), Unwelcome.DOMAIN),
    ):
        with pytest.raises(NotWelcome) as refused:
            arrive(db, place, who, clock)
        assert refused.value.why is why
    assert arrive(db, domains, ADA, clock)


def test_a_removed_connector_closes_who_has_no_other_way_in(db: Database, corp: Ready, clock: Any) -> None:
    person = arrive(db, corp, ADA, clock)
    with db.write() as tx:
        linked = identity.accounts_of(tx, corp.id)
        connector.remove(tx, corp.id)
        assert standing.close_stranded(tx, linked, clock()) == 1
    with db.read() as tx:
        found = account.find(tx, person.id)
    assert found is not None
    assert found.disabled_at is not None


@pytest.mark.attack("FD14")
@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("ada@corp.test", "corp.test"),
        ("ADA@Corp.Test", "corp.test"),
        ("ada@evil@corp.test", None),
        ("ada@corp.test@evil", None),
        ("ada", None),
        ("@corp.test", None),
        ("ada@", None),
        ("ada@cörp.test", None),
        ("ada@\uff43orp.test", None),
        ("ada@corp.test.", None),
        ("ada@corp..test", None),
        ("ada@corp.test\x00", None),
        ("ada@xn--crp-sna.test", "xn--crp-sna.test"),
    ],
)
def test_the_domain_of_an_address_is_read_exactly_or_not_at_all(name: str, domain: str | None) -> None:
    assert domain_of(name) == domain
