"""Whether an account is open, where a directory has a say in it: it closes and opens what nobody else has closed.

An operator's word stands over it. What an operator has closed no directory opens; what an operator has opened is closed
again when the directory next says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from idp.accounts import administration
from idp.federation.connector import Identity
from idp.store import account as accounts
from idp.store import identity as store
from idp.store.account import Account

if TYPE_CHECKING:
    from idp.store.database import Session


def reopen(tx: Session, link: store.Identity, account: Account, who: Identity, now: datetime) -> bool:
    """Open an account again that only this identity keeps closed, now that it stands. What it had stays void."""
    if link.closed_at is None or who.standing is not None:
        return False
    accounts.hold(tx, account.id)
    # No more than its own share: another identity may keep it closed as well, or an operator has meanwhile.
    if not store.lets_go(tx, link.id) or store.keeps_closed(tx, account.id):
        return False
    accounts.enable(tx, account.id, now)
    tx.refresh(account)
    return True


def close(tx: Session, link: store.Identity, account: Account, now: datetime, *, gone: bool = False) -> bool:
    """Close an account that is disabled or gone elsewhere; say whether it was open. Sessions and tokens end.

    One that another identity keeps closed is kept so by this one as well; one that an operator closed is theirs.
    """
    if account.disabled_at is not None and link.closed_at is not None:
        return False
    accounts.hold(tx, account.id)
    tx.refresh(account)  # an operator may have closed it since
    closes = account.disabled_at is None
    if closes:
        administration.disable(tx, account, now)
    elif not store.keeps_closed(tx, account.id):
        return False
    if gone:
        store.vanished(tx, link.id, now)
    else:
        store.seen(tx, link.id, now, closed_at=now)
    tx.refresh(link)
    return closes


def close_stranded(tx: Session, account_ids: Sequence[str], now: datetime) -> int:
    """Close accounts that have lost their only way in; return how many."""
    closed = 0
    for account_id in account_ids:
        found = accounts.find(tx, account_id)
        stranded = found is not None and found.password_hash is None and not store.of_account(tx, account_id)
        if found is not None and stranded and found.disabled_at is None:
            administration.disable(tx, found, now)
            closed += 1
    return closed
