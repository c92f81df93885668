"""Passwords: argon2id, behind a bounded pool. The only door to argon2.

Passwords are taken exactly as received: nothing cut, folded or normalised (ASVS 5.0 section 6.2.8).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from idp.accounts.rules import too_long
from idp.protocol.errors import InvalidRequest, TemporarilyUnavailable
from idp.settings import Settings
from idp.store.digests import new_secret

MAX_WAIT = 2.0  # seconds a sign-in may queue for a core before it is told to come back


class HashingBusy(TemporarilyUnavailable):
    """Every core is hashing and the queue is full of waiting: come back in `retry_after` seconds."""

    retry_after: ClassVar[int] = 2


class PasswordTooLong(InvalidRequest):
    """The password is beyond what is hashed; refused before any work (ASVS 5.0 section 6.2.9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one argon2id hash costs."""

    memory_kib: int
    time_cost: int
    parallelism: int


OWASP = Cost(memory_kib=19_456, time_cost=2, parallelism=1)  # ASVS 5.0 appendix C, 20 ms
STRONG = Cost(memory_kib=65_536, time_cost=3, parallelism=1)  # RFC 9106 section 4, second choice of memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of checking a password."""

    accepted: bool
    needs_rehash: bool = False


class Passwords:
    """Hashes and checks passwords at one cost, at most one a core at a time."""

    def __init__(self, cost: Cost = OWASP, *, slots: int | None = None, max_wait: float = MAX_WAIT) -> None:
        self._hasher = PasswordHasher(
            memory_cost=cost.memory_kib, time_cost=cost.time_cost, parallelism=cost.parallelism, type=Type.ID
        )
        # argon2 releases the GIL, so a slot is a core; more would only fill the memory.
        self._cores = os.sched_getaffinity(0)
        self._slots = threading.BoundedSemaphore(slots or len(self._cores))
        self._max_wait = max_wait
        self._dummy = self._hasher.hash(new_secret())

    @classmethod
    def from_settings(cls, settings: Settings) -> Passwords:
        """Hash at the cost that the operator chose."""
        return cls(
            Cost(
                memory_kib=settings.argon2_memory_kib,
                time_cost=settings.argon2_time_cost,
                parallelism=settings.argon2_parallelism,
            )
        )

    def hash(self, password: str) -> str:
        """Return the hash of a new password."""
        secret = _bytes(password)
        with self._slot():
            return self._hasher.hash(secret)

    def verify(self, stored: str | None, password: str) -> Verdict:
        """Check a password; without a stored hash the same work is done in vain, so that time tells nothing."""
        secret = _bytes(password)
        with self._slot():
            matches = self._matches(stored or self._dummy, secret)
        if stored is None or not matches:
            return Verdict(accepted=False)
        return Verdict(accepted=True, needs_rehash=self._hasher.check_needs_rehash(stored))

    def _matches(self, stored: str, secret: bytes) -> bool:
        try:
            return self._hasher.verify(stored, secret)
        except (VerificationError, InvalidHashError):
            return False

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=self._max_wait):
            raise HashingBusy("too many sign-ins at once", reason="no hashing slot")
        try:
            # A worker may keep to one core for the sake of the GIL; who works without it goes to any.
            _go_to(self._cores)
            yield
        finally:
            _go_to(os.sched_getaffinity(os.getpid()))  # where the worker is now: its first thread tells
            self._slots.release()


def _go_to(cores: set[int]) -> None:
    with suppress(OSError):  # none of them is ours any more: stay
        os.sched_setaffinity(0, cores)


def _bytes(password: str) -> bytes:
    if too_long(password):
        raise PasswordTooLong("password is too long")
    return password.encode(errors="surrogatepass")
