"""Access tokens that say nothing by themselves: the issuer is asked once what they mean.

The answer is kept: for a minute where revocations are heard, for seconds where they are not. While the provider is
away, what was known goes on to serve until it ends, and what was not is a 503. From then on a reference is judged as
any token is, and the server behind never sees it.

Anybody can make references up, and each costs the issuer an answer. So what has not the shape of one is not asked
about; one address has a few questions under way at once; and what is known already is asked about in a lane of its own,
which nobody can fill with what is made up.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from hashlib import sha256
from typing import Any, Final, Protocol

from idp.gateway.fetch import FetchError
from idp.gateway.flight import Flight
from idp.gateway.limits.callers import caller
from idp.gateway.log import Log
from idp.gateway.policy.facts import Facts
from idp.gateway.principal import Principal
from idp.gateway.request import Asks
from idp.gateway.revocation.doubt import InDoubt
from idp.gateway.revocation.revoked import Revoked
from idp.jose.strict import JoseError

_SHAPE: Final = re.compile(rb"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")  # 256 bits in base64url, and none beside them
_HEARD_SECONDS: Final = 60.0  # how long an answer counts where revocations are heard
_UNHEARD_SECONDS: Final = 10.0
_RENEWED_AT: Final = 0.75
_REFUSED_SECONDS: Final = 5.0
_QUIET: Final = 1.0
_MOST: Final = 8_192
_MOST_REFUSED: Final = 1_024
_THREADS: Final = 8
_MOST_ASKED: Final = 512
_PLACE: Final = caller("ip")
_SHARE: Final = 32  # of one address; four rounds of the threads
_RENEWERS: Final = 2


class Tells(Protocol):
    """Whoever says what a token means; see `signed_introspection`."""

    def state(self, token: bytes) -> Mapping[str, object] | None:
        """Give what it says, or None when it counts no longer. Raises FetchError and JoseError."""


class Inactive(Exception):
    """The issuer says that the token counts no longer, or never did."""


class Question:
    """One token to ask about; what a decision waits for."""

    __slots__ = ("_begun", "_references", "_token")

    def __init__(self, references: References, token: bytes, begun: Future[None] | None = None) -> None:
        self._references = references
        self._token = token
        self._begun = begun  # asked already, and perhaps answered or given up by now

    def ask(self, who: str = "") -> Future[None] | None:
        """Ask, or wait with those who do; None when there is nobody to ask, or `who` asks too much."""
        return self._begun or self._references.ask(self._token, who)


class _Known:
    """What a token means."""

    __slots__ = ("ends", "fresh_until", "principal", "renew_at")

    def __init__(self, principal: Principal, *, now: float, fresh: float, ends: float) -> None:
        self.principal = principal
        self.fresh_until = now + fresh
        self.renew_at = now + fresh * _RENEWED_AT
        self.ends = ends


class References:
    """The reference tokens of one issuer."""

    def __init__(
        self,
        issuer: str,
        endpoint: Tells,
        *,
        log: Log,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        revoked: Revoked | None,
    ) -> None:
        self._issuer = issuer
        self._endpoint = endpoint
        self._log = log
        self._wall = wall
        self._monotonic = monotonic
        self._revoked = revoked
        self._fresh = _UNHEARD_SECONDS if revoked is None else _HEARD_SECONDS
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._first: Flight[None] = Flight("references", threads=_THREADS, most=_MOST_ASKED, share=_SHARE)
        self._again: Flight[None] = Flight("renewals", threads=_RENEWERS, most=_MOST)
        self._away = False
        self._quiet_until = float("-inf")

    def __len__(self) -> int:
        return len(self._known)

    def read(self, token: bytes, now: float) -> Principal:
        """Say whose a token is. Inactive when it is nobody's, InDoubt when it has to be asked about."""
        if _SHAPE.fullmatch(token) is None:
            raise Inactive
        key = sha256(token).digest()
        known = self._known.get(key)
        if known is not None and now < known.ends:
            if now < known.renew_at:
                return known.principal
            away = self._away
            begun = self.ask(token)
            # Near its end it is asked about in the background; after it, whoever comes waits, if anybody answers.
            # Too many questions are no silence: what has ended must not go on to count because of them.
            if now < known.fresh_until or away:
                return known.principal
            raise InDoubt(Question(self, token, begun))
        if self._refused.get(key, 0.0) > now:
            raise Inactive
        raise InDoubt(Question(self, token))

    def ask(self, token: bytes, who: str = "") -> Future[None] | None:
        """Ask in another thread, once for all who want to know; None when nobody answers, or too much is asked."""
        trying, now = self._away, self._monotonic()
        if trying:
            if now < self._quiet_until:
                return None
            self._quiet_until = now + _QUIET
        key = sha256(token).digest()
        lane = self._again if key in self._known else self._first
        return lane.join(key, partial(self._work, key, token, trying), who if lane is self._first else "")

    def sweep(self) -> None:
        """Let go of whatever was revoked a moment ago."""
        for key, known in list(self._known.items()):
            if self._ended(known.principal):
                self._known.pop(key, None)

    def start(self) -> None:
        """Nothing runs until somebody asks."""

    def stop(self) -> None:
        """End the threads."""
        self._first.stop()
        self._again.stop()

    def _work(self, key: bytes, token: bytes, trying: bool) -> None:  # noqa: FBT001 - handed to a pool
        known, now = self._known.get(key), self._wall()
        if known is not None and now < min(known.renew_at, known.ends):
            return  # asked for and answered while this one was on its way
        if self._away and not trying:
            return  # begun before it was known that nobody answers: others need not wait for that too
        try:
            told = self._endpoint.state(token)
            principal = None if told is None else Principal(told, payload=json.dumps(told).encode("utf-8"))
        except (FetchError, JoseError) as wrong:
            self._failed(wrong.reason)
            return
        if self._away:
            self._away = False
            self._log.event("references.heard_again", issuer=self._issuer)
        self._take(key, principal)

    def _failed(self, reason: str) -> None:
        if not self._away:
            self._log.event("references.silence", issuer=self._issuer, reason=reason)
        self._away, self._quiet_until = True, self._monotonic() + _QUIET

    def _take(self, key: bytes, principal: Principal | None) -> None:
        now = self._wall()
        # It may have been revoked while the answer was on its way.
        if principal is None or self._ended(principal):
            self._known.pop(key, None)
            self._refused[key] = now + _REFUSED_SECONDS
            _bound(self._refused, _MOST_REFUSED)
            return
        ends = float(str(principal.claims["exp"]))
        self._known[key] = _Known(principal, now=now, fresh=self._fresh, ends=ends)
        _bound(self._known, _MOST)

    def _ended(self, principal: Principal) -> bool:
        return self._revoked is not None and self._revoked.covers(principal.marks)


def _bound(entries: OrderedDict[bytes, Any], most: int) -> None:
    while len(entries) > most:
        try:
            entries.popitem(last=False)
        except KeyError:  # another thread was faster
            return


def ask(asks: Asks, facts: Facts | None) -> Future[None] | None:
    """Ask what a decision wants to know; of questions that anybody can make up, each address has a share."""
    if facts is None or not isinstance(asks, Question):
        return asks.ask()
    return asks.ask(_PLACE(facts, None))
