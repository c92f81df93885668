"""A provider that tells what counts no longer, without a network: RFC 8936 over a list."""

from __future__ import annotations

import json
import time
from itertools import count
from urllib.parse import parse_qs

from idp.gateway.fetch import FetchError
from idp.jose.keys import SigningKey
from idp.jose.sign import sign
from idp.protocol import security_event
from idp.protocol.security_event import Ended

ISSUER = "https://id.example"
GATEWAY = "orders-gateway"


class Stream:
    """Says what it is told to, keeps what is not acknowledged, and can be away."""

    def __init__(self, key: SigningKey, *, wall=time.time, issuer: str = ISSUER) -> None:
        self.key = key
        self.issuer = issuer
        self.wall = wall
        self.away = False
        self.answer: bytes | None = None  # instead of the true one
        self.typ = "secevent+jwt"
        self.changed: dict[str, object] = {}
        self.events: list[tuple[str, Ended, str]] = []
        self.streams: dict[str, list[str]] = {}
        self.polls: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.errors: dict[str, object] = {}
        self.active: bool | None = True  # what introspection says; None: it does not answer
        self.asked: list[str] = []
        self.happened: float | None = None
        self._ids = count(1)

    def end(self, kind, *ids, not_before=None, until=None, reason="test") -> None:
        """Tell that something is over."""
        name = f"event-{next(self._ids)}"
        ended = Ended(kind=kind, ids=ids, not_before=not_before, until=until or int(self.wall()) + 600)
        self.events.append((name, ended, reason))
        for waiting in self.streams.values():
            waiting.append(name)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> bytes:
        """Answer the gateway."""
        self.headers.append(dict(headers))
        if url.endswith("/introspect"):
            return self._introspect(body)
        if self.away:
            raise FetchError("issuer cannot be reached")
        if self.answer is not None:
            return self.answer
        address, _, query = url.partition("?")
        assert address == f"{self.issuer}/events"
        (name,) = parse_qs(query)["stream"]
        question = json.loads(body)
        self.polls.append(question)
        waiting = self.streams.setdefault(name, [event for event, _, _ in self.events])
        self.errors.update(question.get("setErrs", {}))
        gone = {*question["ack"], *question.get("setErrs", {})}
        waiting[:] = [event for event in waiting if event not in gone]
        most = question["maxEvents"]
        sets = {event: self._set(event) for event in waiting[:most]}
        return json.dumps({"sets": sets, "moreAvailable": len(waiting) > most}).encode()

    def _introspect(self, body: bytes) -> bytes:
        self.asked.append(parse_qs(body.decode())["token"][0])
        if self.active is None:
            raise FetchError("issuer cannot be reached")
        return json.dumps({"active": self.active}).encode()

    def _set(self, name: str) -> str:
        ended, reason = next((ended, reason) for event, ended, reason in self.events if event == name)
        now = int(self.wall())
        happened = self.happened if self.happened is not None else now
        claims = security_event.claims(
            ended, jti=name, issuer=self.issuer, audience=GATEWAY, issued_at=now, happened_at=happened, reason=reason
        )
        return sign({**claims, **self.changed}, self.key, typ=self.typ)
