"""People of a real LDAP directory on the sign-in page: as local people, under the rules of both houses."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from idp.accounts import administration, connectors
from idp.accounts.connectors import Definition
from idp.store import account, api, audit, connector, group, identity, role, totp
from idp.web.directories import Directories
from tests.fixtures.browser import claims, parameters
from tests.fixtures.markup import Page
from tests.services.authority import Authority
from tests.services.slapd import PASSWORD, PEOPLE, READER, Slapd
from tests.services.slapd import group as group_dn
from tests.services.slapd import person as person_dn

BUSY = 2.0  # how much longer a busy machine may take
NUMBER = re.compile(r"(?<=number: )[0-9a-f]{12}")


@pytest.fixture
def table(slapd: Slapd, authority: Authority) -> dict[str, object]:
    return {
        "kind": "ldap",
        "label": "Example",
        "servers": [slapd.ldaps],
        "ca_file": str(authority.file),
        "bind_dn": READER[0],
        "bind_password": READER[1],
        "user_base": PEOPLE,
    }


@pytest.fixture
def join(services: Any, table: dict[str, object]) -> Any:
    """Connect the directory; settings may differ."""

    def to(name: str = "example", *, patient: bool = True, **changes: object) -> str:
        time_out = {"timeout": 10, "group_timeout": 10} if patient else {}
        definition = Definition.parse(name, {**table, **time_out, **changes})
        with services.db.write() as tx:
            row = connectors.save(tx, services.sealer, definition, services.clock(), declared=False)
        services.connectors.forget()
        return row.id

    yield to
    services.connectors.close()


def attempt(browser: Any, app: Any, name: str, password: str = PASSWORD, **params: Any) -> Any:
    return browser.submit(browser.authorize(app, **params), "login-submit", username=name, password=password)


def miss(browser: Any, app: Any, name: str, password: str = PASSWORD) -> tuple[int, str]:
    answer = attempt(browser, app, name, password)
    return answer.status_code, NUMBER.sub("", Page(answer.text).text)


def test_somebody_of_the_directory_signs_in_and_has_an_account(
    browser: Any, web_app: Any, services: Any, join: Any
) -> None:
    join()
    assert "consent-allow" in Page(attempt(browser, web_app, "alice").text).ids
    with services.db.read() as tx:
        found = account.find_by_login(tx, "alice")
        assert found is not None
        assert found.password_hash is None
        assert found.claims["given_name"] == "Alice"
        assert [each.username for each in identity.of_account(tx, found.id)] == ["alice"]


def test_the_second_time_and_by_any_of_their_names_it_is_the_same_account(
    browser: Any, web_app: Any, services: Any, join: Any
) -> None:
    row = join(domains=["example.test"])
    for name in ("alice@example.test", "ALICE@Example.Test"):
        assert "consent-allow" in Page(attempt(browser.another(), web_app, name).text).ids
    with services.db.read() as tx:
        assert identity.count(tx, row) == 1


def test_a_local_person_stays_local_and_their_password_goes_nowhere(
    browser: Any, web_app: Any, alice: Any, slapd: Slapd, join: Any
) -> None:
    join()
    before = slapd.binds(person_dn("alice"))
    assert "consent-allow" in Page(attempt(browser, web_app, "alice", alice.password).text).ids
    assert miss(browser.another(), web_app, "alice")[0] == 400
    assert slapd.binds(person_dn("alice")) == before


def test_a_directory_with_domains_is_asked_for_nobody_elses(
    browser: Any, web_app: Any, slapd: Slapd, join: Any
) -> None:
    join(domains=["example.test"])
    before = slapd.program.output().count("SRCH base")
    assert miss(browser, web_app, "alice")[0] == 400
    assert miss(browser, web_app, "alice@other.test")[0] == 400
    assert miss(browser, web_app, "alice@evil@example.test")[0] == 400
    assert slapd.program.output().count("SRCH base") == before


@pytest.mark.attack("FD19")
def test_a_directory_that_is_switched_off_signs_nobody_in(
    browser: Any, web_app: Any, services: Any, clock: Any, join: Any
) -> None:
    row = join()
    assert "consent-allow" in Page(attempt(browser, web_app, "alice").text).ids
    with services.db.write() as tx:
        connector.disable(tx, row, clock())
    clock.advance(1)
    assert miss(browser.another(), web_app, "alice")[0] == 400


@pytest.mark.attack("FD6", "LG1")
def test_locked_unknown_and_wrong_look_alike_and_only_the_right_password_learns_that_it_must_change(
    browser: Any, web_app: Any, join: Any
) -> None:
    join()
    told = {name: miss(browser.another(), web_app, name) for name in ("locked", "nobody-there", "same@example.test")}
    told["wrong"] = miss(browser.another(), web_app, "user000006", "wrong")
    told["expired, wrong"] = miss(browser.another(), web_app, "expired", "wrong")
    assert len({(status, text.replace(name, "")) for name, (status, text) in told.items()}) == 1
    for name in ("expired", "mustchange"):
        status, text = miss(browser.another(), web_app, name)
        assert status == 400
        assert "must be changed" in text


@pytest.mark.attack("FD10", "LG5", "LG7")
def test_we_stop_before_the_directory_locks_whatever_the_spelling(
    browser: Any, web_app: Any, slapd: Slapd, join: Any
) -> None:
    join(tries=3, login_attributes=["uid", "mail", "cn"])
    assert "consent-allow" in Page(attempt(browser, web_app, "lockme").text).ids
    before = slapd.binds(person_dn("lockme"))
    for name in ("lockme", "LOCKME", " lockme ", "Lockme"):
        assert miss(browser.another(), web_app, name, "wrong")[0] == 400
    assert slapd.binds(person_dn("lockme")) - before == 2  # the third is for a browser that knows them
    assert miss(browser.another(), web_app, "lockme")[0] == 400
    assert "consent-allow" in Page(attempt(browser, web_app, "lockme", prompt="login").text).ids


def test_a_right_password_is_no_try(browser: Any, web_app: Any, join: Any) -> None:
    join(tries=1)
    for _ in range(3):
        assert "consent-allow" in Page(attempt(browser.another(), web_app, "user000008").text).ids


@pytest.mark.attack("FD9")
def test_a_directory_that_hangs_is_told_as_away_within_three_seconds_and_delays_no_local_person(
    browser: Any, web_app: Any, alice: Any, slapd: Slapd, join: Any
) -> None:
    join(patient=False)
    slapd.hang()
    try:
        other = browser.another()
        page = other.authorize(web_app)
        began = time.monotonic()
        answer = other.post(page, "login-submit", username="user000009", password=PASSWORD)
        assert time.monotonic() - began < 3 + BUSY
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        began = time.monotonic()
        assert "consent-allow" in Page(attempt(browser, web_app, "alice", alice.password).text).ids
        assert time.monotonic() - began < 1 + BUSY
    finally:
        slapd.go_on()


@pytest.mark.attack("LG16", "FD21")
def test_the_second_factor_of_the_account_is_asked_whatever_name_was_typed(
    browser: Any, web_app: Any, services: Any, clock: Any, join: Any
) -> None:
    join()
    attempt(browser, web_app, "alice")
    with services.db.write() as tx:
        person = account.find_by_login(tx, "alice")
        assert person is not None
        sealed = services.sealer.seal("totp", "seed_sealed", "t1", b"twenty bytes of seed")
        totp.create(tx, totp_id="t1", account_id=person.id, label="Phone", seed_sealed=sealed, now=clock())
        totp.confirm(tx, "t1", 0, clock())
    for name in ("alice", "alice@example.test"):
        assert "mfa-submit" in Page(attempt(browser.another(), web_app, name).text).ids


def test_groups_of_the_directory_reach_the_token_as_roles(
    browser: Any, web_app: Any, services: Any, orders_api: Any, clock: Any, join: Any
) -> None:
    row = join()
    with services.db.write() as tx:
        orders = api.find(tx, orders_api.audience)
        assert orders is not None
        clerk = role.find(tx, orders.id, "clerk")
        assert clerk is not None
        connector.add_rule(tx, connector_id=row, match="key", pattern=group_dn("outer"), role_id=clerk.id, now=clock())
    page = attempt(browser, web_app, "alice", scope="openid orders:read", resource=orders_api.audience)
    back = browser.submit(page, "consent-allow")
    tokens = browser.redeem(web_app, parameters(back)["code"]).get_json()
    assert claims(tokens["access_token"])["roles"] == ["clerk"]
    with services.db.read() as tx:
        person = account.find_by_login(tx, "alice")
        assert person is not None
        assert group.of_account(tx, person.id) == []


def test_a_closed_account_stays_closed_whatever_the_directory_says(
    browser: Any, web_app: Any, services: Any, clock: Any, join: Any
) -> None:
    join()
    attempt(browser, web_app, "alice")
    with services.db.write() as tx:
        person = account.find_by_login(tx, "alice")
        assert person is not None
        administration.disable(tx, person, clock())
    assert miss(browser.another(), web_app, "alice")[0] == 400


def test_who_is_not_invited_is_told_so_after_the_right_password_only(browser: Any, web_app: Any, join: Any) -> None:
    join(provisioning="linked")
    assert "no account here" in miss(browser.another(), web_app, "user000010")[1]
    assert "no account here" not in miss(browser.another(), web_app, "user000010", "wrong")[1]


def test_no_password_is_in_any_record(browser: Any, web_app: Any, services: Any, slapd: Slapd, join: Any) -> None:
    join()
    attempt(browser, web_app, "alice")
    miss(browser.another(), web_app, "user000011", "a wrong password")
    with services.db.read() as tx:
        rows = "".join(str(vars(each)) for each in audit.recent(tx, limit=100))
        stored = str([vars(row) for row in connector.listing(tx)])
    for secret in (PASSWORD, "a wrong password", READER[1]):
        assert secret not in rows
        assert secret not in stored


@pytest.mark.attack("FD7")
def test_who_is_closed_over_there_is_closed_here_at_the_next_try_whatever_was_typed(
    browser: Any, web_app: Any, services: Any, clock: Any, join: Any
) -> None:
    row = join()
    who = services.connectors.find("example", clock()).connector.find("locked")
    with services.db.write() as tx:
        made = account.create(tx, username="locked", now=clock())
        facts = {"account_id": made.id, "username": "locked", "username_key": "locked", "email": None}
        identity.create(tx, connector_id=row, external_id=who.external_id, now=clock(), **facts)
    for _ in range(2):
        assert miss(browser.another(), web_app, "locked", "a guess")[0] == 400
    with services.db.read() as tx:
        found = account.find(tx, made.id)
        assert found.disabled_at is not None
        said = [each for each in audit.recent(tx, 50) if each.event == "account.disabled"]
    assert [(each.actor, each.detail["reason"]) for each in said] == [("connector:example", "locked")]


@pytest.mark.attack("FD7")
def test_who_is_gone_from_the_directory_loses_refresh_at_the_next_round(
    browser: Any, web_app: Any, services: Any, clock: Any, join: Any
) -> None:
    join()
    page = attempt(browser, web_app, "alice", scope="openid offline_access", prompt="consent")
    tokens = browser.redeem(web_app, parameters(browser.submit(page, "consent-allow"))["code"]).get_json()
    rounds = Directories(services)
    rounds.round(clock())
    again = browser.refresh(web_app, tokens["refresh_token"])
    assert again.status_code == 200
    join(user_filter="(&(objectClass=inetOrgPerson)(!(uid=alice)))")
    clock.advance(301)
    rounds.round(clock())
    refused = browser.refresh(web_app, again.get_json()["refresh_token"])
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_grant")


def test_a_round_begins_in_the_background_when_it_is_due(services: Any, clock: Any, join: Any) -> None:
    row = join()
    rounds = Directories(services)
    for _ in range(2):
        rounds.turn(clock())
    assert rounds._thread is not None
    rounds._thread.join(30)
    with services.db.read() as tx:
        last = connector.sync(tx, row)
    assert last is not None
    assert last.trouble is None
    assert last.counts["read"] == 28
