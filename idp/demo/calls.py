"""The calls behind the sample app's buttons, each kept as one answer to be shown."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from authlib.common.errors import AuthlibBaseError
from requests import RequestException

from idp.demo.visits import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import Response

    from idp.demo.facts import Facts
    from idp.demo.relying_party import RelyingParty, Tokens
    from idp.demo.visits import Visit

OK, BAD_REQUEST, UNAUTHORIZED = 200, 400, 401
TOO_LONG = 4_000
PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')


class TooWeak(Exception):
    """The API asks for a stronger or newer sign-in than the token's (RFC 9470 section 3)."""

    def __init__(self, wanted: Mapping[str, str], refused: Answer) -> None:
        super().__init__("a stronger sign-in is needed")
        self.wanted = wanted
        self.refused = refused


class Calls:
    """What a signed-in person can try."""

    def __init__(self, facts: Facts, party: RelyingParty) -> None:
        self._facts = facts
        self._party = party

    def read(self, visit: Visit) -> None:
        """Read the orders through the gateway."""
        self._guarded(visit, "GET", self._facts.guarded_url)

    def order(self, visit: Visit) -> None:
        """Place an order through the gateway."""
        order = {"item": "Signal flag, letter Q", "pieces": 1}
        self._guarded(visit, "POST", self._facts.guarded_url, order)

    def approve(self, visit: Visit) -> None:
        """Approve an order through the gateway, which asks for a second step."""
        self._guarded(visit, "POST", self._facts.approve_url)

    def greet(self, visit: Visit) -> None:
        """Learn the name to greet by: userinfo has it, the ID token of a code flow does not (Core section 5.4)."""
        visit.tokens, visit.profile_token, said = self._party.profile(_tokens(visit))
        person = said.json() if said.ok else {}
        visit.name = str(person.get("name") or person.get("preferred_username", ""))

    def profile(self, visit: Visit) -> None:
        """Ask userinfo who this is."""
        visit.tokens, visit.profile_token, said = self._party.profile(_tokens(visit))
        visit.answer = _shown(f"GET {self._facts.places.issuer}/userinfo", said, "Gatehouse says who you are.")

    def refresh(self, visit: Visit) -> None:
        """Trade the refresh token for new tokens."""
        visit.tokens = self._party.refresh(_tokens(visit))
        visit.answer = Answer(
            call=f"POST {self._facts.places.issuer}/token",
            status=OK,
            good=True,
            words="New tokens, without asking you again. The old refresh token is used up.",
        )

    def try_again(self, tokens: Tokens, profile_token: str | None) -> list[Answer]:
        """Try, after signing out, everything that worked before."""
        trials: list[tuple[str, Callable[[], Answer]]] = [
            ("Refresh token", lambda: self._try_refresh(tokens)),
            ("Introspection", lambda: self._try_introspection(tokens)),
            ("Userinfo", lambda: self._try_userinfo(profile_token or "")),
            ("Gateway", lambda: self._try_gateway(tokens)),
        ]
        return [_tried(name, trial) for name, trial in trials]

    @staticmethod
    def refusal(refused: Exception) -> str:
        """Say in words why a button could not do its work."""
        if isinstance(refused, AuthlibBaseError):
            return f"Gatehouse refused ({refused.error}). You may have been signed out meanwhile: sign in again."
        return "No answer came. Is everything still running?"

    def _guarded(self, visit: Visit, method: str, url: str, json: Mapping[str, object] | None = None) -> None:
        said = self._party.call(method, url, _tokens(visit).access, json)
        shown = _shown(f"{method} {url}", said, "The gateway let it through.")
        wanted = _challenge(said)
        if wanted is not None:
            raise TooWeak(wanted, shown)
        visit.answer = shown

    def _try_refresh(self, tokens: Tokens) -> Answer:
        try:
            self._party.refresh(tokens)
        except AuthlibBaseError as refused:
            return Answer(call="", status=BAD_REQUEST, good=True, words=f"Refused: {refused.error}.")
        return Answer(call="", status=OK, good=False, words="It still works.")

    def _try_userinfo(self, token: str) -> Answer:
        said = self._party.userinfo(token)
        refused = said.status_code == UNAUTHORIZED
        text = "Refused: the token is worth nothing any more." if refused else "It still answers."
        return Answer(call="", status=said.status_code, good=refused, words=text)

    def _try_introspection(self, tokens: Tokens) -> Answer:
        said = self._party.introspect(tokens.access)
        alive = said.status_code != OK or said.json().get("active") is not False
        text = "Gatehouse says it is alive." if alive else "Gatehouse says it is dead: active is false."
        return Answer(call="", status=said.status_code, good=not alive, words=text)

    def _try_gateway(self, tokens: Tokens) -> Answer:
        said = self._party.call("GET", self._facts.guarded_url, tokens.access)
        if said.status_code != OK:
            return Answer(call="", status=said.status_code, good=True, words="Refused: the token has ended.")
        ends = time.strftime("%H:%M:%S", time.localtime(tokens.expires_at))
        text = f"Lets the access token through until it ends, at {ends}: a gateway checks it without asking back."
        return Answer(call="", status=OK, good=True, later=True, words=text)


def _challenge(said: Response) -> Mapping[str, str] | None:
    """Read what sign-in would be enough, where the answer says that this one is not (RFC 9470 section 3)."""
    if said.status_code != UNAUTHORIZED:
        return None
    told = dict(PARAMETER.findall(said.headers.get("WWW-Authenticate", "")))
    if told.get("error") != "insufficient_user_authentication":
        return None
    return {name: told[name] for name in ("acr_values", "max_age") if name in told}


def _tokens(visit: Visit) -> Tokens:
    if visit.tokens is None:
        raise LookupError("nobody is signed in")
    return visit.tokens


def _tried(name: str, trial: Callable[[], Answer]) -> Answer:
    try:
        return replace(trial(), call=name)
    except RequestException:
        return Answer(call=name, status=0, good=False, words="No answer came.")


def _shown(call: str, said: Response, words: str) -> Answer:
    reason = said.headers.get("WWW-Authenticate", "")
    text = words if said.ok else (f"Refused: {reason}" if reason else "Refused.")
    return Answer(call=call, status=said.status_code, good=said.ok, words=text, body=_body(said))


def _body(said: Response) -> str:
    try:
        text = json.dumps(said.json(), indent=2, ensure_ascii=False)
    except ValueError:
        text = said.text
    return text[:TOO_LONG]
