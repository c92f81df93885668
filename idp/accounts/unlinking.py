"""Taking a way in away from an account, with everything that came by it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from idp.accounts import federated
from idp.federation.connector import Kind
from idp.store import identity as store
from idp.store import upstream_session
from idp.store.account import Account
from idp.store.connector import Connector

if TYPE_CHECKING:
    from idp.accounts.sessions import Sessions
    from idp.store.database import Session
    from idp.store.session import BrowserSession

DIRECTORIES: Final = frozenset({Kind.LDAP, Kind.ACTIVE_DIRECTORY})
UNLINKED: Final = "unlinked"


def has_way_in(tx: Session, account: Account) -> bool:
    """Say whether somebody signs in to an account already."""
    return account.password_hash is not None or bool(store.of_account(tx, account.id))


def has_another(tx: Session, account: Account) -> bool:
    """Say whether an account has another way in than one identity."""
    return account.password_hash is not None or len(store.of_account(tx, account.id)) > 1


def has_password(tx: Session, account: Account) -> bool:
    """Say whether somebody has a password for this account, kept here or in a directory."""
    if account.password_hash is not None:
        return True
    return any(is_directory(tx.get(Connector, each.connector_id)) for each in store.of_account(tx, account.id))


def is_directory(row: Connector | None) -> bool:
    """Say whether a connector is a directory: what it says of its people they do not get rid of by themselves.

    Somebody who is about to leave would link another provider, unlink the directory, and stay (FD7).
    """
    return row is None or row.kind in DIRECTORIES


def may_unlink(tx: Session, account: Account, link: store.Identity) -> bool:
    """Say whether the owner of an account may take an identity from it."""
    return not is_directory(tx.get(Connector, link.connector_id)) and has_another(tx, account)


def unlink(
    tx: Session, link: store.Identity, now: datetime, *, sessions: Sessions, keep: BrowserSession | None = None
) -> None:
    """Take an identity from an account. Sessions that it began end, but perhaps the one in use, and its roles go.

    Nobody has written down which sessions a directory's password began: all of the account end with it.
    """
    if is_directory(tx.get(Connector, link.connector_id)):
        sessions.end_all(tx, link.account_id, now, reason=UNLINKED)
    begun = upstream_session.open_ones(tx, link.connector_id, external_id=link.external_id, sid=None)
    for session_id, _ in begun:
        if keep is None or session_id != keep.id:
            sessions.end(tx, session_id, now, reason=UNLINKED)
    if store.roles(tx, link.id):
        federated.tell_roles(tx, link.account_id, now)
    store.unlink(tx, link.id)
