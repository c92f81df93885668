"""A person at a browser; each step leaves a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyotp
from playwright.sync_api import Page

from tests.journeys.line import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What a person has after setting up the second step."""

    authenticator: pyotp.TOTP
    codes: list[str]


class Walker:
    """Fills in what the pages ask for."""

    def __init__(self, tab: Page, folder: Path) -> None:
        self.tab = tab
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._steps = 0
        self.complaints: list[str] = []
        tab.on("console", lambda message: self._heard(message.type, message.text))

    def _heard(self, kind: str, text: str) -> None:
        # A wrong password is answered 400; that is no fault of the page.
        if kind == "error" and "status of 400" not in text:
            self.complaints.append(text)

    def picture(self, name: str) -> None:
        """Keep what is seen now."""
        self._steps += 1
        self.tab.screenshot(path=self._folder / f"{self._steps:02}-{name}.png", full_page=True)

    def text(self, selector: str) -> str:
        """What stands there."""
        return self.tab.inner_text(selector)

    def arrive(self, line: Line) -> None:
        """Open the app and press its one button."""
        self.tab.goto(line.facts.places.app_url)
        self.picture("orders desk")
        with self.tab.expect_navigation():
            self.tab.click("#sign-in")

    def sign_in(self, username: str, password: str) -> None:
        """Type name and password."""
        self.tab.fill("#username", username)
        self.tab.fill("#password", password)
        self.picture("sign in")
        self.tab.click("#login-submit")

    def enrol(self) -> Enrolled:
        """Set up the second step from the key in words, and keep the recovery codes."""
        self.picture("second step")
        self.tab.click("summary")
        self.picture("second step, key in words")
        authenticator = pyotp.TOTP(re.sub(r"\s", "", self.text(".secret")))
        self.tab.fill("#otp", authenticator.now())
        self.tab.click("#enrol-submit")
        codes = self.tab.locator(".codes li").all_inner_texts()
        self.picture("recovery codes")
        self.tab.click("#enrol-done")
        return Enrolled(authenticator=authenticator, codes=codes)

    def press(self, button: str) -> tuple[str, str]:
        """Press a button of the sample app; give the status and the words that come back."""
        with self.tab.expect_navigation():
            self.tab.click(f"#act-{button}")
        self.picture(button)
        return self.text("#status"), self.text("#answer-words")

    def tried(self) -> dict[str, str]:
        """What the sample app found out after signing out."""
        names, words = self.tab.locator(".list strong"), self.tab.locator(".list small")
        return dict(zip(names.all_inner_texts(), words.all_inner_texts(), strict=True))
