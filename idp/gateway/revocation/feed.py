"""The provider's stream of events, polled by one thread (RFC 8936).

Heard means: verified, in the set, on the disk. Only then is it acknowledged, with the next question; so neither
side can stop at a moment that loses something, and what is said twice does no harm.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from idp.gateway.address import sound
from idp.gateway.call import Caller
from idp.gateway.client import Credentials
from idp.gateway.config import IssuerConfig, OnStale
from idp.gateway.fetch import Fetch, FetchError
from idp.gateway.jwks import KeySource
from idp.gateway.log import Log
from idp.gateway.principal import Principal
from idp.gateway.revocation import doubt, introspect
from idp.gateway.revocation.introspect import Introspector, Post
from idp.gateway.revocation.journal import Journal
from idp.gateway.revocation.revoked import Revoked
from idp.jose.keys import ALGS, UnknownKey
from idp.jose.strict import JoseError, loads
from idp.jose.verify import verify
from idp.protocol.security_event import SET_TYP, BadEvent, Ended, read

_DISCOVERY: Final = "/.well-known/openid-configuration"
_ALGS: Final = frozenset(ALGS)
_MOST: Final = 100  # events in one answer
_LONGEST_PAUSE: Final = 2.0
_KEEP_EVERY: Final = 30.0  # seconds between two notes that the provider was heard
_FORGET_EVERY: Final = 60.0
_NEVER: Final = float("-inf")
# Spreads load, guards nothing. Our own, since threads that move the common one disturb whoever has seeded it.
_SPREAD: Final = random.Random()  # noqa: S311


@dataclass(slots=True, kw_only=True)
class Answer:
    """What one answer came to."""

    ended: list[Ended]
    acks: list[str]
    errors: dict[str, dict[str, str]]
    more: bool
    complete: bool = True  # nothing in it had to be left for later


class Feed:
    """What one issuer says, and whether it still says something."""

    def __init__(
        self,
        config: IssuerConfig,
        source: KeySource,
        credentials: Credentials,
        *,
        log: Log,
        fetch: Fetch,
        post: Callable[[], Post] | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = config.revocation
        if settings is None:
            raise AssertionError("an issuer without a stream has no feed")
        self.revoked = Revoked()
        self.failing = False
        self.listeners: tuple[Callable[[], None], ...] = ()  # told when something more is revoked
        self.delay: float | None = None  # seconds from the latest event to its arrival here
        self._heard = _NEVER  # monotonic seconds when the provider had nothing more to say
        self._config, self._settings = config, settings
        self._source = source
        self._credentials = credentials
        self._log = log
        self._fetch = fetch
        self._wall, self._monotonic = wall, monotonic
        self._caller: Post = post() if post is not None else Caller(config.jwks.ca_file)
        self.introspector = Introspector(
            credentials,
            issuer=config.issuer,
            address=lambda: self._address("introspection_endpoint"),
            post=post or (lambda: Caller(config.jwks.ca_file, seconds=introspect.SECONDS)),
            wall=wall,
            monotonic=monotonic,
        )
        self._journal = Journal(settings.journal, issuer=config.issuer, client_id=credentials.client_id)
        self._stream = ""
        self._addresses: Mapping[str, object] = {}
        self._acks: list[str] = []
        self._errors: dict[str, dict[str, str]] = {}
        self._noted = self._forgot = _NEVER
        self._failures = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take up what was kept, and ask from now on."""
        self.restore()
        self._thread = threading.Thread(target=self._run, name=f"revocation-{self._config.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a question under way is left to its own three seconds."""
        self._stopping.set()
        self.introspector.stop()
        if self._thread is not None:
            self._thread.join(self._settings.poll + _LONGEST_PAUSE)
        if isinstance(self._caller, Caller):
            self._caller.close()
        self._journal.close()

    def silence(self) -> float:
        """Seconds since the provider had nothing more to say; for ever when it was never heard."""
        return self._monotonic() - self._heard

    def passes(self, principal: Principal, token: bytes, rule: OnStale) -> bool:
        """Tell whether a verified token still counts. InDoubt when that cannot be known here and now."""
        if self.revoked.covers(principal.marks):
            return False
        if self._monotonic() - self._heard <= rule.after:
            return True
        return doubt.settle(rule, self.introspector, token)

    def restore(self) -> None:
        """Take up what was kept."""
        now = self._wall()
        try:
            kept = self._journal.open(self.revoked, now)
        except OSError as trouble:
            self._log.event("revocation.unkept", issuer=self._config.name, trouble=trouble.strerror)
            self._forgetful()
            return
        self._stream = kept.stream
        self._withdraw(self.revoked.entries())
        if kept.heard_at is not None and kept.heard_at <= now:
            self._heard = self._monotonic() - (now - kept.heard_at)
        self._log.event("revocation.began", issuer=self._config.name, stream=kept.stream, entries=len(self.revoked))

    def poll(self) -> bool:
        """Ask once; tell whether there is more. Raises FetchError and JoseError, and then nothing was heard."""
        question: dict[str, Any] = {"maxEvents": _MOST, "returnImmediately": True, "ack": self._acks}
        if self._errors:
            question["setErrs"] = self._errors
        now = self._wall()
        address = self._address("events_endpoint", again=True)
        headers = {"Content-Type": "application/json", **self._credentials.bearer(address, now)}
        said = self._caller.post(f"{address}?stream={self._stream}", json.dumps(question).encode(), headers)
        answer = self._read(loads(said))
        self._take(answer)
        return answer.more and answer.complete

    def _take(self, answer: Answer) -> None:
        for each in answer.ended:
            self.revoked.add(each)
        self._withdraw(answer.ended)
        if answer.ended:
            for listener in self.listeners:
                listener()
        wall, now = self._wall(), self._monotonic()
        drained = answer.complete and not answer.more
        note = drained and now - self._noted >= _KEEP_EVERY
        if (answer.ended or note) and not self._kept(answer.ended, wall if note else None):
            return
        # Kept: from here on it may be acknowledged.
        self._acks, self._errors = answer.acks, answer.errors
        if note:
            self._noted = now
        if drained:
            self._heard = now
        if now - self._forgot >= _FORGET_EVERY:
            self.revoked.forget(wall)
            self._forgot = now

    def _withdraw(self, ended: Iterable[Ended]) -> None:
        self._source.withdrawn(kid for each in ended if each.kind == "key" for kid in each.ids)

    def _kept(self, ended: list[Ended], heard_at: float | None) -> bool:
        try:
            self._journal.append(ended, self.revoked, heard_at=heard_at)
        except OSError as trouble:
            # From now on under another name: what the file lacks waits for the old one until it is read again.
            self._log.event("revocation.unkept", issuer=self._config.name, trouble=trouble.strerror)
            self._forgetful()
            return False
        return True

    def _forgetful(self) -> None:
        """Go on without a file, on a stream that tells everything again."""
        self._journal.close()
        self._journal = Journal(None, issuer="", client_id="")
        self._stream = self._journal.open(self.revoked, self._wall()).stream
        self._acks, self._errors = [], {}

    def _read(self, said: Mapping[str, object]) -> Answer:
        sets = said.get("sets", {})
        if not isinstance(sets, dict):
            raise FetchError("issuer answers a poll with something else")
        answer = Answer(ended=[], acks=[], errors={}, more=said.get("moreAvailable") is True)
        for jti, token in sets.items():
            self._read_set(jti, token, answer)
        return answer

    def _read_set(self, jti: str, token: object, answer: Answer) -> None:
        try:
            ended = self._verified(jti, str(token))
        except UnknownKey:
            # Newer keys may have it: neither taken nor refused, so that it comes again.
            self._source.hurry()
            answer.complete = False
        except (JoseError, BadEvent) as wrong:
            code = wrong.code if isinstance(wrong, BadEvent) else "invalid_request"
            self._log.event("revocation.not_understood", issuer=self._config.name, set=jti, reason=str(wrong))
            answer.errors[jti] = {"err": code, "description": "the event cannot be used"}
        else:
            answer.acks.append(jti)
            if ended is not None:
                answer.ended.append(ended)

    def _verified(self, jti: str, token: str) -> Ended | None:
        snapshot = self._source.usable()
        if snapshot is None:
            raise UnknownKey("there are no keys yet")
        # `algs` is about access tokens: what takes nothing but rights away counts under every key of the issuer.
        found = verify(token, snapshot.keys, typ=frozenset({SET_TYP}), algs=_ALGS)
        if found.claims.get("jti") != jti:
            raise JoseError("jti is another")
        ended = read(found.claims, issuer=self._config.issuer, audience=self._credentials.client_id)
        happened = found.claims.get("toe")  # RFC 8417 section 2.2
        if isinstance(happened, int | float):
            self.delay = self._wall() - happened
        return ended

    def _address(self, member: str, *, again: bool = False) -> str:
        """Find an address of the provider: as configured, or in a document of this very issuer.

        It is looked for again when something is wrong: the address itself may be what has changed.
        """
        if member == "events_endpoint" and self._settings.events is not None:
            return self._settings.events
        if not self._addresses or (again and self.failing):
            issuer = self._config.issuer
            found = loads(self._fetch(issuer.rstrip("/") + _DISCOVERY, None).body or b"")
            if found.get("issuer") != issuer:
                raise FetchError("discovery names another issuer")
            self._addresses = found
        uri = self._addresses.get(member)
        plain = self._config.issuer.startswith("http:")
        if not isinstance(uri, str) or not sound(uri) or (uri.startswith("http:") and not plain):
            self._addresses = {}
            raise FetchError(f"discovery names no usable {member}")
        return uri

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = self._monotonic()
            if self._turn():
                continue
            self._stopping.wait(max(0.0, self._pause() - (self._monotonic() - began)))

    def _turn(self) -> bool:
        """Ask once and survive it; tell whether to ask again at once."""
        try:
            more = self.poll()
        except (FetchError, JoseError) as wrong:
            self._failed(wrong.reason)
            return False
        except Exception as fault:  # noqa: BLE001 - the thread must live: without it nothing is ever revoked again
            self._failed(type(fault).__name__)
            return False
        if self.failing:
            self._log.event("revocation.heard_again", issuer=self._config.name)
        self.failing, self._failures = False, 0
        return more

    def _failed(self, reason: str) -> None:
        if not self.failing:  # said once, not thrice a second for as long as it lasts
            self._log.event("revocation.silence", issuer=self._config.name, reason=reason)
        self.failing = True
        self._failures += 1

    def _pause(self) -> float:
        grown = self._settings.poll * 2 ** min(self._failures, 8) if self.failing else self._settings.poll
        return min(grown, max(_LONGEST_PAUSE, self._settings.poll)) * _SPREAD.uniform(0.9, 1.0)
