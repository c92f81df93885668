"""Each page in each state, in a real browser: fits, reads, reaches, and nobody is left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage
from playwright.sync_api import Page as Tab

from tests.look.checks import INLINE, SIDEWAYS, SMALL_TARGETS, violations
from tests.look.gallery import PAGES, Page

WIDTHS = (320, 460, 1280)
VIEWS: tuple[tuple[str, int, Any], ...] = (
    ("rtl", 320, "dark"),
    ("ltr", 320, "light"),
    ("ltr", 460, "light"),
    ("ltr", 460, "dark"),
    ("ltr", 1280, "light"),
    ("ltr", 1280, "dark"),
)


class Window:
    """One tab for all: a new one costs a second. A page is loaded once for all who look at it one after the other."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        self._shown = ""

    def show(self, address: str, *, width: int = 1280, scheme: Any = "light", motion: Any = "no-preference") -> Tab:
        """Show a page as it was loaded."""
        self._tab.emulate_media(color_scheme=scheme, reduced_motion=motion)
        self._tab.set_viewport_size({"width": width, "height": 800})
        if self._shown != address:
            self._tab.goto(address)
            self._shown = address
        return self._tab

    def take(self) -> Tab:
        """Give the tab to somebody who will change what it shows."""
        self._shown = ""
        self._tab.emulate_media(color_scheme="light", reduced_motion="no-preference")
        self._tab.set_viewport_size({"width": 1280, "height": 800})
        return self._tab


@pytest.fixture(scope="module")
def window(chromium: Browser) -> Iterator[Window]:
    """Own context whose policy is bypassed for axe alone; the policy has its own test."""
    made = chromium.new_context(bypass_csp=True)
    yield Window(made.new_page())
    made.close()


@pytest.fixture
def tab(window: Window) -> Tab:
    """The tab, to be led anywhere."""
    return window.take()


@pytest.fixture(scope="module")
def strict(chromium: Browser) -> Iterator[Tab]:
    """A tab where the policy counts."""
    made = chromium.new_context()
    yield made.new_page()
    made.close()


# Of the module, so that whoever looks at the same page comes one after the other.
@pytest.fixture(
    scope="module",
    params=[pytest.param(each, id=each.name, marks=pytest.mark.xdist_group(f"look-{each.name}")) for each in PAGES],
)
def page(request: pytest.FixtureRequest) -> Page:
    """One page in one state."""
    found: Page = request.param
    return found


def test_gives_every_finger_a_target_of_44_pixels(window: Window, gallery: str, page: Page) -> None:
    for width in WIDTHS:
        assert window.show(f"{gallery}/page/{page.name}/ltr", width=width).evaluate(SMALL_TARGETS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_has_no_violation_that_axe_can_find(window: Window, gallery: str, page: Page, scheme: Any) -> None:
    tab = window.show(f"{gallery}/page/{page.name}/ltr", width=320, scheme=scheme, motion="reduce")
    assert violations(tab) == []


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_fits_every_width_without_sideways_scroll(window: Window, gallery: str, page: Page, direction: str) -> None:
    for width in WIDTHS:
        tab = window.show(f"{gallery}/page/{page.name}/{direction}", width=width)
        assert tab.evaluate(SIDEWAYS) == 0, f"scrolls sideways at {width}"


def test_is_kept_as_pictures_to_be_looked_at(window: Window, gallery: str, shots: Path, page: Page) -> None:
    for direction, width, scheme in VIEWS:
        tab = window.show(f"{gallery}/page/{page.name}/{direction}", width=width, scheme=scheme, motion="reduce")
        picture = shots / f"{page.name}-{direction}-{width}-{scheme}.png"
        tab.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 5_000, "the picture is blank"


def test_lives_under_a_policy_without_inline_anything(strict: Tab, gallery: str, page: Page) -> None:
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    strict.on("console", note)
    strict.goto(f"{gallery}/page/{page.name}/ltr")
    assert (complaints, strict.evaluate(INLINE)) == ([], 0)
    strict.remove_listener("console", note)


def test_zoomed_text_still_fits(tab: Tab, gallery: str, page: Page) -> None:
    """Text at 200% on a 640 px window (WCAG 1.4.4 and 1.4.10 together)."""
    tab.set_viewport_size({"width": 640, "height": 800})
    tab.goto(f"{gallery}/page/{page.name}/ltr")
    tab.evaluate("() => { document.documentElement.style.fontSize = '200%' }")
    assert tab.evaluate(SIDEWAYS) == 0


@pytest.mark.parametrize(
    "name",
    ["login-error", "mfa-error", "recovery-error", "enrol-error", "login-broken"],
)
def test_gives_focus_to_what_went_wrong(tab: Tab, gallery: str, name: str) -> None:
    tab.goto(f"{gallery}/page/{name}/ltr")
    tab.wait_for_function("() => document.activeElement?.id === 'problem'")
    assert tab.get_attribute("#problem", "role") == "alert"


@pytest.mark.parametrize(
    ("name", "field"),
    [("login", "username"), ("mfa", "otp"), ("recovery", "recovery-code")],
)
def test_lets_a_person_type_at_once(tab: Tab, gallery: str, name: str, field: str) -> None:
    tab.goto(f"{gallery}/page/{name}/ltr")
    tab.wait_for_function("id => document.activeElement?.id === id", arg=field)
    assert tab.get_attribute(f"#{field}", "name") == field


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("login", ["A:", "username", "password", "login-submit"]),
        ("login-error", ["username", "password", "login-submit"]),
        ("mfa", ["otp", "mfa-submit", "A:"]),
        ("consent", ["consent-allow", "consent-deny"]),
        ("enrol", ["SUMMARY:", "otp", "enrol-submit"]),
        ("recovery-codes", ["A:", "enrol-done"]),
    ],
)
def test_walks_by_keyboard_in_reading_order(tab: Tab, gallery: str, name: str, order: list[str]) -> None:
    tab.goto(f"{gallery}/page/{name}/ltr")
    # What has the focus by itself gets it when the page is drawn: to be taken away before the walk, not during it.
    first = "[autofocus]"
    tab.wait_for_function("it => !document.querySelector(it) || document.activeElement?.matches(it)", arg=first)
    tab.evaluate("() => { document.activeElement?.blur(); document.body.tabIndex = -1; document.body.focus() }")
    walked = []
    for _ in order:
        tab.keyboard.press("Tab")
        walked.append(tab.evaluate("() => document.activeElement.id || document.activeElement.tagName + ':'"))
    assert walked == order


def test_never_shows_a_typed_password_again(tab: Tab, gallery: str) -> None:
    tab.goto(f"{gallery}/page/login-error/ltr")
    assert tab.input_value("#username") == "ada"
    assert tab.input_value("#password") == ""


@pytest.mark.parametrize("name", ["login-error", "mfa", "recovery", "enrol"])
def test_ties_words_to_their_field(tab: Tab, gallery: str, name: str) -> None:
    tab.goto(f"{gallery}/page/{name}/ltr")
    missing = """() => [...document.querySelectorAll("[aria-describedby]")]
      .flatMap(it => it.getAttribute("aria-describedby").split(" ")).filter(id => !document.getElementById(id))"""
    assert tab.evaluate(missing) == []
