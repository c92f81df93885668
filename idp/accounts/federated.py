"""What somebody from elsewhere is here: whose account, with which attributes, in which roles.

An account is found by connector and external id, never by a name or an e-mail that both have (FD11, FD12): whoever
has an account here already signs in to it and links it by themselves. An e-mail that nobody verified takes no name.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from idp.accounts import administration, mapping, standing
from idp.accounts.administration import name_problem
from idp.federation.connector import Identity
from idp.store import account as accounts
from idp.store import connector as connectors
from idp.store import event, invitation
from idp.store import identity as store
from idp.store.account import Account, canonical_login

if TYPE_CHECKING:
    from idp.accounts.connectors import Ready
    from idp.store.database import Session

LONGEST_CLAIM: Final = 1000


class Unwelcome(enum.Enum):
    """Why somebody whom a connector vouches for has no account here."""

    CLOSED = "closed"
    NOT_LINKED = "not_linked"  # only who has linked an account comes this way
    DOMAIN = "domain"  # the verified e-mail is of another domain
    LINK_FIRST = "link_first"  # an account with this e-mail is here: its owner links it, signed in


class NotWelcome(Exception):
    """Somebody is who they say, and has no way in."""

    def __init__(self, why: Unwelcome) -> None:
        super().__init__(why.value)
        self.why = why


class Taken(ValueError):
    """This identity belongs to another account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """Somebody's account, and what their coming has changed."""

    account: Account
    created: bool = False
    reopened: bool = False
    roles_came: frozenset[str] = frozenset()
    roles_went: frozenset[str] = frozenset()


def arrive(tx: Session, ready: Ready, who: Identity, now: datetime) -> Arrived:
    """Return the account of somebody who has just signed in at a connector, or raise NotWelcome."""
    found = store.with_account(tx, ready.id, who.external_id)
    if found is None:
        store.alone(tx)  # two first sign-ins of one person make one account
        found = store.with_account(tx, ready.id, who.external_id)
    link, account, created = (*found, False) if found is not None else _first_time(tx, ready, who, now)
    accounts.hold(tx, account.id)
    tx.refresh(account)
    reopened = standing.reopen(tx, link, account, who, now)
    if account.disabled_at is not None:
        raise NotWelcome(Unwelcome.CLOSED)
    renewed = renew(tx, ready, who, link, now)
    store.seen(tx, link.id, now, last_login_at=now)
    accounts.signed_in(tx, account.id, now)
    return Arrived(
        account=account,
        created=created,
        reopened=reopened,
        roles_came=renewed.came,
        roles_went=renewed.went,
    )


def link(tx: Session, ready: Ready, who: Identity, account: Account, now: datetime) -> store.Identity:
    """Let an account be somebody at a connector; its owner has just signed in, with the second factor if any."""
    store.alone(tx)
    there = store.find(tx, ready.id, who.external_id)
    if there is not None:
        if there.account_id != account.id:
            raise Taken("this sign-in is linked to another account")
        return there
    if not _of_a_domain_that_may_come(ready, who):
        raise NotWelcome(Unwelcome.DOMAIN)
    made = _linked(tx, ready, who, account, now)
    renew(tx, ready, who, made, now)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was known of somebody before; a sync reads it for many at once."""

    account: Account | None
    rules: Sequence[connectors.ConnectorRule]
    roles: frozenset[tuple[str, str]]  # (rule id, role id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """What a look at somebody has changed: ids of roles, and the groups that count for something."""

    came: frozenset[str]
    went: frozenset[str]
    groups: Mapping[str, object]


def renew(tx: Session, ready: Ready, who: Identity, link: store.Identity, now: datetime) -> Renewed:
    """Take over attributes and groups."""
    before = Before(
        account=accounts.find(tx, link.account_id),
        rules=[rule for rule, _ in connectors.rules(tx, ready.id)],
        roles=store.roles(tx, link.id),
    )
    return take_over(tx, who, link, before, now)


def take_over(tx: Session, who: Identity, link: store.Identity, before: Before, now: datetime) -> Renewed:
    """Take over attributes and groups; where nothing has changed nothing is written."""
    if before.account is not None:
        _take_attributes(tx, before.account, who, now)
    given = mapping.match(before.rules, who)
    wanted = {(each.rule_id, each.role_id) for each in given}
    groups = mapping.remembered(given, who)
    if not who.groups_complete:
        # The time for groups ran out: what is known stays, nothing is taken away for want of an answer.
        wanted |= before.roles
        groups = mapping.both(groups, link.groups)
    came, went = store.set_roles(tx, link.id, wanted, before.roles) if wanted != before.roles else (set(), set())
    if went:
        tell_roles(tx, link.account_id, now)
    told: dict[str, object] = {
        "username": who.username,
        "username_key": canonical_login(who.username),
        "email": who.email,
        "groups": groups,
    }
    if any(getattr(link, name) != value for name, value in told.items()):
        store.seen(tx, link.id, now, **told)
    return Renewed(came=frozenset(came), went=frozenset(went), groups=groups)


def drop_rule(tx: Session, *, connector_id: str, match: str, pattern: str, role_id: str, now: datetime) -> bool:
    """Take a rule away and the role from everybody it gave it to; say whether it was there."""
    rule = connectors.find_rule(tx, connector_id=connector_id, match=match, pattern=pattern, role_id=role_id)
    if rule is None:
        return False
    concerned = store.accounts_by_rule(tx, rule.id)
    connectors.remove_rule(tx, rule.id)
    for account_id in concerned:
        tell_roles(tx, account_id, now)
    return True


def tell_roles(tx: Session, account_id: str, now: datetime) -> None:
    """Tell gateways that an account has lost a role: tokens that may name it are void."""
    # The whole present second counts as before: a token of it may still name the roles.
    next_second = now.replace(microsecond=0) + timedelta(seconds=1)
    event.tell(tx, "account", [account_id], now, reason="roles changed", not_before=next_second)


def _first_time(tx: Session, ready: Ready, who: Identity, now: datetime) -> tuple[store.Identity, Account, bool]:
    """Link somebody new to the account that waits for them, or to a new one."""
    invited = _invited(tx, ready, who, now)
    if invited is not None:
        return _linked(tx, ready, who, invited, now), invited, False
    if ready.provisioning == "linked":
        raise NotWelcome(Unwelcome.NOT_LINKED)
    if not _of_a_domain_that_may_come(ready, who):
        raise NotWelcome(Unwelcome.DOMAIN)
    if who.email is not None and who.email_verified and accounts.find_by_login(tx, who.email) is not None:
        raise NotWelcome(Unwelcome.LINK_FIRST)
    account = accounts.create(tx, username=_free_name(tx, ready, who), now=now)
    return _linked(tx, ready, who, account, now), account, True


def _invited(tx: Session, ready: Ready, who: Identity, now: datetime) -> Account | None:
    """Return the account that an operator has made for whoever has this verified e-mail there."""
    if who.email is None or not who.email_verified:
        return None
    account_id = invitation.claim(tx, connector_id=ready.id, email_key=canonical_login(who.email), now=now)
    return None if account_id is None else accounts.find(tx, account_id)


def _of_a_domain_that_may_come(ready: Ready, who: Identity) -> bool:
    """Say whether a connector is open to somebody's e-mail (FD14)."""
    if ready.provisioning != "domains":
        return True
    return who.email_verified and domain_of(who.email or "") in ready.allowed_domains


def _linked(tx: Session, ready: Ready, who: Identity, account: Account, now: datetime) -> store.Identity:
    return store.create(
        tx,
        connector_id=ready.id,
        external_id=who.external_id,
        account_id=account.id,
        username=who.username,
        username_key=canonical_login(who.username),
        email=who.email,
        now=now,
    )


def _free_name(tx: Session, ready: Ready, who: Identity) -> str:
    """Give a user name that is nobody's yet. A name that is taken is another person's, whoever bears it elsewhere."""
    for name in (who.username, f"{who.username}@{ready.name}", f"{ready.name}:{who.external_id}"[:100]):
        if name_problem(name, None) is None and accounts.find_by_login(tx, name) is None:
            return name
    return f"{ready.name}:{store.new_id()}"


def _take_attributes(tx: Session, account: Account, who: Identity, now: datetime) -> None:
    """Let the directory's word win for what it says; what it does not say stays."""
    changed: dict[str, object] = {}
    said = _standard(who.claims)
    claims = {**account.claims, **said}
    if claims.get("phone_number") != account.claims.get("phone_number") and "phone_number_verified" not in said:
        claims.pop("phone_number_verified", None)  # it was said of another number
    if claims != account.claims:
        changed["claims"] = claims
    if who.email is not None and account.password_hash is None:
        changed |= _email(tx, account, who.email, verified=who.email_verified)
    if account.password_hash is None and canonical_login(who.username) != account.username_key:
        changed |= _renamed(tx, account, who.username)
    if changed:
        accounts.change(tx, account, now, changed)


def _email(tx: Session, account: Account, email: str, *, verified: bool) -> dict[str, object]:
    key = canonical_login(email) if verified else None
    asked: dict[str, object] = {"email": email, "email_key": key, "email_verified": verified}
    if all(getattr(account, name) == value for name, value in asked.items()) or name_problem("-", email) is not None:
        return {}
    other = accounts.find_by_login(tx, email) if verified else None
    if other is not None and other.id != account.id:
        # Somebody else's way to sign in stays theirs.
        return {}
    return asked


def _renamed(tx: Session, account: Account, username: str) -> dict[str, object]:
    before = account.username
    if before.startswith(f"{username}@") or name_problem(username, None) is not None:
        return {}
    if accounts.find_by_login(tx, username) is not None:
        return {}
    return {"username": username, "username_key": canonical_login(username)}


def _standard(claims: Mapping[str, object]) -> dict[str, object]:
    """Keep the standard claims, in bounds; a directory's attribute may hold anything."""
    return {
        name: value
        for name, value in claims.items()
        if name in administration.CLAIMS and isinstance(value, str | bool) and len(str(value)) <= LONGEST_CLAIM
    }


def domain_of(name: str) -> str | None:
    """Return the domain of an address with exactly one @, in small letters; None when there is any doubt (FD14)."""
    local, at, domain = name.strip().partition("@")
    if not at or not local or "@" in domain or not domain.isascii():
        return None
    lowered = domain.lower()
    letters = lowered.replace("-", "").replace(".", "")
    return lowered if letters.isalnum() and all(lowered.split(".")) else None
