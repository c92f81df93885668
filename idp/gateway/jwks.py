"""Where an issuer's keys come from: one thread fetches, everybody reads the last good snapshot without a lock.

Nothing an issuer sends, or fails to send, takes a good set away before `max_stale`; nothing a client sends makes us
ask twice in a cooldown, and that is the same after a success and after a failure. Where we have looked by ourselves,
one may follow after a second: an issuer that has just begun may have made its key since. Then the next waits longer.
The issuer itself may hurry us: a key that it says to have withdrawn is gone at once, whatever a fetch still shows.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Final

from idp.gateway.address import sound
from idp.gateway.config import IssuerConfig
from idp.gateway.fetch import Fetch, Fetched, FetchError, fetcher
from idp.gateway.log import Log
from idp.gateway.snapshot import Snapshot, names_of, restore, save
from idp.jose.keys import KeySet
from idp.jose.strict import JoseError, loads

_DISCOVERY: Final = "/.well-known/openid-configuration"
_MAX_AGE: Final = (60.0, 3_600.0)
_FIRST_PAUSE: Final = 0.25
_SAVE_EVERY: Final = 60.0
_HURRIED: Final = 3  # fetches in a row: a worker of the issuer may see a second late what another one told us
_HURRY: Final = 1.0  # seconds between them
_REST: Final = 1.0  # seconds after a look of our own until somebody else is listened to
# Spreads load, guards nothing. Our own, since threads that move the common one disturb whoever has seeded it.
_SPREAD: Final = random.Random()  # noqa: S311

Clock = Callable[[], float]


class KeySource:
    """The keys of one issuer, kept fresh."""

    def __init__(
        self,
        config: IssuerConfig,
        *,
        log: Log,
        fetch: Fetch | None = None,
        wall: Clock = time.time,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self.snapshot: Snapshot | None = None  # read by everybody, written by the one who fetches
        self.failing = False
        self.fetches = {"good": 0, "bad": 0}  # for metrics
        self._config = config
        self._fetch = fetch or fetcher(config.jwks.ca_file)
        self._log = log
        self._wall = wall
        self._monotonic = monotonic
        self._uri = config.jwks.uri
        self._etag: str | None = None
        self._max_age: float | None = None
        self._document = b""
        self._saved = float("-inf")
        self._failures = 0
        self._turn = threading.Lock()
        self._putting = threading.Lock()
        self._withdrawn: frozenset[str] = frozenset()
        self._hurried = 0
        self._asked: list[Future[None]] = []
        self._last = float("-inf")
        self._next = float("-inf")  # nobody is listened to before
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take the saved set if it is fit, and fetch from now on."""
        self._restore()
        self._thread = threading.Thread(target=self._run, name=f"jwks-{self._config.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a fetch under way is left to its own three seconds."""
        self._stopping = True
        self._wake.set()

    def usable(self) -> Snapshot | None:
        """Give the snapshot, unless it has become too old to be believed."""
        snapshot = self.snapshot
        return snapshot if snapshot is not None and self._monotonic() < snapshot.stale else None

    def age(self) -> float | None:
        """Seconds since the keys were last confirmed, for readiness and metrics."""
        return None if self.snapshot is None else self._monotonic() - self.snapshot.fetched

    def ask(self) -> Future[None] | None:
        """Ask for a fetch because a token names an unknown key. None: somebody did so a moment ago, be content."""
        with self._turn:
            now = self._monotonic()
            cooldown = self._config.jwks.kid_cooldown
            if now < self._next or now - self._last < min(_REST, cooldown):
                return None
            # Two looks in two cooldowns, the one before this included, and one in each while they are wanted.
            self._next = max(self._last, now - cooldown) + 2 * cooldown
            self._last = now
            asked: Future[None] = Future()
            self._asked.append(asked)
        self._wake.set()
        return asked

    def hurry(self) -> None:
        """Fetch now, and again in a second or two: the issuer itself shows that there is something new."""
        if self._hurried == 0:
            self._hurried = _HURRIED
            self._wake.set()

    def withdrawn(self, kids: Iterable[str]) -> None:
        """Do without some keys from this moment on, and see what has come in their place."""
        new = frozenset(kids) - self._withdrawn
        if not new:
            return
        with self._putting:
            self._withdrawn |= new
            known = self.snapshot
            if known is not None:
                self._replace(known.keys, known.names, known.fetched)
        self._hurried = 0
        self.hurry()

    def refresh(self) -> bool:
        """Fetch once. Whatever goes wrong, the last good set stays."""
        self._last = self._monotonic()
        try:
            self._take(self._keys())
        except (FetchError, JoseError) as wrong:
            self._log.event("jwks.kept", issuer=self._config.name, reason=wrong.reason, age=self._rounded_age())
            return self._failed()
        except Exception as fault:  # noqa: BLE001 - the thread must live: without it keys would silently grow old
            self._log.event("jwks.fault", issuer=self._config.name, kind=type(fault).__name__)
            return self._failed()
        self._failures = 0
        self.failing = False
        self.fetches["good"] += 1
        return True

    def _failed(self) -> bool:
        self._failures += 1
        self.failing = True
        self.fetches["bad"] += 1
        self._uri = self._config.jwks.uri  # the address itself may be what has changed
        return False

    def pause(self) -> float:
        """Seconds until the next fetch: ahead of the interval when all is well, the cooldown when it is not."""
        jwks = self._config.jwks
        if not self.failing:
            lowest, highest = _MAX_AGE
            given = jwks.refresh if self._max_age is None else min(max(self._max_age, lowest), highest)
            return min(jwks.refresh, given) * _SPREAD.uniform(0.8, 1.0)
        waiting = min(jwks.kid_cooldown, jwks.refresh)
        if self.snapshot is None:  # nothing to serve yet, so hurry: the provider may be starting too
            waiting = min(waiting, _FIRST_PAUSE * 2 ** min(self._failures, 16))
        return waiting * _SPREAD.uniform(1.0, 1.2)

    def _run(self) -> None:
        while not self._stopping:
            with self._turn:
                asked, self._asked = self._asked, []
            self._wake.clear()
            self.refresh()
            for each in asked:
                each.set_result(None)
            # Whoever asked, or ended this, before the line that clears would otherwise wait for the next look.
            if not (self._asked or self._stopping):
                self._wake.wait(self._until_next())

    def _until_next(self) -> float:
        if self._hurried == 0:
            return self.pause()
        self._hurried -= 1
        return min(_HURRY, self.pause())

    def _keys(self) -> Fetched:
        self._uri = self._uri or self._discover()
        return self._fetch(self._uri, self._etag)

    def _discover(self) -> str:
        """Find the address of the keys in a document of this very issuer (OpenID Connect Discovery section 4.3)."""
        issuer = self._config.issuer
        body = self._fetch(issuer.rstrip("/") + _DISCOVERY, None).body
        metadata = loads(body or b"")
        if metadata.get("issuer") != issuer:
            raise FetchError("discovery names another issuer")
        uri = metadata.get("jwks_uri")
        if not isinstance(uri, str) or not sound(uri):
            raise FetchError("discovery names no usable jwks_uri")
        if uri.startswith("http:") and not issuer.startswith("http:"):
            raise FetchError("discovery names no usable jwks_uri")
        return uri

    def _take(self, fetched: Fetched) -> None:
        """Replace the snapshot, once everything about the new one is known to be right."""
        old = self.snapshot
        self._warn_of_skew(fetched.date)
        if fetched.body is None and old is not None:
            self._put(old.keys, old.names, self._monotonic())
        else:
            body = fetched.body or b""
            keys = KeySet.from_remote(body)
            self._put(keys, names_of(body), self._monotonic())
            self._document = body
        self._etag = fetched.etag
        self._max_age = fetched.max_age
        self._save(changed=old is None or self.snapshot is None or old.version != self.snapshot.version)

    def _put(self, keys: KeySet, names: Mapping[str, bytes], fetched: float) -> None:
        with self._putting:
            self._replace(keys, names, fetched)

    def _replace(self, keys: KeySet, names: Mapping[str, bytes], fetched: float) -> None:
        if not self._withdrawn.isdisjoint(names):
            keys = keys.without(self._withdrawn)
            names = {kid: key for kid, key in names.items() if kid not in self._withdrawn}
        old = self.snapshot
        gone = old is not None and any(names.get(kid) != key for kid, key in old.names.items())
        changed = old is None or names != old.names
        self.snapshot = Snapshot(
            keys=keys,
            fetched=fetched,
            stale=fetched + self._config.jwks.max_stale,
            generation=(old.generation if old else 0) + gone,
            version=(old.version if old else 0) + changed,
            names=names,
        )
        if changed:
            self._log.event("jwks.replaced", issuer=self._config.name, keys=sorted(names), gone=gone)

    def _warn_of_skew(self, date: float | None) -> None:
        if date is None:
            return
        ahead = self._wall() - date
        if abs(ahead) > self._config.leeway:  # tokens would be refused, or accepted, at the wrong time
            self._log.event("clock.skew", issuer=self._config.name, seconds=round(ahead))

    def _restore(self) -> None:
        jwks = self._config.jwks
        if jwks.snapshot is None:
            return
        saved = restore(jwks.snapshot, issuer=self._config.issuer, now=self._wall(), max_stale=jwks.max_stale)
        if saved is None:
            return
        try:
            keys, names = KeySet.from_remote(saved.document), names_of(saved.document)
        except JoseError as wrong:
            self._log.event("jwks.snapshot_refused", issuer=self._config.name, reason=wrong.reason)
            return
        self._put(keys, names, self._monotonic() - (self._wall() - saved.saved_at))

    def _save(self, *, changed: bool) -> None:
        path, now = self._config.jwks.snapshot, self._monotonic()
        if path is None or not (changed or now - self._saved >= _SAVE_EVERY):
            return
        try:
            save(path, issuer=self._config.issuer, document=self._document, now=self._wall())
        except OSError:
            self._log.event("jwks.snapshot_unwritten", issuer=self._config.name)
            return
        self._saved = now

    def _rounded_age(self) -> float | None:
        age = self.age()
        return None if age is None else round(age, 1)
