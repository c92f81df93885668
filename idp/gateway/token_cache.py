"""Tokens already verified, and a few already refused. Keys are digests: a dump of the memory map names no token.

Only the verification is remembered. Audience, scopes and roles are looked at for every request, because the answer
depends on the route (attack row GW21: a cache that forgets the audience is a bypass).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from idp.gateway.principal import Principal

LONGEST: Final = 60.0
_REFUSED_SECONDS: Final = 5.0


class TokenCache:
    """A bounded LRU of verified tokens. Reads take no lock: each step is one atomic operation of a dict."""

    def __init__(self, *, size: int = 8_192, refused: int = 1_024) -> None:
        self._size = size
        self._seen: OrderedDict[bytes, tuple[float, int, Principal]] = OrderedDict()
        self._refused_size = refused
        self._refused: OrderedDict[bytes, tuple[float, int, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def get(self, key: bytes, generation: int, now: float) -> Principal | None:
        """Find a token verified with keys of this generation that has not ended since."""
        entry = self._seen.get(key)
        if entry is None:
            return None
        until, verified_with, principal = entry
        # A key has gone since: whatever it signed is looked at again, and refused (attack row GW20).
        if now >= until or verified_with != generation:
            self._seen.pop(key, None)
            return None
        try:
            self._seen.move_to_end(key)
        except KeyError:  # another thread put it out meanwhile; what was verified is still verified
            return principal
        return principal

    def put(self, key: bytes, generation: int, principal: Principal, *, now: float, end: float) -> None:
        """Remember a verified token until it ends, at most a minute."""
        self._seen[key] = (min(end, now + LONGEST), generation, principal)
        while len(self._seen) > self._size:
            self._evict(self._seen)

    def refused(self, key: bytes, version: int, now: float) -> str | None:
        """Find why a token was refused a moment ago, by the same set of keys."""
        entry = self._refused.get(key)
        if entry is None or now >= entry[0] or entry[1] != version:
            return None
        return entry[2]

    def refuse(self, key: bytes, version: int, reason: str, now: float) -> None:
        """Remember a refusal for seconds: enough against a client that repeats itself, too little to matter else."""
        self._refused[key] = (now + _REFUSED_SECONDS, version, reason)
        while len(self._refused) > self._refused_size:
            self._evict(self._refused)

    @staticmethod
    def _evict(entries: OrderedDict[bytes, Any]) -> None:
        try:
            entries.popitem(last=False)
        except KeyError:  # another thread was faster
            return
