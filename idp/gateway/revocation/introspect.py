"""Asking about one token when the provider has said nothing for too long (RFC 7662).

Answers are remembered for seconds, and so is that nobody answers: a provider that hangs costs one request its wait,
not every one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from threading import Lock, local
from typing import Final, Protocol
from urllib.parse import urlencode

from idp.gateway.call import Caller
from idp.gateway.client import Credentials
from idp.gateway.fetch import FetchError
from idp.jose.strict import JoseError, loads

_REMEMBERED: Final = 5.0
_AWAY: Final = 5.0
_MOST: Final = 8_192
_AT_ONCE: Final = 4
_FORM: Final = "application/x-www-form-urlencoded"


class Post(Protocol):
    """One way to ask."""

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> bytes:
        """Send a body and give the answer's."""


class Question:
    """One token to ask about; what a decision waits for."""

    __slots__ = ("_introspector", "_token")

    def __init__(self, introspector: Introspector, token: bytes) -> None:
        self._introspector = introspector
        self._token = token

    def ask(self) -> Future[None] | None:
        """Ask, unless somebody is asking the same already: then wait with them."""
        return self._introspector.ask(self._token)


class Introspector:
    """The introspection endpoint of one issuer."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        issuer: str,
        address: Callable[[], str],
        post: Callable[[], Post] = Caller,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._issuer = issuer
        self._address = address
        self._post = post
        self._wall = wall
        self._monotonic = monotonic
        self._answers: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()
        self._asking: dict[bytes, Future[None]] = {}
        self._away_until = float("-inf")
        self._turn = Lock()
        self._callers = local()
        self._pool: ThreadPoolExecutor | None = None

    def known(self, token: bytes) -> bool | None:
        """Tell whether a token was active a moment ago; None when nobody knows."""
        held = self._answers.get(sha256(token).digest())
        return held[1] if held is not None and self._monotonic() < held[0] else None

    @property
    def away(self) -> bool:
        """Tell whether nobody answered a moment ago."""
        return self._monotonic() < self._away_until

    def ask(self, token: bytes) -> Future[None]:
        """Ask in another thread; the answer is then `known`, or the endpoint `away`."""
        key = sha256(token).digest()
        with self._turn:
            if key in self._asking:
                return self._asking[key]
            self._pool = self._pool or ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="introspect")
            asked = self._asking[key] = self._pool.submit(self._answer, key, token)
            return asked

    def stop(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _answer(self, key: bytes, token: bytes) -> None:
        try:
            active = self._introspect(token)
        except (FetchError, JoseError):
            self._away_until = self._monotonic() + _AWAY
        else:
            self._answers[key] = (self._monotonic() + _REMEMBERED, active)
            while len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        finally:
            self._asking.pop(key, None)

    def _introspect(self, token: bytes) -> bool:
        headers, fields = self._credentials.once(self._issuer, self._wall())
        form = urlencode({"token": token.decode("latin-1"), "token_type_hint": "access_token", **fields})
        if not hasattr(self._callers, "post"):
            self._callers.post = self._post()
        caller: Post = self._callers.post
        said = loads(caller.post(self._address(), form.encode("ascii"), {"Content-Type": _FORM, **headers}))
        return said.get("active") is True
