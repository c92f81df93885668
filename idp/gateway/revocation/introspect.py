"""Asking about one token when the provider has said nothing for too long (RFC 7662).

Answers are remembered for seconds. That nobody answers is remembered until somebody does: a provider that hangs
costs the first request its wait; from then on one question every few seconds finds out, and no request waits for it.
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

from idp.gateway.client import Credentials
from idp.gateway.fetch import FetchError
from idp.jose.strict import JoseError, loads

SECONDS: Final = 1.0  # for one answer: a request waits for it
_REMEMBERED: Final = 5.0
_PROBE_EVERY: Final = 5.0
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

    def ask(self) -> Future[None]:
        """Ask; if somebody is asking the same already, wait with them."""
        return self._introspector.ask(self._token)


class Introspector:
    """The introspection endpoint of one issuer."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        issuer: str,
        address: Callable[[], str],
        post: Callable[[], Post],
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.away = False  # the last question had no answer
        self._credentials = credentials
        self._issuer = issuer
        self._address = address
        self._post = post
        self._wall = wall
        self._monotonic = monotonic
        self._answers: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()
        self._asking: dict[bytes, Future[None]] = {}
        self._probed = float("-inf")
        self._turn = Lock()
        self._callers = local()
        self._pool: ThreadPoolExecutor | None = None

    def known(self, token: bytes) -> bool | None:
        """Tell whether a token was active a moment ago; None when nobody knows."""
        held = self._answers.get(sha256(token).digest())
        return held[1] if held is not None and self._monotonic() < held[0] else None

    def ask(self, token: bytes, *, probing: bool = False) -> Future[None]:
        """Ask in another thread; then the answer is `known`, or the endpoint `away`."""
        key = sha256(token).digest()
        with self._turn:
            asking = self._asking.get(key)
            if asking is None:
                self._pool = self._pool or ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="introspect")
                asking = self._asking[key] = self._pool.submit(self._answer, key, token, probing)
            return asking

    def probe(self, token: bytes) -> None:
        """Find out, now and then, whether somebody answers again. Nobody waits."""
        with self._turn:
            if self._monotonic() - self._probed < _PROBE_EVERY:
                return
            self._probed = self._monotonic()
        self.ask(token, probing=True)

    def stop(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _answer(self, key: bytes, token: bytes, probing: bool) -> None:  # noqa: FBT001 - handed to a pool
        try:
            if self.away and not probing:
                return  # asked before it was known that nobody answers: others need not wait for that too
            active = self._introspect(token)
        except (FetchError, JoseError):
            self._probed = self._monotonic()
            self.away = True
        else:
            self.away = False
            self._answers[key] = (self._monotonic() + _REMEMBERED, active)
            while len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        finally:
            with self._turn:  # whoever asks has written the question down by now
                self._asking.pop(key, None)

    def _introspect(self, token: bytes) -> bool:
        headers, fields = self._credentials.once(self._issuer, self._wall())
        form = urlencode({"token": token.decode("latin-1"), "token_type_hint": "access_token", **fields})
        if not hasattr(self._callers, "post"):
            self._callers.post = self._post()
        caller: Post = self._callers.post
        said = loads(caller.post(self._address(), form.encode("ascii"), {"Content-Type": _FORM, **headers}))
        return said.get("active") is True
