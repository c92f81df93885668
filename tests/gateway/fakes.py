"""Clocks, logs and issuers that do as they are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from idp.gateway.fetch import Fetched, FetchError


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        self.decisions: list[dict[str, Any]] = []

    def event(self, name: str, **facts: object) -> None:
        self.events.append((name, facts))

    def record(self, write: Callable[..., str], *facts: object) -> None:
        self.decisions.append(json.loads(write(*facts)))

    def named(self, name: str) -> list[dict[str, object]]:
        return [facts for each, facts in self.events if each == name]


class Fetcher:
    """An issuer without a network."""

    def __init__(self, answers: dict[str, bytes | None]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str | None]] = []
        self.down = False
        self.etag: str | None = None
        self.max_age: float | None = None
        self.date: float | None = None

    def __call__(self, url: str, etag: str | None) -> Fetched:
        self.asked.append((url, etag))
        if self.down:
            raise FetchError("issuer cannot be reached")
        body = self.answers[url]
        if etag is not None and etag == self.etag:
            body = None
        return Fetched(body=body, etag=self.etag, max_age=self.max_age, date=self.date)
