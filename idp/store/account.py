"""Accounts: who can sign in. `account.id` is the `sub` of every token."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Sequence

from sqlalchemy import bindparam, case, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store import event, grant
from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import Base, JsonObject

__all__ = ["Account", "NameTaken"]


class NameTaken(ValueError):
    """The user name or email is another account's way to sign in."""


class Account(Base):
    """One person. `claims` holds the standard claims beside email (OpenID Connect Core section 5.1)."""

    __tablename__ = "account"

    id: Mapped[str] = mapped_column(primary_key=True)
    username: Mapped[str]
    username_key: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None]
    email_key: Mapped[str | None] = mapped_column(unique=True)
    email_verified: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str | None]
    password_changed_at: Mapped[dt.datetime | None]
    must_enrol: Mapped[bool] = mapped_column(default=False)
    disabled_at: Mapped[dt.datetime | None]
    not_before: Mapped[dt.datetime | None]
    claims: Mapped[JsonObject] = mapped_column(default=dict)
    last_login_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


def canonical_login(login: str) -> str:
    """Return the one key of every spelling of a login: case, width, composition and outer space do not count."""
    folded = unicodedata.normalize("NFKC", login).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def create(
    tx: Session,
    *,
    username: str,
    now: dt.datetime,
    email: str | None = None,
    email_verified: bool = False,
    password_hash: str | None = None,
    claims: JsonObject | None = None,
    must_enrol: bool = False,
) -> Account:
    """Insert an account, or raise NameTaken."""
    account = Account(
        id=new_id(),
        username=username,
        username_key=_free(tx, username, None),
        email=email,
        email_key=None if email is None else _free(tx, email, None),
        email_verified=email_verified,
        password_hash=password_hash,
        password_changed_at=None if password_hash is None else now,
        must_enrol=must_enrol,
        claims=claims or {},
        created_at=now,
        updated_at=now,
    )
    tx.add(account)
    tx.flush()
    return account


def find(tx: Session, account_id: str) -> Account | None:
    """Return an account by id, disabled or not."""
    return tx.get(Account, account_id)


_HOLD = Prepared(select(Account).where(Account.id == bindparam("id")).with_for_update(), Account)


def hold(tx: Session, account_id: str) -> Account | None:
    """Return an account and hold it: its password and factors do not change before this transaction ends."""
    row = _HOLD.one(tx, {"id": account_id})
    return None if row is None else row[0]


_NAMED = Prepared(
    select(Account)
    .where(or_(Account.username_key == bindparam("key"), Account.email_key == bindparam("key")))
    .order_by(case((Account.username_key == bindparam("key"), 0), else_=1))
    .limit(1),
    Account,
)


def find_by_login(tx: Session, login: str) -> Account | None:
    """Return the account that a user name or email names, to be read only; a user name wins over an equal email."""
    key = canonical_login(login)
    if not key or "\x00" in key:
        return None
    row = _NAMED.one(tx, {"key": key})
    return None if row is None else row[0]


def listing(tx: Session, *, after: str = "", limit: int = 100) -> Sequence[Account]:
    """Return accounts in the order of their user names, a page at a time."""
    statement = select(Account).where(Account.username_key > after).order_by(Account.username_key).limit(limit)
    return tx.scalars(statement).all()


def change_email(tx: Session, account: Account, email: str | None, *, verified: bool, now: dt.datetime) -> None:
    """Set another email, or raise NameTaken."""
    account.email_key = None if email is None else _free(tx, email, account.id)
    account.email, account.email_verified, account.updated_at = email, verified, now
    tx.flush()


def change(tx: Session, account: Account, now: dt.datetime, values: JsonObject) -> None:
    """Set columns of an account that say who it is; names must be free (`find_by_login`)."""
    for name, value in values.items():
        setattr(account, name, value)
    account.updated_at = now
    tx.flush()


def set_password(tx: Session, account_id: str, password_hash: str, now: dt.datetime) -> None:
    """Set a new password; ending what the old one opened is the caller's decision (`void`)."""
    values = {"password_hash": password_hash, "password_changed_at": now, "updated_at": now}
    tx.execute(update(Account).where(Account.id == account_id).values(values))


def password_changed(tx: Session, account_id: str, now: dt.datetime) -> None:
    """Remember that a password was changed that is kept elsewhere."""
    tx.execute(update(Account).where(Account.id == account_id).values(password_changed_at=now, updated_at=now))


def upgrade_hash(tx: Session, account_id: str, *, old: str, new: str) -> bool:
    """Replace a hash by a stronger one of the same password, unless the password was changed meanwhile."""
    statement = update(Account).where(Account.id == account_id, Account.password_hash == old)
    return tx.scalar(statement.values(password_hash=new).returning(Account.id)) is not None


_SIGNED_IN = Prepared(update(Account).where(Account.id == bindparam("account")).values(last_login_at=bindparam("now")))


def signed_in(tx: Session, account_id: str, now: dt.datetime) -> None:
    """Remember the last sign-in."""
    _SIGNED_IN.run(tx, {"account": account_id, "now": now})


def disable(tx: Session, account_id: str, now: dt.datetime) -> None:
    """Close an account: nothing it has is good any more."""
    void(tx, account_id, now, reason="account disabled")
    tx.execute(update(Account).where(Account.id == account_id).values(disabled_at=now, updated_at=now))


def enable(tx: Session, account_id: str, now: dt.datetime) -> None:
    """Open an account again; what it had stays void."""
    tx.execute(update(Account).where(Account.id == account_id).values(disabled_at=None, updated_at=now))


def void(tx: Session, account_id: str, now: dt.datetime, *, reason: str) -> None:
    """Void every token issued before now: grants are revoked, and `iat` is measured against the moment.

    Cut to the second, as `iat` is: a token of the new sign-in in this very second must live, and those of the
    old one are dead by their grant.
    """
    grant.revoke_account(tx, account_id, now, reason=reason)
    moment = now.replace(microsecond=0)
    tx.execute(update(Account).where(Account.id == account_id).values(not_before=moment, updated_at=now))
    event.tell(tx, "account", [account_id], now, reason=reason, not_before=moment)


def _free(tx: Session, login: str, own_id: str | None) -> str:
    key = canonical_login(login)
    if not key:
        raise NameTaken("the name is empty")
    taken = select(Account.id).where(or_(Account.username_key == key, Account.email_key == key))
    if own_id is not None:
        taken = taken.where(Account.id != own_id)
    if tx.scalar(taken.limit(1)) is not None:
        raise NameTaken("the name or email is already taken")
    return key
