"""The main job, as a person does it: sign in, enrol, consent, use the app, leave."""

from __future__ import annotations

import time

import pytest

from tests.journeys.conftest import PASSWORD
from tests.journeys.line import Line
from tests.journeys.walker import Enrolled, Walker

pytestmark = pytest.mark.xdist_group("journey")
STEP = 30


def test_a_person_signs_in_enrols_consents_calls_refreshes_and_leaves(walker: Walker, line: Line) -> None:
    walker.arrive(line)
    assert walker.tab.url.startswith(f"{line.facts.places.issuer}/login")
    walker.sign_in("ada", line.facts.password)
    assert len(set(walker.enrol().codes)) == 10
    assert "orders:write" in walker.text("main")
    walker.picture("consent")
    walker.tab.click("#consent-allow")

    assert walker.text("#who") == "Welcome, Ada Lovelace"
    walker.picture("back in the app")
    assert "aal2" in walker.text("main")
    assert walker.press("read") == ("200", "The gateway let it through.")
    assert '"client": "orders-desk"' in walker.text("#answer-body")
    assert walker.press("order")[0] == "201"
    assert walker.press("profile")[0] == "200"
    assert '"email": "ada@example.org"' in walker.text("#answer-body")
    before = walker.tab.text_content("#access-token")
    assert walker.press("refresh")[0] == "200"
    assert walker.tab.text_content("#access-token") != before
    assert walker.press("read")[0] == "200"

    walker.tab.click("#sign-out")
    walker.tab.wait_for_selector("#signed-out")
    walker.picture("signed out")
    tried = walker.tried()
    assert tried["Refresh token"] == "Refused: invalid_grant."
    assert tried["Introspection"] == "Gatehouse says it is dead: active is false."
    assert tried["Userinfo"] == "Refused: the token is worth nothing any more."
    assert walker.complaints == []


def test_a_mistaken_person_is_told_what_to_do_and_types_the_name_once(walker: Walker, line: Line) -> None:
    walker.arrive(line)
    walker.sign_in("ada", "not the password")
    walker.tab.wait_for_function("() => document.activeElement.id === 'problem'")
    walker.picture("wrong password")
    assert walker.tab.input_value("#username") == "ada"
    assert walker.tab.input_value("#password") == ""


def test_a_returning_person_needs_a_code_that_was_not_used(walker: Walker, line: Line, enrolled: Enrolled) -> None:
    walker.arrive(line)
    walker.sign_in("grace", PASSWORD)
    used = enrolled.authenticator.at(time.time())
    walker.tab.fill("#otp", used)
    walker.picture("code")
    walker.tab.click("#mfa-submit")
    walker.tab.wait_for_selector("#problem, #who")
    if walker.tab.locator("#problem").count():
        walker.picture("used code")
        # One step ahead is within the leeway, so nobody has to wait here.
        walker.tab.fill("#otp", enrolled.authenticator.at(time.time() + STEP))
        walker.tab.click("#mfa-submit")
    walker.tab.wait_for_selector("#who")
    assert walker.complaints == []


def test_a_recovery_code_opens_once(walker: Walker, line: Line, enrolled: Enrolled) -> None:
    for outcome in ("#who", "#problem"):
        walker.tab.context.clear_cookies()
        walker.arrive(line)
        walker.sign_in("grace", PASSWORD)
        walker.tab.click("text=Use a recovery code")
        walker.tab.fill("#recovery-code", enrolled.codes[0].upper())
        walker.picture("recovery code")
        walker.tab.click("#recovery-submit")
        walker.tab.wait_for_selector(outcome)
    walker.picture("recovery code used")


def test_a_person_who_says_no_is_back_in_the_app_with_nothing_shared(walker: Walker, line: Line) -> None:
    walker.tab.goto(line.facts.places.app_url)
    walker.tab.click("#sign-in")
    walker.sign_in("hedy", PASSWORD)
    walker.enrol()
    walker.tab.click("#consent-deny")
    assert "You said no" in walker.text("#trouble")
    walker.picture("said no")
