"""A call that asks for more: the app sends the person back, the provider asks, the call is made again and passes."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from sqlalchemy import update

from idp.store.database import Database
from idp.store.session import BrowserSession
from tests.journeys.line import Line
from tests.journeys.nginx import inside
from tests.journeys.walker import Walker
from tests.look.checks import SIDEWAYS, SMALL_TARGETS, violations
from tests.services.nginx import Nginx
from tests.services.program import free_port

pytestmark = [pytest.mark.xdist_group("step-up"), pytest.mark.spec("RFC 9470 section 4")]
STEP = 30


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, box: Path) -> Iterator[Line]:
    """Everything as the demo has it: a password is enough to enter, and not for everything."""
    made = Line(tmp_path_factory.mktemp("line"), nginx_port=free_port())
    nginx = None
    try:
        made.start(lambda _: None)
        nginx = Nginx(box / f"step-up-{made.gateway_port}", port=made.facts.places.gateway, inside=inside(made))
        yield made
    finally:
        if nginx is not None:
            nginx.stop()
        made.end()


def grow_old(line: Line, minutes: int) -> None:
    """Let every sign-in have happened so long ago."""
    database = Database.open(line.database_url())
    then = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes)
    with database.write() as tx:
        tx.execute(update(BrowserSession).values(auth_time=then))
    database.close()


def enter(walker: Walker, line: Line) -> None:
    """Sign in with a password, and allow the app what it asks for if nobody did yet."""
    walker.arrive(line)
    walker.sign_in("ada", line.facts.password)
    walker.tab.wait_for_selector("#consent-allow, #who")
    if walker.tab.locator("#consent-allow").count():
        walker.tab.click("#consent-allow")
    walker.tab.wait_for_selector("#who")


def strength(walker: Walker) -> str:
    """What the access token says of the sign-in."""
    return (
        walker.tab.locator(".claims div", has=walker.tab.locator("dt", has_text="acr"))
        .last.locator("dd")
        .first.inner_text()
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_what_is_asked_for_fits_everybody(
    chromium: Browser, artifacts: Path, line: Line, scheme: Any, width: int
) -> None:
    context = chromium.new_context(
        bypass_csp=True, reduced_motion="reduce", color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    context.set_default_timeout(15_000)
    walker = Walker(context.new_page(), artifacts / "journey" / f"step up {width} {scheme}")
    enter(walker, line)
    walker.picture("before")
    walker.tab.click("#act-approve")
    walker.tab.wait_for_selector("#otp, #password")
    walker.picture("asked for more")
    found = (walker.tab.evaluate(SIDEWAYS), walker.tab.evaluate(SMALL_TARGETS), violations(walker.tab))
    context.close()
    assert found == (0, [], [])


def test_whoever_says_no_on_the_way_is_still_signed_in(walker: Walker, line: Line) -> None:
    enter(walker, line)
    walker.tab.click("#act-approve")
    walker.tab.wait_for_selector("#otp, #password")
    walker.tab.goto(line.facts.places.app_url)
    assert walker.press("read")[0] == "200"


# Last: from here on Ada has an authenticator, and is asked for it at every sign-in.
def test_a_call_asks_for_more_and_gets_it(walker: Walker, line: Line) -> None:
    enter(walker, line)
    assert strength(walker) == "aal1"
    assert walker.press("read")[0] == "200"

    walker.tab.click("#act-approve")
    walker.tab.wait_for_selector("#otp, #password")
    if walker.tab.locator("#password").count():
        # An authenticator is not set up on the strength of a session alone.
        walker.picture("password once more")
        walker.tab.fill("#password", line.facts.password)
        walker.tab.click("#login-submit")
    enrolled = walker.enrol()
    assert walker.text("#status") == "200"
    assert "stronger sign-in" in walker.text("#answer-words")
    assert '"state": "approved"' in walker.text("#answer-body")
    assert strength(walker) == "aal2"
    walker.picture("approved")

    # Strong enough from now on, while it is new.
    assert walker.press("approve") == ("200", "The gateway let it through.")
    grow_old(line, minutes=10)
    walker.tab.goto(f"{line.facts.places.app_url}/start")
    walker.tab.wait_for_selector("#who")
    walker.tab.click("#act-approve")
    walker.tab.wait_for_selector("#password")
    walker.picture("too long ago")
    walker.tab.fill("#password", line.facts.password)
    walker.tab.click("#login-submit")
    # One step ahead is within the leeway, and this one was not used.
    walker.tab.fill("#otp", enrolled.authenticator.at(time.time() + STEP))
    walker.tab.click("#mfa-submit")
    assert walker.text("#status") == "200"
    assert walker.complaints == []
