"""Exchanges at one issuer: kept, asked for once at a time, renewed before they end, given up when revoked."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Final, Protocol

from idp.gateway.exchange.believe import Inbound
from idp.gateway.exchange.cache import Cache
from idp.gateway.exchange.model import Exchange
from idp.gateway.exchange.outcome import Failed, Issued, Outcome, too_many
from idp.gateway.flight import Flight
from idp.gateway.log import Log
from idp.gateway.revocation.revoked import Revoked
from idp.jose.keys import SigningKey

_THREADS: Final = 8
_MOST: Final = 512
_QUIET: Final = 1.0  # when nobody answers, one asks each second and the others are told so at once
_BUSY: Final = Failed(kind="away", reason="too many exchanges are under way", retry_after=1)


Took = Callable[[float, str, str], None]  # told of each question: seconds, route, outcome


def untold(_seconds: float, _route: str, _outcome: str) -> None:
    """Tell nobody."""


class Asks(Protocol):
    """Whoever makes one exchange; see `client`."""

    def exchange(self, inbound: Inbound, wanted: Exchange) -> Outcome:
        """Ask for one token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One token that is wanted."""

    key: bytes
    route: str
    wanted: Exchange
    inbound: Inbound = field(repr=False)


class Exchanger:
    """What the stages of all routes of one issuer share."""

    def __init__(
        self,
        issuer: str,
        asks: Asks,
        *,
        key: SigningKey,
        log: Log,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        revoked: Revoked | None = None,
        took: Took = untold,
    ) -> None:
        self.cache = Cache()
        self.key = key  # to which what comes of a bound token is bound
        self._took = took
        self._issuer = issuer
        self._asks = asks
        self._log = log
        self._wall = wall
        self._monotonic = monotonic
        self._revoked = revoked
        self._flight: Flight[Outcome] = Flight("exchange", threads=_THREADS, most=_MOST)
        self._away: Failed | None = None
        self._quiet_until = float("-inf")
        self._later: dict[str, float] = {}  # by target: until then the provider wants to hear of no exchange

    def find(self, key: bytes, renewal: Callable[[], Job]) -> Outcome | None:
        """Give what is known without waiting. A token near its end is renewed while it still serves."""
        now = self._wall()
        held = self.cache.find(key, now)
        if held is None or isinstance(held, Failed):
            return held
        if self.ended(held.issued):
            self.cache.drop(key)
            return None
        if held.due(now):
            self._begin(renewal(), renewing=True)
        return held.issued

    def ask(self, job: Job) -> Outcome | Future[Outcome]:
        """Ask, or wait with those who have asked for the very same."""
        return self._begin(job, renewing=False)

    def ended(self, issued: Issued) -> bool:
        """Tell whether a token was revoked since it was issued."""
        return self._revoked is not None and self._revoked.covers(issued.marks)

    def sweep(self) -> None:
        """Let go of whatever was revoked: said by the provider a moment ago."""
        if self._revoked is not None and (gone := self.cache.sweep(self._revoked.covers)):
            self._log.event("exchange.evicted", issuer=self._issuer, tokens=gone)

    def silent(self) -> bool:
        """Tell whether nobody answered when last asked."""
        return self._away is not None

    def held_back(self) -> dict[str, float]:
        """Tell for which targets nothing is asked, and for how many seconds more."""
        now = self._monotonic()
        return {audience: until - now for audience, until in sorted(self._later.copy().items()) if until > now}

    def start(self) -> None:
        """Nothing runs until somebody asks."""

    def stop(self) -> None:
        """End the threads."""
        self._flight.stop()

    def _begin(self, job: Job, *, renewing: bool) -> Outcome | Future[Outcome]:
        later, away, now = self._told_later(job.wanted.audience), self._away, self._monotonic()
        if later is not None:
            return later
        if away is not None:
            if now < self._quiet_until:
                return away
            self._quiet_until = now + _QUIET
        trying = away is not None  # whether somebody answers again
        return self._flight.join(job.key, partial(self._work, job, renewing, trying)) or _BUSY

    def _work(self, job: Job, renewing: bool, trying: bool) -> Outcome:  # noqa: FBT001 - handed to a pool
        held = None if renewing else self.cache.find(job.key, self._wall())
        if held is not None:  # asked for and answered while this one was on its way
            return held if isinstance(held, Failed) else held.issued
        later, away = self._told_later(job.wanted.audience), self._away
        if later is not None:
            return later  # begun before that was said
        if away is not None and not trying:
            return away  # begun before it was known that nobody answers: others need not wait for that too
        began = self._monotonic()
        outcome = self._asks.exchange(job.inbound, job.wanted)
        self._took(self._monotonic() - began, job.route, outcome.kind if isinstance(outcome, Failed) else "issued")
        self._remember(job, outcome)
        return outcome

    def _remember(self, job: Job, outcome: Outcome) -> None:
        now = self._wall()
        silent = isinstance(outcome, Failed) and outcome.silent
        self._note(silent=silent, outcome=outcome)
        if isinstance(outcome, Issued):
            self.cache.put(job.key, outcome, ttl=job.wanted.ttl, inbound_ends=job.inbound.ends, now=now)
            return
        if outcome.kind == "too_many":
            self._wait(job.wanted.audience, outcome.retry_after)
            return
        self.cache.fail(job.key, outcome, now)
        if outcome.kind == "misconfigured":
            self._log.event(
                "exchange.alarm", issuer=self._issuer, route=job.route, audience=job.wanted.audience,
                reason=outcome.reason,
            )  # fmt: skip

    def _wait(self, audience: str, seconds: int) -> None:
        """Ask nothing for this target for as long as the provider says.

        Others go on: it may count each target by itself. If it counts all of them together, each is told so once.
        """
        now, until = self._monotonic(), self._later.get(audience, float("-inf"))
        if now >= until:
            self._log.event(
                "exchange.held_back", issuer=self._issuer, audience=audience, reason="too many requests",
                seconds=seconds,
            )  # fmt: skip
        self._later[audience] = max(until, now + seconds)

    def _told_later(self, audience: str) -> Failed | None:
        """Say how long there is to wait, if there is."""
        left = self._later.get(audience, float("-inf")) - self._monotonic()
        return too_many(ceil(left)) if left > 0 else None

    def _note(self, *, silent: bool, outcome: Outcome) -> None:
        """Say once that nobody answers, and once that somebody does again."""
        if silent and isinstance(outcome, Failed):
            if self._away is None:
                self._log.event("exchange.silence", issuer=self._issuer, reason=outcome.reason)
            self._away, self._quiet_until = outcome, self._monotonic() + _QUIET
        elif self._away is not None:
            self._away = None
            self._log.event("exchange.heard_again", issuer=self._issuer)
