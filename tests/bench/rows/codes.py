"""Code with PKCE, session and consent present: authorize, code, token; one piece of work is all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode, urljoin

import requests

from tests.bench import rivals
from tests.bench.contest import Outcome, Pace, Reach, Sample, alternate
from tests.bench.rivals import Rival
from tests.bench.stage import AUTHORIZE, FORM, REDIRECT, VERIFIER, Stage, set_up, signed_in
from tests.fixtures.clients import App
from tests.services.provider import session

STEPS = 10


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Let both give codes and tokens."""
    with ExitStack() as stack:
        ours = set_up(folder / "ours")
        stack.callback(ours.provider.stop)
        node = stack.enter_context(rivals.node(folder))
        taken = alternate({"ours": _ours(ours), "node": _node(node)}, pace)
    yield Outcome(
        label="granian / Node",
        work="code + PKCE: authorize -> code -> tokens (ES256 access, RS256 ID), granian, one worker, SQLite",
        rival="npm oidc-provider, one process, in memory",
        reach=Reach(limit=1.0),
        unit="codes/s",
        ours=taken["ours"],
        theirs=taken["node"],
    )


class Codes:
    """Rounds at one contestant, in which one browser is signed in."""

    def __init__(self, who: Stage | Rival, cookie: str, *, path: str, app: App) -> None:
        self._who = who
        form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        self._plan: dict[str, object] = {
            "redirect": REDIRECT,
            "authorize": f"{path}?{urlencode({**AUTHORIZE, 'client_id': app.client_id})}",
            "cookie": cookie,
            "headers": {**FORM, **app.basic},
            "body": urlencode(form),
        }

    def __call__(self, seconds: float) -> Sample:
        return self._who.load("code", self._plan, seconds)


def _ours(stage: Stage) -> Codes:
    return Codes(stage, signed_in(stage), path="/authorize", app=stage.web_app)


def _node(rival: Rival) -> Codes:
    """Walk the rival's sign-in once, as a browser, and keep its cookies."""
    browser = session()
    target = f"{rival.url}/auth?{urlencode({**AUTHORIZE, 'client_id': rival.web_app.client_id})}"
    for _ in range(STEPS):
        answer = browser.get(target, allow_redirects=False, timeout=10)
        target = urljoin(target, answer.headers.get("Location", ""))
        if target.startswith(REDIRECT):
            return Codes(rival, _kept(browser), path="/auth", app=rival.web_app)
    raise RuntimeError(f"no session at the rival: {answer.status_code} {answer.text[:300]}")


def _kept(browser: requests.Session) -> str:
    """Give the cookies for the whole site; those of one interaction have paths of their own."""
    return "; ".join(f"{each.name}={each.value}" for each in browser.cookies if each.path == "/")
