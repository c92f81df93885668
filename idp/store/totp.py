"""TOTP factors and recovery codes: each time step and each code counts once, whoever asks and wherever."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, ForeignKey, bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from idp.store.ids import new_id
from idp.store.prepared import Prepared
from idp.store.types import Base


class Totp(Base):
    """One authenticator. `seed_sealed` is bound to ("totp", "seed_sealed", id); unconfirmed ones count for nothing."""

    __tablename__ = "totp"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    label: Mapped[str]
    seed_sealed: Mapped[bytes]
    created_at: Mapped[dt.datetime]
    confirmed_at: Mapped[dt.datetime | None]
    last_step: Mapped[int | None] = mapped_column(BigInteger)
    last_used_at: Mapped[dt.datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    locked_at: Mapped[dt.datetime | None]


class RecoveryCode(Base):
    """One way back in, once."""

    __tablename__ = "recovery_code"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]


def create(tx: Session, *, totp_id: str, account_id: str, label: str, seed_sealed: bytes, now: dt.datetime) -> Totp:
    """Insert an unconfirmed factor; its id was made first, because the seed is sealed to it."""
    totp = Totp(id=totp_id, account_id=account_id, label=label, seed_sealed=seed_sealed, created_at=now)
    tx.add(totp)
    tx.flush()
    return totp


def find(tx: Session, totp_id: str) -> Totp | None:
    """Return a factor."""
    return tx.get(Totp, totp_id)


def confirmed(tx: Session, account_id: str) -> Sequence[Totp]:
    """Return the factors of an account that count."""
    found = select(Totp).where(Totp.account_id == account_id, Totp.confirmed_at.is_not(None))
    return tx.scalars(found.order_by(Totp.id)).all()


# Built once: asked for each sign-in.
_HAS = Prepared(select(Totp.id).where(Totp.account_id == bindparam("account_id"), Totp.confirmed_at.is_not(None)))


def has_confirmed(tx: Session, account_id: str) -> bool:
    """Say whether an account has a factor that counts."""
    return bool(_HAS.all(tx, {"account_id": account_id}))


def hold(tx: Session, account_id: str) -> Sequence[Totp]:
    """Return the factors that count and hold them: parallel guesses are looked at one after the other."""
    found = select(Totp).where(Totp.account_id == account_id, Totp.confirmed_at.is_not(None))
    return tx.scalars(found.order_by(Totp.id).with_for_update().execution_options(populate_existing=True)).all()


def pending(tx: Session, account_id: str) -> Totp | None:
    """Return the newest factor that waits for its first code."""
    found = select(Totp).where(Totp.account_id == account_id, Totp.confirmed_at.is_(None))
    return tx.scalars(found.order_by(Totp.id.desc()).limit(1)).one_or_none()


def claim_step(tx: Session, totp_id: str, step: int, now: dt.datetime) -> bool:
    """Claim a time step: true once per step, never for an older one, never for a locked factor (RFC 6238 section 5.2).

    A right code ends the row of misses.
    """
    newer = or_(Totp.last_step.is_(None), Totp.last_step < step)
    open_ = update(Totp).where(Totp.id == totp_id, newer, Totp.locked_at.is_(None))
    claimed = open_.values(last_step=step, last_used_at=now, failures=0).returning(Totp.id)
    return tx.scalar(claimed, execution_options={"synchronize_session": "fetch"}) is not None


def confirm(tx: Session, totp_id: str, step: int, now: dt.datetime) -> bool:
    """Confirm a factor by its first code, which counts as used. Other waiting ones of the account go."""
    waiting = update(Totp).where(Totp.id == totp_id, Totp.confirmed_at.is_(None), Totp.locked_at.is_(None))
    changed = waiting.values(confirmed_at=now, last_step=step, last_used_at=now, failures=0).returning(Totp.account_id)
    owner = tx.scalar(changed, execution_options={"synchronize_session": "fetch"})
    if owner is None:
        return False
    tx.execute(delete(Totp).where(Totp.account_id == owner, Totp.confirmed_at.is_(None)))
    return True


def fail(tx: Session, totp_id: str, now: dt.datetime, *, limit: int) -> int:
    """Count a miss; at the limit the factor locks. Return the misses in a row."""
    missed = update(Totp).where(Totp.id == totp_id).values(failures=Totp.failures + 1).returning(Totp.failures)
    failures = tx.scalar(missed, execution_options={"synchronize_session": "fetch"}) or 0
    if failures >= limit:
        tx.execute(update(Totp).where(Totp.id == totp_id, Totp.locked_at.is_(None)).values(locked_at=now))
    return failures


def unlock(tx: Session, account_id: str) -> None:
    """Forget misses and open the factors of an account again."""
    tx.execute(update(Totp).where(Totp.account_id == account_id).values(failures=0, locked_at=None))


def remove(tx: Session, totp_id: str) -> None:
    """Delete a factor."""
    tx.execute(delete(Totp).where(Totp.id == totp_id))


def discard_pending(tx: Session, account_id: str) -> None:
    """Delete the factors that were never confirmed."""
    tx.execute(delete(Totp).where(Totp.account_id == account_id, Totp.confirmed_at.is_(None)))


def replace_recovery_codes(tx: Session, account_id: str, hashes: Iterable[bytes], now: dt.datetime) -> None:
    """Give an account a new set of recovery codes; the old set opens nothing any more."""
    tx.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    tx.add_all(RecoveryCode(id=new_id(), account_id=account_id, code_hash=each, created_at=now) for each in hashes)
    tx.flush()


def claim_recovery_code(tx: Session, account_id: str, code_hash: bytes, now: dt.datetime) -> bool:
    """Claim a recovery code of this account: true once."""
    mine = (RecoveryCode.account_id == account_id, RecoveryCode.code_hash == code_hash, RecoveryCode.used_at.is_(None))
    return tx.scalar(update(RecoveryCode).where(*mine).values(used_at=now).returning(RecoveryCode.id)) is not None


def recovery_codes_left(tx: Session, account_id: str) -> int:
    """Count the recovery codes that still open."""
    unused = (RecoveryCode.account_id == account_id, RecoveryCode.used_at.is_(None))
    return tx.scalar(select(func.count()).select_from(RecoveryCode).where(*unused)) or 0
