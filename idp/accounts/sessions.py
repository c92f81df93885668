"""Sessions of browsers: a new secret at every rise, an end that every worker sees at once (nothing is cached)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from idp.protocol import acr
from idp.settings import Settings
from idp.store import account as accounts
from idp.store import grant
from idp.store import session as store
from idp.store.account import Account
from idp.store.database import Database, Session
from idp.store.digests import digest, new_secret
from idp.store.session import BrowserSession

TOUCH_EVERY = timedelta(minutes=1)  # a write a minute, not one a page
USER_AGENT_LENGTH = 200
METHODS = ("pwd", "fed", "wia", "otp", "mfa")  # RFC 8176 section 2; "fed" is not in its list: another provider said so


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """Who is signed in at this browser."""

    session: BrowserSession
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session and the secret for its cookie, which nothing here keeps."""

    session_id: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Opens, finds, raises and ends sessions."""

    db: Database
    idle: timedelta = timedelta(hours=12)
    absolute: timedelta = timedelta(days=7)

    @classmethod
    def from_settings(cls, db: Database, settings: Settings) -> Sessions:
        """Let sessions live as long as the operator chose."""
        return cls(db=db, idle=settings.session_idle, absolute=settings.session_absolute)

    def current(self, secret: str | None, now: datetime) -> Current | None:
        """Return the live session of a cookie, if its account is open."""
        if secret is None:
            return None
        with self.db.read() as tx:
            return self.current_in(tx, secret, now)

    def current_in(self, tx: Session, secret: str | None, now: datetime) -> Current | None:
        """Do the same where more is to be read."""
        found = store.signed_in(tx, digest(secret), now) if secret is not None else None
        return None if found is None else Current(session=found[0], account=found[1])

    def touch(self, current: Current, now: datetime) -> None:
        """Move the idle limit, at most once a minute."""
        if now - current.session.last_seen_at >= TOUCH_EVERY:
            with self.db.write() as tx:
                store.touch(tx, current.session.id, now, now + self.idle)

    def sign_in(
        self,
        tx: Session,
        account_id: str,
        before: str | None,
        *,
        now: datetime,
        user_agent: str,
        ip: str,
        amr: tuple[str, ...] = ("pwd",),
        level: str | None = None,
        proved_at: datetime | None = None,
    ) -> Opened:
        """Write down a sign-in, by a password and of now unless told otherwise, and give a new secret (LG19).

        The same person at the same browser goes on in the same session: applications signed in before stay so.
        Another person's session at this browser ends: nobody could reach it any more to sign it out.
        """
        held = store.find_by_cookie(tx, digest(before), now) if before else None
        secret, used = new_secret(), methods(amr)
        strength = level or acr.of_methods(used)
        if held is not None and held.account_id == account_id:
            since = max(held.auth_time, proved_at or now)
            store.step_up(tx, held.id, cookie_hash=digest(secret), auth_time=since, acr=strength, amr=used)
            store.touch(tx, held.id, now, now + self.idle)
            return Opened(session_id=held.id, secret=secret)
        if held is not None:
            self.end(tx, held.id, now, reason="another person signed in")
        session = store.create(
            tx,
            cookie_hash=digest(secret),
            account_id=account_id,
            auth_time=proved_at or now,
            acr=strength,
            amr=used,
            now=now,
            idle_expires_at=now + self.idle,
            expires_at=now + self.absolute,
            user_agent=user_agent[:USER_AGENT_LENGTH],
            ip=ip,
        )
        return Opened(session_id=session.id, secret=secret)

    def step_up(self, tx: Session, session: BrowserSession) -> Opened | None:
        """Write down a second factor and give a new secret (LG19); None if the session ended meanwhile."""
        amr, secret = methods([*session.amr, "otp", "mfa"]), new_secret()
        raised = store.step_up(
            tx, session.id, cookie_hash=digest(secret), auth_time=session.auth_time, acr=acr.of_methods(amr), amr=amr
        )
        return Opened(session_id=session.id, secret=secret) if raised else None

    def renew(self, tx: Session, session: BrowserSession) -> Opened | None:
        """Give a session a new secret: whoever has a copy of the old one is out; None if it ended meanwhile."""
        secret, held = new_secret(), session
        renewed = store.step_up(
            tx, held.id, cookie_hash=digest(secret), auth_time=held.auth_time, acr=held.acr, amr=held.amr
        )
        return Opened(session_id=held.id, secret=secret) if renewed else None

    def end(self, tx: Session, session_id: str, now: datetime, *, reason: str = "signed out") -> bool:
        """End a session and what applications got in it; say whether it was open."""
        ended = store.end(tx, session_id, now)
        if ended:
            grant.revoke_session(tx, session_id, now, reason=reason)
        return ended

    def end_others(self, tx: Session, mine: BrowserSession, now: datetime, *, reason: str) -> int:
        """End every other session of an account and what applications got in it; return how many."""
        # By the account and not by the sessions that end: what was got in one that is long over goes as well.
        grant.revoke_others(tx, mine.account_id, mine.id, now, reason=reason)
        return len(store.end_account(tx, mine.account_id, now, keep=mine.id))

    def end_all(self, tx: Session, account_id: str, now: datetime, *, reason: str) -> int:
        """End every session of an account and void every token (password changed, account disabled)."""
        accounts.void(tx, account_id, now, reason=reason)
        return len(store.end_account(tx, account_id, now))


def methods(used: Iterable[str]) -> list[str]:
    """Return methods once each, in the order of the list."""
    present = set(used)
    return [name for name in METHODS if name in present]
