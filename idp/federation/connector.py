"""What every connector is: one that takes a password to a directory, or one that sends the browser away and back.

A connector knows nothing of accounts. It answers who somebody is there, or raises why not; what that is worth here
(linking, roles, a second factor) is decided in `idp.accounts.federated`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

Pairs: TypeAlias = Sequence[tuple[str, str]]
"""What came back in the browser, in order, repeats and all."""

MayTry: TypeAlias = Callable[[str], bool]
"""Asked with the external id before a password leaves for the directory; false: it does not leave (FD10)."""


Mark: TypeAlias = Mapping[str, str]
"""How far a directory was when it was last read, in its own terms; kept here, understood there alone."""


class Kind(StrEnum):
    """The kinds of connectors, by the word that configures them."""

    LDAP = "ldap"
    ACTIVE_DIRECTORY = "active_directory"
    OIDC = "oidc"
    OAUTH2 = "oauth2"


class Outcome(StrEnum):
    """Why somebody is not signed in. Only what a right password has shown may be told to whoever typed it."""

    NO_MATCH = "no_match"  # unknown, wrong, ambiguous, refused without a reason
    DISABLED = "disabled"
    ACCOUNT_EXPIRED = "account_expired"
    LOCKED = "locked"
    NOT_NOW = "not_now"  # outside the hours this person may sign in
    NOT_HERE = "not_here"  # from this machine they may not
    HELD_BACK = "held_back"  # we stopped before the directory would have locked the account
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 - a word, not a password
    MUST_CHANGE = "must_change"
    DENIED = "denied"  # the person, or their provider, said no
    UNTRUSTED = "untrusted"  # the answer did not prove what it claims
    UNAVAILABLE = "unavailable"  # no answer in time, or none that can be believed


# Told to the person: the first two because only the right password brings them, the last because it says nothing.
TELLING = frozenset({Outcome.PASSWORD_EXPIRED, Outcome.MUST_CHANGE, Outcome.UNAVAILABLE})


class NotSignedIn(Exception):
    """Somebody is not who they would have to be. `code` is for logs alone: a constant word or a server's number."""

    def __init__(self, outcome: Outcome, code: str = "") -> None:
        super().__init__(code or outcome.value)
        self.outcome = outcome
        self.code = code
        # Whose entry says, whatever was typed, that they may sign in there no more; and why.
        self.closed: tuple[str, Outcome] | None = None


class Misconfigured(ValueError):
    """A connector cannot be made of its configuration; the message names the field and never its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a connector is made from. Secrets are apart: they come sealed from the store."""

    name: str
    config: Mapping[str, object]
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A group somebody is in. `via` names the group that is in this one; None: the person is in it directly."""

    key: str  # DN, or the value of a claim
    name: str
    via: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is there. `external_id` never changes and is never given to another (objectGUID, entryUUID, sub)."""

    connector: str
    external_id: str
    username: str
    email: str | None = None
    email_verified: bool = False
    groups: tuple[Membership, ...] = ()
    claims: Mapping[str, object] = field(default_factory=dict)  # standard claims, by their OpenID Connect names
    acr: str | None = None  # only where the connector is trusted with it
    amr: tuple[str, ...] = ()
    proved_ago: float | None = None  # seconds since they proved who they are, as far as that is known
    session: str | None = None  # the name of their session there, by which a sign-out there will mean it
    standing: Outcome | None = None  # None: may sign in there; else why not (a sync sees it without a password)
    groups_complete: bool = True  # false: the time for groups ran out, and none may be taken away for want of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One step of a test, in words."""

    step: str
    passed: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What `begin` leaves to `finish`, kept for this browser alone and used once (FD15, FD20)."""

    url: str  # where the browser is sent
    kept: Mapping[str, str] = field(repr=False)  # state, nonce, verifier and whatever else has to match


class Connector(Protocol):
    """What every connector has."""

    name: str
    kind: Kind

    def examine(self, sample: str | None) -> Iterator[Finding]:
        """Walk every step of a sign-in without a password, and say in words what was found."""

    def close(self) -> None:
        """Give up what is held open."""


@runtime_checkable
class PasswordConnector(Connector, Protocol):
    """One that a password is taken to: LDAP, Active Directory."""

    tries: int  # of one person's password, from everywhere together, within `tries_window` seconds (FD10)
    tries_window: float

    def authenticate(self, username: str, password: str, may_try: MayTry) -> Identity:
        """Return who this is, or raise NotSignedIn."""

    def find(self, username: str) -> Identity | None:
        """Return who a name means, without a password; None when nobody, or more than one."""


@runtime_checkable
class FinerConnector(PasswordConnector, Protocol):
    """One whose directory locks some people's accounts sooner than others'."""

    def tries_of(self, external_id: str) -> tuple[int, float]:
        """Return how often this person's password may be tried, and within how many seconds (FD10)."""


@runtime_checkable
class TicketConnector(Connector, Protocol):
    """One whose people may come with a ticket of their domain: Active Directory with Kerberos."""

    def asks(self, address: str) -> bool:
        """Say whether a browser at this address is to be asked for a ticket."""

    def by_ticket(self, token: bytes) -> tuple[Identity, bytes]:
        """Return who a ticket proves and our proof to the browser, or raise NotSignedIn."""


@runtime_checkable
class RedirectConnector(Connector, Protocol):
    """One that the browser is sent to: OpenID Connect, OAuth 2.0."""

    brand: str | None  # whose button it gets on the sign-in page
    fresh: bool  # whether it can be asked for a sign-in of now

    def begin(
        self, redirect_uri: str, *, login_hint: str | None = None, fresh: bool = False, choose: bool = False
    ) -> Handshake:
        """Return where to send the browser and what to keep for its return.

        `fresh`: who is there signs in again; `choose`: who is there may be somebody else.
        """

    def finish(self, answer: Pairs, kept: Mapping[str, str], redirect_uri: str) -> Identity:
        """Return who came back, or raise NotSignedIn."""


@runtime_checkable
class SyncedConnector(Connector, Protocol):
    """One that can be read in the background."""

    def everybody(self) -> Iterator[Identity]:
        """Give everybody who is there, as they are now; NotSignedIn (unavailable) when it cannot be read to its end."""


class Cannot(Exception):
    """What changed cannot be told apart here: everybody has to be read."""


class Look(Protocol):
    """One look at a directory: at one server, from the mark of the look before it on."""

    follows: bool  # false: the mark is of another server, or of none; only everybody can be read

    def everybody(self) -> Iterator[Identity]:
        """Give everybody."""

    def changed(self) -> Iterator[Identity]:
        """Give whoever's own entry has changed; some may be given who have not."""

    def changed_groups(self) -> Iterator[tuple[Membership, ...]]:
        """Give each group that has changed, first, with all that it is in, or raise Cannot: its people have not."""

    def groups(self) -> Iterator[str]:
        """Give the key of every group there is."""

    def people_in(self, keys: Sequence[str]) -> Iterator[Identity]:
        """Give who is in these groups, directly or by other groups, or raise Cannot."""

    def these(self, external_ids: Sequence[str]) -> Iterator[Identity]:
        """Give those of these people who are there."""

    def gone(self) -> Iterable[str] | None:
        """Give, after `changed`, the ids of whoever may be gone; None where nothing tells (`ids` shows who is not)."""

    def ids(self) -> Iterator[str]:
        """Give the id of everybody, and nothing else of them."""

    def mark(self) -> Mark | None:
        """Return from where the next look can go on; None when it cannot."""


@runtime_checkable
class FollowedConnector(SyncedConnector, Protocol):
    """One that can also be asked what has changed."""

    def look(self, since: Mark | None, now: datetime) -> AbstractContextManager[Look]:
        """Begin a look; `since` is what the look before it left."""


@runtime_checkable
class PasswordChanger(Connector, Protocol):
    """One in which people can set another password."""

    changes: bool  # false: not where it is reached now

    def password_rules(self, username: str) -> tuple[str, ...]:
        """Say the rules for somebody's password, as far as they can be read; for who has the right one alone."""

    def change_password(self, username: str, old: str, new: str, may_try: MayTry) -> None:
        """Set a new password with the old one, or raise NotSignedIn or PasswordRefused."""


class PasswordRefused(Exception):
    """The directory does not take the new password; the message is for the person."""
