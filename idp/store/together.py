"""Writers of one process share commits: whoever waits for a turn writes into the transaction that is open.

SQLite has one writer, and a durable commit waits for the disk. So writers of a process take turns in one transaction,
and the last of them commits it for all (docs/decisions/0010). Nobody is answered before that commit; whoever fails
takes back only what is its own; and if the commit fails, it fails for everybody in it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from idp.protocol.errors import ProtocolError, TemporarilyUnavailable

MOST: Final = 32  # writers in one transaction
LONGEST: Final = 0.01  # seconds after which a transaction takes no more of them: other processes wait too


class StoreUnavailable(TemporarilyUnavailable):
    """The database is away, full, or too busy: worth another try (503)."""


@contextmanager
def committing(session: Session, *, then: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Commit what is done inside; also what a refusal did, which is an outcome: its audit row must persist."""
    try:
        yield
    except StoreUnavailable:
        raise
    except ProtocolError:
        session.commit()
        then()
        raise
    session.commit()
    then()


class Together:
    """The one writer at a time of this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._line = _Line()
        self._open: _Shared | None = None  # touched only by whoever has the turn

    @contextmanager
    def session(self, wait: float) -> Iterator[Session]:
        """Give a session; leaving it normally or by a refusal waits until everything written there is durable."""
        if not self._line.enter(wait):
            raise StoreUnavailable("the store is busy", reason="no turn to write within the limit")
        shared: _Shared | None = None
        before = 0
        try:
            shared = self._open = self._open or _Shared(self._engine)
            before = shared.members
            with shared.session() as session, committing(session, then=shared.join):
                yield session
        finally:
            joined = shared is not None and shared.members > before
            self._leave(shared)
            if shared is not None and joined:
                shared.outcome()

    def _leave(self, shared: _Shared | None) -> None:
        """Hand the open transaction to the next who waits, or end it."""
        if shared is not None:
            if shared.takes_more() and self._line.pass_on():
                return
            self._open = None
            shared.end()
        self._line.leave()


class _Shared:
    """One transaction and those who have written into it."""

    def __init__(self, engine: Engine) -> None:
        self.members = 0
        self._until = time.monotonic() + LONGEST
        self._ended = threading.Event()
        self._trouble: Exception | None = None
        self._connection: Connection = engine.connect()
        try:
            self._connection.begin()  # IMMEDIATE: what is read below is still true at the commit
        except BaseException:
            self._connection.close()
            raise

    def session(self) -> Session:
        """Give a session whose failure takes back only what is its own. The first has nobody to spare."""
        mode: Any = "create_savepoint" if self.members else "rollback_only"
        return Session(self._connection, join_transaction_mode=mode, expire_on_commit=False)

    def join(self) -> None:
        """Count one more whose work is to be committed."""
        self.members += 1

    def takes_more(self) -> bool:
        """Say whether another may join. What failed all by itself, or was rolled back by SQLite, is at its end."""
        return 0 < self.members < MOST and self._stands() and time.monotonic() < self._until

    def end(self) -> None:
        """Commit for all, or tell all that it failed."""
        try:
            self._commit()
        except Exception as trouble:  # noqa: BLE001 - each of them is told, by `outcome`
            self._trouble = trouble
            # The library takes a commit that failed for an end; the driver's connection may still be in the middle.
            self._connection.invalidate()
        finally:
            self._connection.close()
            self._ended.set()

    def outcome(self) -> None:
        """Wait for the end; raise what went wrong with it."""
        self._ended.wait()
        if self._trouble is not None:
            raise StoreUnavailable("the store is not available", reason="the commit failed") from self._trouble

    def _commit(self) -> None:
        if not self.members:
            return
        if not self._stands():
            # A full disk ends the whole transaction, not one statement.
            raise StoreUnavailable("the store is not available", reason="the transaction was rolled back")
        self._connection.commit()

    def _stands(self) -> bool:
        driver: Any = self._connection.connection.dbapi_connection
        return bool(driver.in_transaction) and self._connection.in_transaction()


class _Line:
    """A lock whose holder hands it to whoever came next, so that what is open is never without a holder."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._held = False

    def enter(self, wait: float) -> bool:
        """Wait for the turn; false if it did not come in time."""
        with self._mutex:
            if not self._held:
                self._held = True
                return True
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        if ticket.acquire(timeout=wait):
            return True
        with self._mutex:
            if ticket not in self._waiting:
                return True  # it came at the last moment
            self._waiting.remove(ticket)
            return False

    def pass_on(self) -> bool:
        """Give the turn to the next; false if nobody waits, then it stays here."""
        with self._mutex:
            if not self._waiting:
                return False
            self._waiting.popleft().release()
            return True

    def leave(self) -> None:
        """Give the turn to the next, or to nobody."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False
