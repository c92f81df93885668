"""Throttle of guesses: a try is taken before it is evaluated, so that parallel guesses cannot share one.

A stranger's tries count per account, then wait; a device on which the account has signed in counts by itself, so
that nobody can lock a person out of it. Names that do not exist count alike. Keys are digests of one canonical
name: no alias has tries of its own.
"""

from __future__ import annotations

import enum
import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from idp.settings import Settings
from idp.store import counter, device
from idp.store.account import Account, canonical_login
from idp.store.database import Session

MOST_DOUBLINGS = 16  # beyond any longest wait, and within what a duration can hold
IPV6_SITE = 64  # one subscriber has at least this much: single addresses would count nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The numbers (docs/configuration.md says what each is for)."""

    free_tries: int = 5
    first_wait: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(minutes=15)
    ceiling: int = 100
    device_tries: int = 20
    address_tries: int = 60
    everywhere_tries: int = 3000
    begun: int = 600
    window: timedelta = timedelta(minutes=1)

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        """Take what the operator chose."""
        return cls(
            free_tries=settings.throttle_free_tries,
            longest_wait=settings.throttle_longest_wait,
            ceiling=settings.throttle_stop,
            device_tries=settings.throttle_known_device,
            address_tries=settings.throttle_ip_per_minute,
            everywhere_tries=settings.throttle_per_minute,
            begun=settings.throttle_signins_per_minute,
        )


class Refusal(enum.Enum):
    """Why a try is not evaluated."""

    ACCOUNT = "account"  # told to nobody: same page as a wrong password
    ADDRESS = "address"
    EVERYWHERE = "everywhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A try that was taken, or refused."""

    refusal: Refusal | None = None
    reset: tuple[str, ...] = ()  # counters of consecutive failures, forgotten by a success
    returned: tuple[str, ...] = ()  # counters of a window, given back by a success
    blocked_until: datetime | None = None  # the wait that this try began
    alarm: bool = False  # the first try beyond the global limit in this window


class Throttle:
    """Takes tries and gives them back; all numbers live in the store."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    def take(
        self,
        tx: Session,
        *,
        login: str,
        account: Account | None,
        device_hash: bytes | None,
        address: str,
        now: datetime,
    ) -> Try:
        """Take a try for a login before its password is looked at."""
        owner = account.id if account else ""
        # Asked for unknown names too: the same statements, the same time (LG1).
        known = device.known(tx, device_hash or b"", owner)
        if known and device_hash is not None:
            own = self.take_on_device(tx, device_hash, owner, now)
            if own is not None:
                return own
        return self._take_as_stranger(tx, _key("account", owner) if account else unknown_key(login), address, now)

    def take_on_device(self, tx: Session, device_hash: bytes, account_id: str, now: datetime) -> Try | None:
        """Take one of the tries that a known device has to itself; None when none is left."""
        own = _key("device", device_hash.hex(), account_id)
        left = counter.attempt(tx, own, now, ceiling=self.limits.device_tries) is not None
        return Try(reset=(own,)) if left else None

    def succeeded(self, tx: Session, taken: Try) -> None:
        """Forget the failures before a success, and give back what counts failures of many."""
        for key in taken.returned:
            counter.give_back(tx, key)
        for key in taken.reset:
            counter.reset(tx, key)

    def unevaluated(self, tx: Session, taken: Try) -> None:
        """Give back a try whose password was never looked at."""
        for key in (*taken.returned, *taken.reset):
            counter.give_back(tx, key, taken.blocked_until)

    def may_begin(self, tx: Session, address: str, now: datetime) -> bool:
        """Count a sign-in that begins, which leaves a row behind. An address that is nobody's own counts none."""
        if not address or ipaddress.ip_address(address).is_loopback:
            return True
        return counter.take(
            tx, _key("begun", network(address)), now, limit=self.limits.begun, window=self.limits.window
        )

    def unlock(self, tx: Session, account_id: str) -> None:
        """Let strangers try an account again (an operator, or a new password)."""
        counter.reset(tx, _key("account", account_id))

    def _take_as_stranger(self, tx: Session, own: str, address: str, now: datetime) -> Try:
        taken: list[str] = []
        for refusal, key, limit in self._windows(address):
            if not counter.take(tx, key, now, limit=limit, window=self.limits.window):
                alarm = refusal is Refusal.EVERYWHERE and self._first_alarm(tx, now)
                return Try(refusal=refusal, returned=tuple(taken), alarm=alarm)
            taken.append(key)
        number = counter.attempt(tx, own, now, ceiling=self.limits.ceiling)
        if number is None:
            return Try(refusal=Refusal.ACCOUNT, returned=tuple(taken))
        until = now + self._wait(number) if number >= self.limits.free_tries else None
        if until is not None:
            counter.block(tx, own, until)
        return Try(reset=(own,), returned=tuple(taken), blocked_until=until)

    def _windows(self, address: str) -> list[tuple[Refusal, str, int]]:
        everywhere = (Refusal.EVERYWHERE, _key("everywhere"), self.limits.everywhere_tries)
        if not address:
            return [everywhere]
        return [(Refusal.ADDRESS, _key("address", network(address)), self.limits.address_tries), everywhere]

    def _first_alarm(self, tx: Session, now: datetime) -> bool:
        return counter.take(tx, _key("alarm"), now, limit=1, window=self.limits.window)

    def _wait(self, number: int) -> timedelta:
        doublings: int = min(number - self.limits.free_tries, MOST_DOUBLINGS)
        return min(self.limits.first_wait * (1 << doublings), self.limits.longest_wait)


def unknown_key(login: str) -> str:
    """Return the key under which a name without an account counts."""
    return _key("unknown", canonical_login(login))


def network(address: str) -> str:
    """Return what counts as one address: an IPv4 address, an IPv6 site."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, IPV6_SITE), strict=False))
    return str(parsed)


def _key(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode(errors="surrogatepass")).hexdigest()
