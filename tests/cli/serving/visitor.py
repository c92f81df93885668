"""A person who signs in over the wire. Cookies are kept by hand: they are Secure, and loopback may be plain http."""

from __future__ import annotations

from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from tests.fixtures.browser import CHALLENGE, NONCE, STATE, VERIFIER
from tests.fixtures.clients import App
from tests.fixtures.markup import Page
from tests.fixtures.people import Person
from tests.services.provider import Provider, session

STEPS = 10


class Visitor:
    """Follows redirects, signs in, agrees, and stops where the way leads out."""

    def __init__(self, provider: Provider, person: Person, password: str | None = None) -> None:
        self._provider, self._http = provider, session()
        self._typed = {"username": person.username, "password": password or person.password}
        self.cookies: dict[str, str] = {}

    def code(self, app: App, **more: str) -> str:
        """Walk the whole way and return the code."""
        asked = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "response_type": "code"}
        asked |= {"scope": "openid offline_access", "state": STATE, "nonce": NONCE}
        asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"} | more
        at = self._provider.url("/authorize")
        response = self._ask("GET", at, params=asked)
        for _ in range(STEPS):
            at = urljoin(at, response.headers.get("Location", at))
            if at.startswith(f"{app.redirect_uri}?"):
                return parse_qs(urlsplit(at).query)["code"][0]
            if response.is_redirect:
                response = self._ask("GET", at)
                continue
            assert response.ok, response.text
            form = Page(response.text).forms[0]
            fields = {**form.fields, **form.buttons, **{k: v for k, v in self._typed.items() if k in form.fields}}
            fields.pop("consent-deny", None)
            response = self._ask("POST", urljoin(at, form.action), data=fields)
        raise AssertionError("the sign-in does not end")

    def redeem(self, app: App, code: str, **more: str) -> requests.Response:
        """Ask for the tokens of a code."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": app.redirect_uri}
        form |= {"code_verifier": VERIFIER} | more
        return self._http.post(self._provider.url("/token"), data=form, headers=app.basic, timeout=20)

    def _ask(self, method: str, url: str, **more: dict[str, str]) -> requests.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = self._http.request(
            method, url, headers={"Cookie": cookie}, allow_redirects=False, timeout=20, **more
        )
        self.cookies |= response.cookies.get_dict()
        self._http.cookies.clear()
        return response
