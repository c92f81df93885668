"""Proofs that this process has seen: each counts once, until it is too old anyway (RFC 9449 section 11.1)."""

from __future__ import annotations

from threading import Lock
from typing import Final

_SPAN: Final = 30  # seconds: proofs are forgotten together with all that end in the same span
_MOST: Final = 500_000  # some 50 MB
_OCTETS: Final = 16


class Seen:
    """A bounded memory. When it is full nobody is forgotten: what cannot be remembered is not let through."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._turn = Lock()
        self._held = 0
        self._ending: dict[int, set[bytes]] = {}

    def claim(self, key: str, *, ends: float, now: float) -> bool | None:
        """Use a proof up: True once, then False. None: there is no room to remember it."""
        name, span = bytes.fromhex(key)[:_OCTETS], int(ends // _SPAN)
        with self._turn:
            self._forget(int(now // _SPAN))
            seen = self._ending.setdefault(span, set())
            if name in seen:
                return False
            if self._held >= self._most:
                return None
            seen.add(name)
            self._held += 1
            return True

    def _forget(self, present: int) -> None:
        for span in [span for span in self._ending if span < present]:
            self._held -= len(self._ending.pop(span))

    def __len__(self) -> int:
        return self._held
