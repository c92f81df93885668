"""Token in, principal out. Whatever cannot be believed is an exception, and none of them lets anybody in."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Final

from idp.gateway.config import IssuerConfig
from idp.gateway.exchange.exchanger import Exchanger
from idp.gateway.jwks import KeySource
from idp.gateway.principal import Principal
from idp.gateway.reference import Inactive, References
from idp.gateway.revocation.feed import Feed
from idp.gateway.snapshot import Snapshot
from idp.gateway.token_cache import TokenCache
from idp.jose.access_token import verify_access_token
from idp.jose.keys import UnknownKey
from idp.jose.strict import MAX_TOKEN, JoseError, b64decode, split

# These end by themselves: to remember such a refusal would outlast its reason.
_PASSING: Final = frozenset({"token is not valid yet", "token is from the future"})


class Refused(Exception):
    """The token is not valid. `reason` is constant and for the log; the client hears one text for all."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeyUnknown(Refused):
    """No key fits: a newer set might have it."""


class Unavailable(Exception):
    """There are no keys young enough to judge by: that is our trouble, not the token's."""


class Verifier:
    """Tokens of one issuer."""

    def __init__(
        self,
        config: IssuerConfig,
        source: KeySource,
        cache: TokenCache,
        *,
        monotonic: Callable[[], float],
        feed: Feed | None = None,
        exchanger: Exchanger | None = None,
        references: References | None = None,
    ) -> None:
        self.source = source
        self._references = references  # who knows what a token means that is none of ours to read
        self.exchanger = exchanger  # who swaps its tokens for others, where the gateway may
        self.feed = feed  # what counts no longer; asked for every request, after the verification
        self._config = config
        self._cache = cache
        self._monotonic = monotonic
        # Part of the cache key: two issuers never share an entry (attack row GW21).
        self._salt = b"\0" + config.issuer.encode()

    def verify(self, token: bytes, now: float) -> tuple[Principal, bool]:
        """Give the principal, and whether the token had been verified before."""
        if self._references is not None and b"." not in token:
            return self._referred(self._references, token, now), True
        snapshot = self.source.snapshot
        if snapshot is None or self._monotonic() >= snapshot.stale:
            raise Unavailable
        key = sha256(token + self._salt).digest()
        principal = self._cache.get(key, snapshot.generation, now)
        if principal is not None:
            return principal, True
        return self._verify(token, key, snapshot, now), False

    def _referred(self, references: References, token: bytes, now: float) -> Principal:
        try:
            return references.read(token, now)
        except Inactive:
            raise Refused("reference is not active") from None

    def _verify(self, token: bytes, key: bytes, snapshot: Snapshot, now: float) -> Principal:
        if len(token) > MAX_TOKEN:
            raise Refused("token is too long")
        known = self._cache.refused(key, snapshot.version, now)
        if known is not None:
            raise Refused(known)
        try:
            principal, end = self._read(token, snapshot, now)
        except UnknownKey as unknown:
            raise KeyUnknown(unknown.reason) from None
        except JoseError as wrong:
            if wrong.reason not in _PASSING:
                self._cache.refuse(key, snapshot.version, wrong.reason, now)
            raise Refused(wrong.reason) from None
        self._cache.put(key, snapshot.generation, principal, now=now, end=end)
        return principal

    def _read(self, token: bytes, snapshot: Snapshot, now: float) -> tuple[Principal, float]:
        """Verify, and say until when it holds."""
        text = token.decode("latin-1")  # not ASCII: `split` says so
        claims = verify_access_token(
            text,
            snapshot.keys,
            issuer=self._config.issuer,
            audiences=None,  # per route, for every request
            algs=self._config.algs,
            now=now,
            leeway=self._config.leeway,
        )
        header, payload, _ = text.split(".")
        end = float(str(claims["exp"])) + self._config.leeway
        return Principal(claims, kid=_kid(header), payload=b64decode(payload.encode("ascii"))), end


@lru_cache(maxsize=64)
def _kid(header: str) -> str:
    """Read the key's name out of the header of a verified token; tokens of one key share one header."""
    return str(split(f"{header}.e30.e30").header.get("kid", ""))
