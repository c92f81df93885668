"""What a provider says of itself and the keys it signs with: fetched when needed, kept through failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from idp.federation.upstream import Line, Reach, UpstreamError
from idp.jose.keys import KeySet
from idp.jose.strict import JoseError

DISCOVERY: Final = "/.well-known/openid-configuration"
FRESH: Final = 3_600.0
KEPT: Final = 86_400.0
COOLDOWN: Final = 10.0  # between two fetches: no token can make us ask more often

ENCRYPTED: Final = ("id_token", "userinfo")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The part of a discovery document that we use, each address looked at (OpenID Connect Discovery section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    says_iss: bool
    auth_methods: frozenset[str]
    encrypts: Mapping[str, frozenset[str]]  # by what is encrypted: the algorithms that are offered

    @classmethod
    def parse(cls, document: Mapping[str, object], issuer: str, reach: Reach) -> Metadata:
        """Read the document of this very issuer, byte for byte (OpenID Connect Discovery section 4.3)."""
        if document.get("issuer") != issuer:
            raise UpstreamError("discovery names another issuer")
        return cls(
            issuer=issuer,
            authorization_endpoint=_needed(document, "authorization_endpoint", reach),
            token_endpoint=_needed(document, "token_endpoint", reach),
            jwks_uri=_needed(document, "jwks_uri", reach),
            userinfo_endpoint=_maybe(document, "userinfo_endpoint", reach),
            end_session_endpoint=_maybe(document, "end_session_endpoint", reach),
            says_iss=document.get("authorization_response_iss_parameter_supported") is True,
            auth_methods=_words(document, "token_endpoint_auth_methods_supported"),
            encrypts={name: _words(document, f"{name}_encryption_alg_values_supported") for name in ENCRYPTED},
        )


def _words(document: Mapping[str, object], name: str) -> frozenset[str]:
    listed = document.get(name)
    return frozenset(str(each) for each in listed) if isinstance(listed, list) else frozenset()


def _needed(document: Mapping[str, object], name: str, reach: Reach) -> str:
    found = _maybe(document, name, reach)
    if found is None:
        raise UpstreamError(f"discovery names no {name}")
    return found


def _maybe(document: Mapping[str, object], name: str, reach: Reach) -> str | None:
    address = document.get(name)
    if address is None:
        return None
    if not isinstance(address, str) or not reach.sound(address):
        raise UpstreamError(f"discovery names an address that may not be asked: {name}")
    return address


class Kept(Generic[T]):
    """One document, fetched by one at a time; while it is fetched others go on with the last one."""

    def __init__(self, fetch: Callable[[Line], T], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._held: tuple[T, float] | None = None
        self._tried = float("-inf")

    def get(self, line: Line) -> T:
        """Return the document, fetched anew after an hour; an old one bridges a failure for a day."""
        held = self._held
        if held is not None and self._monotonic() - held[1] < FRESH:
            return held[0]
        return self._renewed(line, before=held)

    def newer(self, line: Line) -> T | None:
        """Fetch again because something unknown was named. None: somebody did so a moment ago."""
        if self._monotonic() - self._tried < COOLDOWN:
            return None
        return self._renewed(line, before=self._held)

    def _renewed(self, line: Line, *, before: tuple[T, float] | None) -> T:
        if not self._turn.acquire(timeout=line.left()):
            raise UpstreamError("time is up")
        try:
            held, now = self._held, self._monotonic()
            if held is not None and held is not before:
                return held[0]  # somebody else has just fetched it
            if held is not None and now - self._tried < COOLDOWN:
                return held[0]
            self._tried = now
            try:
                found = self._fetch(line)
            except UpstreamError:
                if held is not None and now - held[1] < KEPT:
                    return held[0]
                raise
            self._held = (found, now)
            return found
        finally:
            self._turn.release()


def keys_at(line: Line, uri: str) -> KeySet:
    """Fetch a key set; one in which no key can be used counts as none."""
    try:
        return KeySet.from_remote(line.get(uri))
    except JoseError as wrong:
        raise UpstreamError(wrong.reason) from None
