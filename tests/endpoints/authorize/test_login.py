"""Signing in: one answer to every miss, a new secret at every rise, nothing to fix or to skip."""

from __future__ import annotations

import re
import statistics
import time
from typing import Any

import pytest

from idp.accounts.passwords import OWASP, HashingBusy, Passwords
from idp.store import account, device
from idp.store.digests import digest
from idp.web import cookies
from tests.fixtures.markup import Page

CSRF = re.compile(r'name="csrf_token" value="[^"]*"')
NUMBER = re.compile(r'<span class="mono">[0-9a-f]{12}</span>')


def cookie(browser: Any, name: str) -> str | None:
    """Return the value a browser holds."""
    held = browser.http.get_cookie(name, domain="localhost")
    return None if held is None else str(held.value)


def masked(text: str, typed: str) -> str:
    """Take away what may differ: the refilled name, the CSRF token, the number of the refusal (LG1)."""
    return NUMBER.sub("", CSRF.sub("", text)).replace(f'value="{typed}"', "").replace("signin=", "")


def miss(browser: Any, page: Any, username: str) -> Any:
    return browser.post(page, "login-submit", username=username, password="a wrong password")


def test_the_right_password_leads_to_the_dispatcher_by_303(browser: Any, web_app: Any, alice: Any) -> None:
    page = browser.authorize(web_app)
    answer = browser.post(page, "login-submit", username="alice", password=alice.password)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/authorize?signin=")


@pytest.mark.attack("AZ34")
def test_credentials_are_never_sent_on(browser: Any, web_app: Any, alice: Any) -> None:
    page = browser.authorize(web_app)
    answer = browser.post(page, "login-submit", username="alice", password=alice.password)
    assert answer.status_code == 303
    assert alice.password not in answer.headers["Location"] + answer.text


def test_signs_in_by_e_mail_too(browser: Any, web_app: Any, alice: Any) -> None:
    page = browser.authorize(web_app)
    answer = browser.submit(page, "login-submit", username=alice.email.upper(), password=alice.password)
    assert "consent-allow" in Page(answer.text).ids


def test_a_miss_keeps_the_name_and_never_the_password(browser: Any, web_app: Any, alice: Any) -> None:
    answer = miss(browser, browser.authorize(web_app), "alice")
    assert answer.status_code == 400
    assert browser.form(answer).fields["username"] == "alice"
    assert "a wrong password" not in answer.text


@pytest.mark.attack("LG1")
def test_unknown_wrong_waiting_and_closed_are_told_in_the_same_bytes(
    browser: Any, web_app: Any, alice: Any, bob: Any, services: Any
) -> None:
    with services.db.write() as tx:
        account.disable(tx, bob.id, services.clock())
    page = browser.authorize(web_app)
    told = {}
    for name in ("alice", "nobody", "bob"):
        answer = miss(browser, page, name)
        told[name] = (answer.status_code, masked(answer.text, name), sorted(set(answer.headers.keys())))
    for _ in range(8):
        waiting = miss(browser, page, "alice")
    told["waiting"] = (waiting.status_code, masked(waiting.text, "alice"), sorted(set(waiting.headers.keys())))
    right = browser.post(page, "login-submit", username="alice", password=alice.password)
    told["right but waiting"] = (right.status_code, masked(right.text, "alice"), sorted(set(right.headers.keys())))
    assert len({str(each) for each in told.values()}) == 1


@pytest.mark.attack("LG1")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("hashing", [OWASP], ids=["as by default"])
@pytest.mark.parametrize("pairs", [100, pytest.param(2000, marks=pytest.mark.long)])
@pytest.mark.usefixtures("alice")
def test_unknown_and_wrong_take_the_same_time(
    browser: Any, web_app: Any, monkeypatch: pytest.MonkeyPatch, pairs: int, record_property: Any
) -> None:
    """The throttle is off, as the row says. A busy machine may spoil a round; a difference would spoil them all."""
    monkeypatch.setattr("idp.store.counter.attempt", lambda *_args, **_options: 1)
    monkeypatch.setattr("idp.store.counter.take", lambda *_args, **_options: True)
    page = browser.authorize(web_app)
    gaps = (gap(browser, page, pairs) for _ in range(5))
    small = next((each for each in gaps if abs(each) < 0.002), None)
    record_property("pairs", pairs)
    record_property("a known name takes longer by (ms)", None if small is None else f"{small * 1000:.3f}")
    assert small is not None


def gap(browser: Any, page: Any, pairs: int) -> float:
    """Return the median of what a known name takes longer than an unknown one, tried in turns."""
    gaps = []
    for number in range(pairs):
        took = {}
        for name in sorted(("alice", "nobody"), reverse=bool(number % 2)):
            begun = time.perf_counter()
            miss(browser, page, name)
            took[name] = time.perf_counter() - begun
        gaps.append(took["alice"] - took["nobody"])
    return statistics.median(gaps)


@pytest.mark.attack("LG9")
def test_a_huge_password_is_told_so_before_it_is_hashed(
    browser: Any, web_app: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Passwords, "verify", lambda *_: pytest.fail("it was hashed"))
    page = browser.authorize(web_app)
    answer = browser.post(page, "login-submit", username="alice", password="x" * 4097)
    assert answer.status_code == 400
    assert "too long" in Page(answer.text).text


@pytest.mark.attack("LG9")
def test_a_body_beyond_all_bounds_is_refused_unread(browser: Any, web_app: Any, alice: Any) -> None:
    page = browser.authorize(web_app)
    answer = browser.post(page, "login-submit", username="alice", password="x" * 1_000_000)
    assert answer.status_code == 413


@pytest.mark.attack("LG10")
def test_a_flood_is_told_when_to_come_back(
    browser: Any, web_app: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise HashingBusy("too many sign-ins at once")

    page = browser.authorize(web_app)
    monkeypatch.setattr(Passwords, "verify", busy)
    answer = miss(browser, page, "alice")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "login-submit" in Page(answer.text).ids


@pytest.mark.attack("LG8")
def test_too_many_misses_from_one_address_are_told_as_such(browser: Any, web_app: Any, services: Any) -> None:
    page = browser.authorize(web_app)
    for number in range(services.settings.throttle_ip_per_minute):
        assert miss(browser, page, f"person-{number}").status_code == 400
    answer = miss(browser, page, "alice")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")


@pytest.mark.attack("LG19")
def test_a_planted_session_is_not_taken_over(browser: Any, web_app: Any, alice: Any) -> None:
    browser.http.set_cookie(cookies.SESSION, "planted", domain="localhost", secure=True)
    browser.sign_in(alice, web_app)
    assert cookie(browser, cookies.SESSION) not in {None, "planted"}


@pytest.mark.attack("LG19")
def test_signing_in_again_changes_the_secret(browser: Any, web_app: Any, alice: Any) -> None:
    browser.sign_in(alice, web_app)
    before = cookie(browser, cookies.SESSION)
    browser.sign_in(alice, web_app, prompt="login")
    assert cookie(browser, cookies.SESSION) != before


@pytest.mark.attack("LG20")
def test_the_cookies_are_host_bound_secure_and_out_of_reach_of_scripts(browser: Any, web_app: Any, alice: Any) -> None:
    page = browser.authorize(web_app)
    answer = browser.post(page, "login-submit", username="alice", password=alice.password)
    given = answer.headers.getlist("Set-Cookie")
    assert {each.partition("=")[0] for each in given} >= {cookies.SESSION, cookies.DEVICE}
    for each in given:
        assert each.startswith("__Host-")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(each.split("; "))
        assert "Domain" not in each


@pytest.mark.attack("LG20")
def test_a_tossed_twin_of_the_session_cookie_counts_for_nobody(
    browser: Any, web_app: Any, alice: Any, app: Any
) -> None:
    browser.sign_in(alice, web_app)
    held = cookie(browser, cookies.SESSION)
    with app.test_request_context(headers={"Cookie": f"{cookies.SESSION}=evil; {cookies.SESSION}={held}"}) as context:
        assert cookies.session_secret(context.request) is None


@pytest.mark.attack("LG21")
def test_a_form_without_its_token_is_forbidden(browser: Any, web_app: Any, alice: Any) -> None:
    page = browser.authorize(web_app)
    answer = browser.post(page, "login-submit", username="alice", password=alice.password, csrf_token="")
    assert answer.status_code == 403
    assert cookie(browser, cookies.SESSION) is None


@pytest.mark.attack("LG15")
def test_signing_in_when_it_is_not_the_turn_leads_back_to_the_dispatcher(
    browser: Any, web_app: Any, alice: Any
) -> None:
    page = browser.authorize(web_app)
    login = browser.form(page).action
    browser.log_in(page, alice)
    answer = browser.http.get(login)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/authorize?signin=")


@pytest.mark.attack("LG15")
@pytest.mark.parametrize("address", ["/login", "/login?signin=", "/login?signin=nothing", "/login?signin=%00"])
def test_a_step_outside_a_sign_in_is_refused(browser: Any, web_app: Any, address: str) -> None:
    browser.authorize(web_app)
    assert browser.http.get(address).status_code in {400, 403}


@pytest.mark.attack("LG15")
def test_an_empty_form_signs_nobody_in(browser: Any, web_app: Any, alice: Any) -> None:
    page = browser.authorize(web_app)
    form = browser.form(page)
    answer = browser.http.post(form.action, data={"csrf_token": form.fields["csrf_token"]})
    assert answer.status_code == 400
    assert cookie(browser, cookies.SESSION) is None


@pytest.mark.attack("AZ32")
def test_another_browser_cannot_go_on_with_this_sign_in(browser: Any, web_app: Any, alice: Any) -> None:
    page = browser.authorize(web_app)
    other = browser.another()
    other.authorize(web_app)
    assert other.http.get(browser.form(page).action).status_code == 403


@pytest.mark.attack("LG24")
@pytest.mark.parametrize("where", ["//evil.example", "\\evil.example", "https://evil.example", "/x%0d%0aX: y"])
def test_nothing_in_the_request_says_where_to_go_next(browser: Any, web_app: Any, alice: Any, where: str) -> None:
    page = browser.authorize(web_app)
    form = browser.form(page)
    answer = browser.http.post(
        f"{form.action}&next={where}&return_to={where}",
        data={**form.fields, "username": "alice", "password": alice.password, "next": where},
    )
    assert re.fullmatch(r"/authorize\?signin=[0-9a-f-]{36}", answer.headers["Location"])


@pytest.mark.attack("LG7", "LG22")
def test_a_browser_is_known_after_a_sign_in_and_its_secret_changes_with_the_next(
    browser: Any, web_app: Any, alice: Any, services: Any
) -> None:
    browser.sign_in(alice, web_app)
    first = cookie(browser, cookies.DEVICE)
    browser.sign_in(alice, web_app, prompt="login")
    second = cookie(browser, cookies.DEVICE)
    assert first is not None
    assert second is not None
    with services.db.read() as tx:
        assert not device.known(tx, digest(first), alice.id)
        assert device.known(tx, digest(second), alice.id)


@pytest.mark.attack("LG7")
def test_a_known_browser_gets_in_while_a_stranger_has_locked_the_account(
    browser: Any, web_app: Any, alice: Any
) -> None:
    browser.sign_in(alice, web_app)
    stranger = browser.another()
    page = stranger.authorize(web_app)
    for _ in range(10):
        miss(stranger, page, "alice")
    assert "login-submit" in Page(stranger.log_in(page, alice).text).ids
    again = browser.sign_in(alice, web_app, prompt="login")
    assert "consent-allow" in Page(again.text).ids


@pytest.mark.attack("LG22")
def test_a_known_browser_still_needs_the_second_factor(
    browser: Any, web_app: Any, alice: Any, authenticator: Any
) -> None:
    browser.finish(browser.authorize(web_app), alice, authenticator)
    answer = browser.sign_in(alice, web_app, prompt="login")
    assert "mfa-submit" in Page(answer.text).ids


@pytest.mark.attack("LG23")
def test_a_closed_account_has_no_session_any_more(browser: Any, web_app: Any, alice: Any, services: Any) -> None:
    browser.finish(browser.authorize(web_app), alice)
    with services.db.write() as tx:
        account.disable(tx, alice.id, services.clock())
    assert "login-submit" in Page(browser.authorize(web_app).text).ids


@pytest.mark.attack("LG29", "AZ33", "AZ36")
def test_the_page_is_stored_and_framed_by_nobody(browser: Any, web_app: Any) -> None:
    answer = browser.authorize(web_app)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert " style=" not in answer.text
    assert "<script" not in answer.text


@pytest.mark.attack("LO2", "LG1")
@pytest.mark.parametrize("name", ['"><script>alert(1)</script>', "a\r\nSet-Cookie: x=1", "\x1b[31m", "x" * 5000])
def test_a_hostile_name_is_refilled_as_text(browser: Any, web_app: Any, name: str) -> None:
    answer = miss(browser, browser.authorize(web_app), name)
    assert answer.status_code == 400
    assert "<script>alert" not in answer.text
    assert "x=1" not in answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize(("wish", "typed"), [("login", "alice"), ("select_account", "")])
def test_who_is_here_types_the_password_alone(browser: Any, web_app: Any, alice: Any, wish: str, typed: str) -> None:
    browser.code(web_app, alice)
    shown = browser.form(browser.authorize(web_app, prompt=wish))
    assert shown.fields["username"] == typed
