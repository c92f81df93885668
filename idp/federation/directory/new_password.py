"""A new password in an Active Directory, set by whoever has the old one (MS-ADTS section 3.1.1.3.1.5).

Whoever must change their password cannot be bound, so the change cannot be their own; one who is not bound at all may
change nothing. So it goes by the account that searches, which needs no right to set passwords: the old one goes along
and the domain compares it. Nothing is ever set without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from idp.federation.connector import MayTry, NotSignedIn, Outcome, PasswordRefused
from idp.federation.directory import domain, verdict
from idp.federation.ldap.answers import SUCCESS, Answer, Entry
from idp.federation.ldap.line import ADD, DELETE, Line

if TYPE_CHECKING:
    from idp.federation.active_directory import ActiveDirectory
    from idp.federation.directory.domain import Rules

# What the right password alone brings, and what a new one heals.
OVER: Final = frozenset({Outcome.MUST_CHANGE, Outcome.PASSWORD_EXPIRED})
CODE: Final = re.compile(r"^([0-9A-Fa-f]{8}):")  # a Windows error, in front of every message
RESTRICTED: Final = 0x52D  # ERROR_PASSWORD_RESTRICTION
OUTCOMES: Final = {0x56: Outcome.NO_MATCH, 0x775: Outcome.LOCKED}  # ERROR_INVALID_PASSWORD, ERROR_ACCOUNT_LOCKED_OUT
CONSTRAINT, NO_RIGHT, UNWILLING = 19, 50, 53
NOT_YOURS: Final = "Your organization does not let you change it yourself. Ask its help desk."
UNSAID: Final = "Your organization's rules do not allow it."


def change(directory: ActiveDirectory, username: str, old: str, new: str, may_try: MayTry) -> None:
    """Set a new password with the old one, or raise NotSignedIn or PasswordRefused."""
    if not old or not new or "\x00" in old:
        raise NotSignedIn(Outcome.NO_MATCH, "empty password")
    value = _value(new)
    name = directory.checked(username)
    with verdict.told(), directory.servers.turn() as until:
        entry = directory.only(name, until)
        # A disabled or expired account would take a new password all the same: only a bind says that it may not.
        try:
            directory.prove(entry, old, may_try, until)
        except NotSignedIn as refused:
            if refused.outcome not in OVER:
                raise
    with verdict.told():
        # On a line of its own, once: a change whose answer is lost must not be asked for again.
        line = directory.servers.open_search()
        try:
            _change(directory, line, entry, (_value(old), value), new)
        finally:
            line.close()


def rules(directory: ActiveDirectory, username: str) -> tuple[str, ...]:
    """Say the rules for somebody's password; nothing where they cannot be read."""
    name = directory.checked(username)
    with verdict.told(), directory.servers.turn() as until:
        dn = directory.only(name, until).dn
        found = directory.servers.search(until, lambda line, seconds: _rules(directory, line, dn, seconds))
    return () if found is None else found.words()


def _change(directory: ActiveDirectory, line: Line, entry: Entry, values: tuple[bytes, bytes], new: str) -> None:
    seconds = directory.config.reach.seconds
    old, value = values
    answer = line.modify(entry.dn, {"unicodePwd": [(DELETE, [old]), (ADD, [value])]}, seconds=seconds)
    if answer.code == SUCCESS:
        return
    found = _windows(answer)
    if answer.code in {CONSTRAINT, UNWILLING} and found == RESTRICTED:
        allowed = _rules(directory, line, entry.dn, seconds)
        raise PasswordRefused(UNSAID if allowed is None else allowed.fault(new, _names(entry)))
    if answer.code == NO_RIGHT:
        raise PasswordRefused(NOT_YOURS)
    raise NotSignedIn(OUTCOMES.get(found, Outcome.UNAVAILABLE), f"change: {answer.code} {found:x}")


def _rules(directory: ActiveDirectory, line: Line, dn: str, seconds: float) -> Rules | None:
    return domain.rules(line, directory.names.dn, dn, seconds=seconds)


def _names(entry: Entry) -> Sequence[str]:
    return [text for name in ("sAMAccountName", "displayName") for text in entry.texts(name)]


def _value(password: str) -> bytes:
    """Write a password as the attribute wants it: in quotation marks, in UTF-16."""
    try:
        return f'"{password}"'.encode("utf-16-le")
    except UnicodeEncodeError:
        raise PasswordRefused("It has a character that cannot be written.") from None


def _windows(answer: Answer) -> int:
    found = CODE.match(answer.message)
    return int(found[1], 16) if found else 0
