"""A gate without a network for tests of the policy: TOML in, requests in, decisions out."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from typing import Any

from idp.gateway.decide import Gate
from idp.gateway.load import parse
from idp.gateway.request import Decision, Request
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import Issuer
from tests.gateway.policy.reference import Ask

ISSUER = "https://idp.example"
AUDIENCE = "https://api.example"
HEAD = f"""version = 1
[issuers.main]
issuer = "{ISSUER}"
jwks = {{ uri = "{ISSUER}/jwks" }}
"""
NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC).timestamp()  # a Monday


def route(*lines: str, name: str = "r", method: str = '["GET"]', path: str = "/users/{uid}", tail: str = "") -> str:
    """Write a route; lines are fields beside the necessary ones."""
    return "\n".join([
        "[[routes]]",
        f'id = "{name}"',
        f'match = {{ method = {method}, path = "{path}" }}',
        f'audience = "{AUDIENCE}"',
        'upstream = "http://127.0.0.1:9"',
        *lines,
        *([] if any("limit = " in line for line in lines) else ["limit = []"]),
        tail,
    ])  # fmt: skip


def file(*routes: str, top: str = "") -> str:
    """Write a whole file."""
    return top + "\n" + HEAD + "\n".join(routes) + "\n"


class Ground:
    """One policy and one moment."""

    def __init__(self, text: str, *, now: float = NOW) -> None:
        self.issuer = Issuer()
        self.issuer.issuer = ISSUER
        self.log = Log()
        self.wall = Clock(now)
        fetch = Fetcher({ISSUER + "/jwks": self.issuer.jwks()})
        self.gate = Gate(parse(text), log=self.log, fetch=fetch, wall=self.wall, monotonic=Clock())
        self.gate.sources["main"].refresh()

    def ask(self, ask: Ask | None = None, **claims: object) -> Decision:
        """Ask with a sound token that says what it is told to say."""
        ask = ask or Ask(path="/users/alice", now=self.wall.now)
        now = int(ask.now)
        told = {"aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300, "scope": "", "roles": []} | claims
        headers = [(b"authorization", b"Bearer " + self.issuer.token(**told).encode())]
        headers += [(b"x-forwarded-for", hop.encode()) for hop in ask.forwarded]
        self.wall.now = ask.now
        return self.gate.decide_now(
            Request(method=ask.method, target=ask.path.encode(), host=ask.host.encode(), headers=headers, peer=ask.peer)
        )


def said(decision: Decision) -> tuple[int, str]:
    """Give status and error code."""
    return decision.status, decision.refusal.error if decision.refusal else ""


def challenge(decision: Decision) -> str:
    """Give the WWW-Authenticate header."""
    return dict(decision.answer()[1]).get(b"www-authenticate", b"").decode()


def toml(value: Any) -> str:
    """Write a value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else json.dumps(value)


def document(text: str) -> dict[str, Any]:
    """Read the file as the reference does."""
    return tomllib.loads(text)
