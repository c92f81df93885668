"""The sample app's own pages: as fit for everybody as those of the product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.journeys.conftest import PASSWORD
from tests.journeys.line import Line
from tests.journeys.walker import Enrolled, Walker
from tests.look.checks import SIDEWAYS, SMALL_TARGETS, violations

pytestmark = pytest.mark.xdist_group("journey")
PLACES = ("welcome", "signed in", "answered", "signed out")


@pytest.fixture(scope="module")
def pages(chromium: Browser, artifacts: Path, line: Line, enrolled: Enrolled) -> Iterator[dict[str, Page]]:
    """Each page of the sample app, open side by side."""
    context = chromium.new_context(bypass_csp=True, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    open_pages = {"welcome": context.new_page()}
    open_pages["welcome"].goto(line.facts.places.app_url)
    walker = Walker(context.new_page(), artifacts / "journey" / "sample app")
    walker.arrive(line)
    walker.sign_in("grace", PASSWORD)
    walker.tab.click("text=Use a recovery code")
    walker.tab.fill("#recovery-code", enrolled.codes[1])
    walker.tab.click("#recovery-submit")
    walker.tab.wait_for_selector("#who")
    open_pages["signed in"] = context.new_page()
    open_pages["signed in"].goto(line.facts.places.app_url)
    walker.press("read")
    open_pages["answered"] = context.new_page()
    open_pages["answered"].goto(line.facts.places.app_url)
    walker.tab.click("#sign-out")
    walker.tab.wait_for_selector("#signed-out")
    open_pages["signed out"] = walker.tab
    yield open_pages
    context.close()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 460, 1280])
def test_fits_everybody(pages: dict[str, Page], artifacts: Path, place: str, scheme: Any, width: int) -> None:
    tab = pages[place]
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 800})
    tab.screenshot(path=artifacts / "journey" / "sample app" / f"{place}-{width}-{scheme}.png", full_page=True)
    found = (tab.evaluate(SIDEWAYS), tab.evaluate(SMALL_TARGETS), violations(tab))
    assert found == (0, [], [])
