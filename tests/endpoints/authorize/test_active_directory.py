"""People of a real Active Directory on the sign-in page: by every name, in every state, and with a new password."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import ldap3
import pytest

from idp.accounts import connectors
from idp.accounts.connectors import Definition
from idp.accounts.throttle import Refusal, Throttle, Try
from idp.federation.active_directory import ActiveDirectory
from idp.federation.connector import NotSignedIn, Outcome
from idp.store import account, audit, identity, totp
from tests.fixtures.markup import Page
from tests.services.authority import Authority
from tests.services.samba import ADMIN, DOMAIN, EPOCH, PASSWORD, STAFF, TICKS, Domain, Samba

pytestmark = [
    pytest.mark.xdist_group("samba"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
NEW = "Wholly-New-77"
NUMBER = re.compile(r"[0-9a-f]{12}")


@pytest.fixture
def join(services: Any, samba: Samba, reader: str, authority: Authority) -> Any:
    """Connect the domain; settings may differ."""

    def to(**changes: object) -> str:
        table: dict[str, object] = {
            "kind": "active_directory",
            "label": "Corp",
            "servers": [samba.ldaps],
            "ca_file": str(authority.file),
            "domain": DOMAIN,
            "bind_dn": reader,
            "bind_password": PASSWORD,
            "timeout": 10,
            **changes,
        }
        definition = Definition.parse("corp", table)
        with services.db.write() as tx:
            row = connectors.save(tx, services.sealer, definition, services.clock(), declared=False)
        services.connectors.forget()
        return row.id

    yield to
    services.connectors.close()


def attempt(browser: Any, app: Any, name: str, password: str = PASSWORD) -> Any:
    return browser.submit(browser.authorize(app), "login-submit", username=name, password=password)


def renew(browser: Any, page: Any, new: str = NEW, **typed: str) -> Any:
    """Fill in the page for a new password."""
    filled = {"password": PASSWORD, "new-password": new, "new-password-again": new, **typed}
    return browser.submit(page, "new-password-submit", **filled)


def told(page: Any) -> str:
    return NUMBER.sub("", Page(page.text).text)


def failures(domain: Domain, name: str) -> tuple[list[bytes], list[bytes]]:
    domain.line.search(f"CN={name},{STAFF}", "(objectClass=*)", ldap3.BASE, attributes=["badPwdCount", "lockoutTime"])
    raw = domain.line.response[0]["raw_attributes"]
    return raw["badPwdCount"], raw["lockoutTime"]


@pytest.mark.attack("LG5")
def test_every_way_to_write_a_name_leads_to_one_account(browser: Any, web_app: Any, services: Any, join: Any) -> None:
    row = join()
    for name in (f"alice@{DOMAIN}", "CORP\\alice", "alice@example.test", "ALICE", f"Alice@{DOMAIN.upper()}"):
        assert "consent-allow" in Page(attempt(browser.another(), web_app, name).text).ids, name
    with services.db.read() as tx:
        assert identity.count(tx, row) == 1


@pytest.mark.attack("FD6", "LG1")
def test_every_closed_door_looks_like_a_wrong_password_and_the_record_has_the_reason(
    browser: Any, web_app: Any, services: Any, join: Any
) -> None:
    join()
    tried = {
        "disabled": (PASSWORD, "disabled", "533"),
        "over": (PASSWORD, "account_expired", "701"),
        "nights": (PASSWORD, "not_now", "530"),
        "elsewhere": (PASSWORD, "not_here", "531"),
        "bob": ("wrong", "no_match", "52e"),
        "nobody-there": (PASSWORD, "no_match", "unknown"),
        "OTHER\\bob": (PASSWORD, "no_match", "another domain"),
        "pwold": ("wrong", "no_match", "52e"),
    }
    pages, reasons = set(), []
    for name, (password, _, _) in tried.items():
        page = attempt(browser.another(), web_app, name, password)
        pages.add((page.status_code, told(page).replace(name, "")))
        with services.db.read() as tx:
            row = next(iter(audit.recent(tx, limit=1)))
            reasons.append((row.detail["reason"], row.detail["directory"]))
    assert len(pages) == 1
    assert reasons == [(reason, code) for _, reason, code in tried.values()]


@pytest.mark.attack("FD6")
def test_a_locked_account_is_refused_as_if_the_password_were_wrong(
    browser: Any, web_app: Any, domain: Domain, someone: Callable[..., str], join: Any
) -> None:
    name = someone()
    join()
    domain.lock(name)
    locked = attempt(browser, web_app, name)
    wrong = attempt(browser.another(), web_app, "bob", "wrong")
    assert told(locked).replace(name, "") == told(wrong).replace("bob", "")


def test_who_must_change_the_password_does_so_and_is_in(
    browser: Any, web_app: Any, services: Any, someone: Callable[..., str], join: Any
) -> None:
    name = someone(pwdLastSet=0)
    join()
    page = attempt(browser, web_app, f"CORP\\{name}")
    assert (page.status_code, "new-password-submit" in Page(page.text).ids) == (200, True)
    assert "At least 7 characters" in told(page)

    assert "consent-allow" in Page(renew(browser, page).text).ids

    assert "consent-allow" in Page(attempt(browser.another(), web_app, name, NEW).text).ids
    with services.db.read() as tx:
        rows = list(audit.recent(tx, limit=100))
    assert "directory.password_changed" in {row.event for row in rows}
    written = "".join(str(vars(row)) for row in rows)
    assert PASSWORD not in written
    assert NEW not in written


@pytest.mark.attack("LG16", "FD21")
def test_the_second_factor_is_asked_after_a_new_password_as_after_any_sign_in(
    browser: Any, web_app: Any, services: Any, clock: Any, domain: Domain, someone: Callable[..., str], join: Any
) -> None:
    name = someone()
    join()
    attempt(browser, web_app, name)
    with services.db.write() as tx:
        person = account.find_by_login(tx, name)
        assert person is not None
        sealed = services.sealer.seal("totp", "seed_sealed", "t1", b"twenty bytes of seed")
        totp.create(tx, totp_id="t1", account_id=person.id, label="Phone", seed_sealed=sealed, now=clock())
        totp.confirm(tx, "t1", 0, clock())
    domain.line.modify(f"CN={name},{STAFF}", {"pwdLastSet": [(ldap3.MODIFY_REPLACE, [0])]})
    other = browser.another()
    page = renew(other, attempt(other, web_app, name))
    assert "mfa-submit" in Page(page.text).ids


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"new-password-again": "Another-99"}, "The two that you typed are not the same."),
        ({"new-password": "Ab1", "new-password-again": "Ab1"}, "It has fewer than 7 characters."),
    ],
)
def test_what_cannot_be_taken_is_said_with_the_rules_and_can_be_mended(
    browser: Any, web_app: Any, someone: Callable[..., str], join: Any, typed: dict[str, str], words: str
) -> None:
    name = someone(pwdLastSet=0)
    join()
    page = renew(browser, attempt(browser, web_app, name), **typed)
    assert page.status_code == 400
    assert words in told(page)
    assert "At least 7 characters" in told(page)
    assert "consent-allow" in Page(renew(browser, page).text).ids


@pytest.mark.attack("FD6", "LG1")
def test_without_the_right_password_the_page_for_a_new_one_tells_what_sign_in_tells(
    browser: Any, web_app: Any, alice: Any, someone: Callable[..., str], join: Any
) -> None:
    join()
    name = someone(pwdLastSet=0)
    page = attempt(browser, web_app, name)
    answers = set()
    for typed in (
        {"password": "wrong"},
        {"password": "wrong", "new-password": "x"},
        {"username": "nobody-there"},
        {"username": "disabled"},
        {"username": "alice", "password": alice.password},  # hers is kept here: nothing to change over there
    ):
        answer = renew(browser, page, **typed)
        assert "login-submit" in Page(answer.text).ids
        answers.add((answer.status_code, told(answer)))
    assert len(answers) == 1


@pytest.mark.attack("FD10", "LG5")
def test_we_stop_one_before_the_domain_locks_whatever_the_spelling_and_the_page(
    browser: Any, web_app: Any, clock: Any, domain: Domain, someone: Callable[..., str], join: Any
) -> None:
    name = someone(pwdLastSet=0)
    join()  # its `tries` are 4, the domain locks at 3: what it says of itself counts, and no browser knows them
    page = attempt(browser, web_app, name)
    for spelling in (name, f"CORP\\{name}", f"{name}@{DOMAIN}", f"{name.upper()}@example.test"):
        assert attempt(browser.another(), web_app, spelling, "wrong").status_code == 400
        assert renew(browser, page, username=spelling, password="wrong").status_code == 400
    assert failures(domain, name) == ([b"1"], [])
    # Half an hour later it may be tried again, and a right password was no try.
    clock.advance(1801)
    page = attempt(browser, web_app, name)
    assert "new-password-submit" in Page(page.text).ids
    assert "consent-allow" in Page(renew(browser, page).text).ids


@pytest.mark.attack("LG7")
def test_the_last_try_before_the_domain_locks_is_left_to_a_browser_that_knows_the_person(
    browser: Any, web_app: Any, domain: Domain, someone: Callable[..., str], join: Any
) -> None:
    name = someone()
    join()
    attempt(browser, web_app, f"CORP\\{name}")
    for spelling in (name, f"CORP\\{name}", f"{name}@{DOMAIN}"):
        for _ in range(5):
            assert attempt(browser.another(), web_app, spelling, "wrong").status_code == 400
    assert failures(domain, name) == ([b"1"], [])
    assert attempt(browser.another(), web_app, f"CORP\\{name}").status_code == 400
    again = browser.authorize(web_app, prompt="login")
    answer = browser.submit(again, "login-submit", username=f"CORP\\{name}", password=PASSWORD)
    assert "consent-allow" in Page(answer.text).ids


@pytest.mark.attack("FD10")
def test_whose_account_locks_sooner_than_others_is_held_back_sooner(
    browser: Any, web_app: Any, domain: Domain, someone: Callable[..., str], join: Any
) -> None:
    name = someone()
    join(bind_dn=ADMIN[0], bind_password=ADMIN[1])
    with domain.finer(name, lockout=2):
        for _ in range(3):
            assert attempt(browser.another(), web_app, name, "wrong").status_code == 400
        assert failures(domain, name) == ([b"1"], [])


def test_a_new_password_that_is_not_known_everywhere_yet_is_told_as_changed(
    browser: Any, web_app: Any, someone: Callable[..., str], join: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = someone(pwdLastSet=0)
    join()
    page = attempt(browser, web_app, name)

    def elsewhere(*_: object) -> None:
        raise NotSignedIn(Outcome.NO_MATCH, "52e")

    with monkeypatch.context() as patch:
        patch.setattr(ActiveDirectory, "authenticate", elsewhere)
        answer = renew(browser, page)
    assert "Your password is changed" in told(answer)
    assert "consent-allow" in Page(attempt(browser, web_app, name, NEW).text).ids


def test_rules_that_cannot_be_read_are_not_told(
    browser: Any, web_app: Any, someone: Callable[..., str], join: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = someone(pwdLastSet=0)
    join()

    def away(*_: object) -> None:
        raise NotSignedIn(Outcome.UNAVAILABLE, "busy")

    monkeypatch.setattr(ActiveDirectory, "password_rules", away)
    page = attempt(browser, web_app, name)
    assert "new-password-submit" in Page(page.text).ids
    assert "rules" not in Page(page.text).ids


def test_the_page_is_reached_by_signing_in_alone(browser: Any, web_app: Any, join: Any) -> None:
    join()
    page = browser.authorize(web_app)
    there = page.request.full_path.replace("/login?", "/login/new-password?")
    assert "login-submit" in Page(browser.get(there).text).ids


def test_absurdly_long_passwords_go_nowhere(browser: Any, web_app: Any, someone: Callable[..., str], join: Any) -> None:
    name = someone(pwdLastSet=0)
    join()
    page = renew(browser, attempt(browser, web_app, name), "x" * 5000)
    assert "too long" in told(page)


def signed_in(browser: Any, app: Any, name: str) -> Any:
    """Sign in, and open the page on which the password can be changed."""
    attempt(browser, app, name)
    ways = Page(browser.get("/account/ways-in").text)
    link = next(each for each in ways.ids if each.startswith("password-"))
    return browser.get(f"/account/password/{link.removeprefix('password-')}")


def test_who_is_signed_in_changes_their_password_and_ends_what_is_open_elsewhere(
    browser: Any, web_app: Any, services: Any, samba: Samba, someone: Callable[..., str], join: Any
) -> None:
    name = someone()
    since = int((time.time() - 10 * 86_400 + EPOCH) * TICKS)  # old enough to be changed, too young to be over
    samba.change(f"dn: CN={name},{STAFF}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: {since}\n")
    join()
    other = browser.another()
    attempt(other, web_app, name)
    page = signed_in(browser, web_app, name)
    assert "At least 7 characters" in told(page)
    with services.db.read() as tx:
        person = account.find_by_login(tx, name)
        assert person is not None

    assert "password-changed" in Page(renew(browser, page).text).ids

    assert "You are signed in as" in told(browser.get("/account/ways-in"))
    assert "You are signed in as" not in told(other.get("/account/ways-in"))
    assert "consent-allow" in Page(attempt(browser.another(), web_app, name, NEW).text).ids


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"password": "wrong"}, "Check the one you have until now."),
        ({"new-password-again": "Another-99"}, "The two that you typed are not the same."),
        ({"new-password": "Ab1", "new-password-again": "Ab1"}, "It has fewer than 7 characters."),
        ({"new-password": "x" * 5000, "new-password-again": "x" * 5000}, "Passwords here have at most 4096 bytes."),
        ({}, "the last one is too new"),
    ],
)
def test_a_password_that_is_not_changed_is_told_why(
    browser: Any, web_app: Any, someone: Callable[..., str], join: Any, typed: dict[str, str], words: str
) -> None:
    name = someone()
    join()
    page = renew(browser, signed_in(browser, web_app, name), **typed)
    assert page.status_code == 400
    assert words in told(page)
    assert "consent-allow" in Page(attempt(browser.another(), web_app, name).text).ids


@pytest.mark.attack("FD10")
def test_guessing_from_an_open_session_counts_with_sign_in(
    browser: Any, web_app: Any, domain: Domain, someone: Callable[..., str], join: Any
) -> None:
    name = someone()
    join()
    page = signed_in(browser, web_app, name)
    for _ in range(4):
        assert renew(browser, page, password="a guess").status_code == 400
    assert failures(domain, name) == ([b"2"], [])


@pytest.mark.attack("LG10")
@pytest.mark.parametrize("refusal", [Refusal.ACCOUNT, Refusal.ADDRESS])
def test_who_has_to_wait_for_sign_in_has_to_wait_for_a_new_password(
    browser: Any,
    web_app: Any,
    domain: Domain,
    someone: Callable[..., str],
    join: Any,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
) -> None:
    must, may = someone(pwdLastSet=0), someone()
    join()
    other = browser.another()
    first, second = attempt(browser, web_app, must), signed_in(other, web_app, may)
    monkeypatch.setattr(Throttle, "take", lambda *_, **__: Try(refusal=refusal))
    assert renew(browser, first, password="a guess").status_code == (429 if refusal is Refusal.ADDRESS else 400)
    assert renew(other, second, password="a guess").status_code == 400
    assert [failures(domain, name)[0] in ([], [b"0"]) for name in (must, may)] == [True, True]


@pytest.mark.attack("FD11")
def test_the_password_of_who_bears_the_name_now_is_not_changed_by_who_bore_it(
    browser: Any, web_app: Any, domain: Domain, someone: Callable[..., str], join: Any
) -> None:
    name = someone()
    join()
    page = signed_in(browser, web_app, name)
    assert domain.line.delete(f"CN={name},{STAFF}")
    domain.person(name)
    assert renew(browser, page).status_code == 400
    assert failures(domain, name)[0] in ([], [b"0"])


def test_nobody_changes_a_password_without_a_session_or_in_another_account(
    browser: Any, web_app: Any, alice: Any, someone: Callable[..., str], join: Any
) -> None:
    join()
    page = signed_in(browser, web_app, someone())
    path = page.request.path
    stranger = browser.another()
    assert "new-password-submit" not in Page(stranger.get(path).text).ids
    stranger.sign_in(alice, web_app)
    assert "new-password-submit" not in Page(stranger.get(path).text).ids
    browser.http.delete_cookie("__Host-gh_session")
    assert "Sign in to one of your apps first" in told(renew(browser, page))


def test_a_catalogue_signs_in_and_sends_elsewhere_for_a_new_password(
    browser: Any, web_app: Any, samba: Samba, someone: Callable[..., str], join: Any
) -> None:
    join(servers=[samba.catalogue], forest=True)
    assert "consent-allow" in Page(attempt(browser.another(), web_app, "CORP\\alice").text).ids
    page = attempt(browser, web_app, someone(pwdLastSet=0))
    assert "Change it where you usually do" in told(page)


@pytest.mark.attack("FD11")
def test_the_next_bearer_of_a_name_has_an_account_of_their_own(
    browser: Any, web_app: Any, services: Any, domain: Domain, someone: Callable[..., str], join: Any
) -> None:
    name = someone()
    row = join()
    attempt(browser, web_app, name)
    assert domain.line.delete(f"CN={name},{STAFF}")
    domain.person(name)
    assert "consent-allow" in Page(attempt(browser.another(), web_app, name).text).ids
    with services.db.read() as tx:
        assert identity.count(tx, row) == 2
        first = account.find_by_login(tx, name)
        second = account.find_by_login(tx, f"{name}@corp")
    assert first is not None
    assert second is not None
    assert first.id != second.id
