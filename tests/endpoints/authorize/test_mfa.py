"""The second factor, its enrolment and the way around a lost phone."""

from __future__ import annotations

import html
import re
import threading
from typing import Any

import pyotp
import pytest

from idp.store import client, group, totp
from idp.web import cookies
from tests.fixtures.markup import Page
from tests.fixtures.people import Authenticator

SECRET = re.compile(r'<p class="secret">([A-Z2-7 ]+)</p>')
CODES = re.compile(r"<li>([0-9a-z-]{29})</li>")


def ids(answer: Any) -> set[str]:
    return Page(answer.text).ids


def secret_of(answer: Any) -> str:
    found = SECRET.search(answer.text)
    assert found is not None, answer.text
    return found[1].replace(" ", "")


def session_cookie(browser: Any) -> str | None:
    held = browser.http.get_cookie(cookies.SESSION, domain="localhost")
    return None if held is None else str(held.value)


@pytest.fixture
def strict_app(services: Any, web_app: Any) -> Any:
    """The web app, demanding a second factor."""
    with services.db.write() as tx:
        client.change(tx, web_app.client_id, services.clock(), {"mfa": "required"})
    return web_app


@pytest.fixture
def enrolling(browser: Any, strict_app: Any, alice: Any) -> Any:
    """The page that offers a seed to Alice."""
    answer = browser.sign_in(alice, strict_app)
    assert "enrol-submit" in ids(answer)
    return answer


@pytest.fixture
def asked(browser: Any, web_app: Any, alice: Any, authenticator: Any) -> Any:
    """The page that asks Alice for a code."""
    answer = browser.sign_in(alice, web_app)
    assert "mfa-submit" in ids(answer)
    return answer


@pytest.fixture
def recovery_codes(browser: Any, enrolling: Any, clock: Any) -> list[str]:
    """The ten codes Alice was shown."""
    code = Authenticator(secret_of(enrolling), clock).code()
    return CODES.findall(browser.submit(enrolling, "enrol-submit", otp=code).text)


class TestEnrolment:
    def test_the_picture_is_drawn_in_the_page(self, enrolling: Any) -> None:
        assert "<svg" in enrolling.text
        assert " style=" not in enrolling.text

    def test_reloading_offers_the_same_seed(self, browser: Any, enrolling: Any) -> None:
        again = browser.http.get(enrolling.request.full_path)
        assert secret_of(again) == secret_of(enrolling)

    def test_a_right_code_shows_ten_recovery_codes_and_the_way_on(
        self, browser: Any, enrolling: Any, clock: Any
    ) -> None:
        code = Authenticator(secret_of(enrolling), clock).code()
        answer = browser.submit(enrolling, "enrol-submit", otp=code)
        assert len(set(CODES.findall(answer.text))) == 10
        assert "enrol-done" in ids(answer)
        onward = re.search(r'id="enrol-done" href="([^"]+)"', answer.text)
        assert onward is not None
        assert "consent-allow" in ids(browser.get(html.unescape(onward[1])))

    @pytest.mark.attack("LG11")
    def test_the_confirming_code_counts_as_used(
        self, browser: Any, enrolling: Any, strict_app: Any, alice: Any, clock: Any
    ) -> None:
        phone = Authenticator(secret_of(enrolling), clock)
        browser.submit(enrolling, "enrol-submit", otp=phone.code())
        asked = browser.sign_in(alice, strict_app, prompt="login")
        assert "This code has been used" in browser.submit(asked, "mfa-submit", otp=phone.code()).text

    def test_a_wrong_code_keeps_nothing(self, browser: Any, enrolling: Any, alice: Any, services: Any) -> None:
        answer = browser.submit(enrolling, "enrol-submit", otp="000000")
        assert (answer.status_code, secret_of(answer)) == (400, secret_of(enrolling))
        with services.db.read() as tx:
            assert not totp.confirmed(tx, alice.id)

    @pytest.mark.attack("LG19")
    def test_it_changes_the_secret_of_the_session(self, browser: Any, enrolling: Any, clock: Any) -> None:
        before = session_cookie(browser)
        browser.submit(enrolling, "enrol-submit", otp=Authenticator(secret_of(enrolling), clock).code())
        assert session_cookie(browser) not in {None, before}

    @pytest.mark.attack("LG17")
    def test_five_minutes_after_the_password_it_takes_the_password_again(
        self, browser: Any, enrolling: Any, clock: Any
    ) -> None:
        clock.advance(301)
        code = Authenticator(secret_of(enrolling), clock).code()
        answer = browser.submit(enrolling, "enrol-submit", otp=code)
        assert "login-submit" in ids(answer)

    @pytest.mark.attack("LG17")
    def test_no_factor_is_added_where_none_is_demanded(
        self, browser: Any, web_app: Any, alice: Any, services: Any
    ) -> None:
        consent = browser.sign_in(alice, web_app)
        signin = browser.form(consent).action.partition("?")[2]
        assert browser.http.get(f"/mfa/enrol?{signin}").status_code == 303
        with services.db.read() as tx:
            assert not totp.confirmed(tx, alice.id)

    @pytest.mark.attack("LG17")
    def test_no_second_authenticator_is_added_in_place_of_the_first(self, browser: Any, asked: Any) -> None:
        signin = browser.form(asked).action.partition("?")[2]
        form = browser.form(asked)
        answer = browser.http.post(f"/mfa/enrol?{signin}", data={**form.fields, "otp": "000000"})
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/authorize?{signin}"

    @pytest.mark.attack("LG15")
    def test_it_cannot_be_stepped_over(self, browser: Any, enrolling: Any) -> None:
        signin = browser.form(enrolling).action.partition("?")[2]
        form = browser.form(enrolling)
        for step in ("/consent", "/mfa", "/mfa/recovery"):
            answer = browser.http.post(f"{step}?{signin}", data={**form.fields, "consent-allow": ""})
            assert answer.headers.get("Location") == f"/authorize?{signin}"
        assert "enrol-submit" in ids(browser.get(f"/authorize?{signin}"))

    @pytest.mark.attack("LG21")
    def test_a_form_without_its_token_is_forbidden(self, browser: Any, enrolling: Any, clock: Any) -> None:
        code = Authenticator(secret_of(enrolling), clock).code()
        assert browser.post(enrolling, "enrol-submit", otp=code, csrf_token="").status_code == 403

    @pytest.mark.parametrize("who", ["group", "person"])
    def test_groups_and_operators_demand_it_too(
        self, browser: Any, web_app: Any, alice: Any, services: Any, who: str
    ) -> None:
        with services.db.write() as tx:
            if who == "group":
                staff = group.find(tx, "staff")
                assert staff is not None
                staff.mfa = "required"
            else:
                from idp.store import account  # noqa: PLC0415

                row = account.find(tx, alice.id)
                assert row is not None
                row.must_enrol = True
        answer = browser.sign_in(alice, web_app, scope="openid orders:read")
        assert "enrol-submit" in ids(answer)


class TestCode:
    def test_a_right_code_goes_on(self, browser: Any, asked: Any, authenticator: Any) -> None:
        assert "consent-allow" in ids(browser.submit(asked, "mfa-submit", otp=authenticator.code()))

    def test_a_wrong_code_asks_again(self, browser: Any, asked: Any) -> None:
        answer = browser.submit(asked, "mfa-submit", otp="123")
        assert answer.status_code == 400
        assert {"mfa-submit", "problem"} <= ids(answer)

    @pytest.mark.attack("LG11")
    def test_a_used_code_is_told_so(
        self, browser: Any, asked: Any, authenticator: Any, alice: Any, web_app: Any
    ) -> None:
        browser.submit(asked, "mfa-submit", otp=authenticator.code())
        again = browser.sign_in(alice, web_app, prompt="login")
        answer = browser.submit(again, "mfa-submit", otp=authenticator.code())
        assert answer.status_code == 400
        assert "This code has been used" in answer.text

    @pytest.mark.attack("LG12")
    def test_of_fifty_browsers_with_one_code_exactly_one_goes_on(
        self, browser: Any, web_app: Any, alice: Any, authenticator: Any
    ) -> None:
        browsers = [browser.another() for _ in range(5)]
        pages = [each.sign_in(alice, web_app) for each in browsers]
        code, went = authenticator.code(), []
        start = threading.Barrier(5)

        def work(each: Any, page: Any) -> None:
            start.wait()
            went.extend(each.post(page, "mfa-submit", otp=code).status_code for _ in range(10))

        threads = [threading.Thread(target=work, args=pair) for pair in zip(browsers, pages, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Whoever went on is sent back to the dispatcher by its later posts: those are no acceptances.
        accepted = [each for each in browsers if "consent-allow" in ids(each.authorize(web_app))]
        assert (len(went), len(accepted)) == (50, 1)

    @pytest.mark.attack("LG14")
    def test_twenty_misses_lock_it_over_all_sign_ins_and_recovery_still_works(
        self, browser: Any, web_app: Any, alice: Any, asked: Any, authenticator: Any
    ) -> None:
        for number in range(20):
            page = asked if number % 2 else browser.sign_in(alice, web_app, prompt="login")
            browser.submit(page, "mfa-submit", otp="12345")
        page = browser.sign_in(alice, web_app, prompt="login")
        answer = browser.submit(page, "mfa-submit", otp=authenticator.code())
        assert answer.status_code == 400
        assert "recovery code" in Page(answer.text).text

    @pytest.mark.attack("LG15")
    def test_it_cannot_be_stepped_over(self, browser: Any, asked: Any) -> None:
        signin = browser.form(asked).action.partition("?")[2]
        form = browser.form(asked)
        for step in ("/consent", "/login", "/mfa/enrol"):
            answer = browser.http.post(f"{step}?{signin}", data={**form.fields, "consent-allow": ""})
            assert answer.headers.get("Location") == f"/authorize?{signin}"
        assert "mfa-submit" in ids(browser.get(f"/authorize?{signin}"))

    @pytest.mark.attack("LG15")
    def test_an_empty_form_goes_nowhere(self, browser: Any, asked: Any) -> None:
        assert browser.submit(asked, "mfa-submit", otp="").status_code == 400

    @pytest.mark.attack("LG19")
    def test_it_changes_the_secret_of_the_session(self, browser: Any, asked: Any, authenticator: Any) -> None:
        before = session_cookie(browser)
        browser.submit(asked, "mfa-submit", otp=authenticator.code())
        assert session_cookie(browser) not in {None, before}

    @pytest.mark.attack("LG21")
    def test_a_form_without_its_token_is_forbidden(self, browser: Any, asked: Any, authenticator: Any) -> None:
        assert browser.post(asked, "mfa-submit", otp=authenticator.code(), csrf_token="").status_code == 403

    @pytest.mark.attack("LG16")
    @pytest.mark.usefixtures("authenticator")
    def test_signing_in_by_an_alias_takes_the_factor_too(self, browser: Any, web_app: Any, alice: Any) -> None:
        page = browser.authorize(web_app)
        answer = browser.submit(page, "login-submit", username=alice.email.upper(), password=alice.password)
        assert "mfa-submit" in ids(answer)


class TestRecovery:
    def come_back(self, browser: Any, app: Any, person: Any) -> Any:
        asked = browser.sign_in(person, app, prompt="login")
        link = re.search(r'href="(/mfa/recovery[^"]+)"', asked.text)
        assert link is not None
        return browser.get(html.unescape(link[1]))

    @pytest.mark.attack("LG18")
    def test_a_code_works_once(self, browser: Any, strict_app: Any, alice: Any, recovery_codes: list[str]) -> None:
        page = self.come_back(browser, strict_app, alice)
        answer = browser.submit(page, "recovery-submit", **{"recovery-code": recovery_codes[0].upper()})
        assert "consent-allow" in ids(answer)
        page = self.come_back(browser, strict_app, alice)
        answer = browser.submit(page, "recovery-submit", **{"recovery-code": recovery_codes[0]})
        assert (answer.status_code, "problem" in ids(answer)) == (400, True)

    @pytest.mark.attack("LG19")
    def test_it_changes_the_secret_of_the_session(
        self, browser: Any, strict_app: Any, alice: Any, recovery_codes: list[str]
    ) -> None:
        page = self.come_back(browser, strict_app, alice)
        before = session_cookie(browser)
        browser.submit(page, "recovery-submit", **{"recovery-code": recovery_codes[1]})
        assert session_cookie(browser) not in {None, before}

    @pytest.mark.parametrize("typed", ["", "0000-0000-0000-0000-0000-0000", "\x00", "x" * 5000])
    @pytest.mark.usefixtures("recovery_codes")
    def test_what_is_no_code_goes_nowhere(self, browser: Any, strict_app: Any, alice: Any, typed: str) -> None:
        page = self.come_back(browser, strict_app, alice)
        assert browser.submit(page, "recovery-submit", **{"recovery-code": typed}).status_code == 400

    @pytest.mark.attack("LG15")
    def test_it_is_no_way_around_the_password(self, browser: Any, web_app: Any) -> None:
        login = browser.authorize(web_app)
        signin = browser.form(login).action.partition("?")[2]
        answer = browser.http.get(f"/mfa/recovery?{signin}")
        assert answer.headers["Location"] == f"/authorize?{signin}"

    @pytest.mark.attack("LG21")
    def test_a_form_without_its_token_is_forbidden(
        self, browser: Any, strict_app: Any, alice: Any, recovery_codes: list[str]
    ) -> None:
        page = self.come_back(browser, strict_app, alice)
        typed = {"recovery-code": recovery_codes[2], "csrf_token": ""}
        assert browser.post(page, "recovery-submit", **typed).status_code == 403


def test_the_second_factor_is_told_to_the_app(browser: Any, web_app: Any, alice: Any, authenticator: Any) -> None:
    from tests.fixtures.browser import claims, parameters  # noqa: PLC0415

    answer = browser.finish(browser.authorize(web_app, acr_values="aal2"), alice, authenticator)
    tokens = browser.redeem(web_app, parameters(answer)["code"]).get_json()
    told = claims(tokens["id_token"])
    assert (told["acr"], told["amr"]) == ("aal2", ["pwd", "otp", "mfa"])
    assert pyotp.TOTP(authenticator.secret).interval == 30
