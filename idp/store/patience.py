"""An end to waiting for PostgreSQL on our side: a server that hangs cannot keep its own time limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection

# Longer than the server's own limits, which it keeps while it can: its answer says more than our silence.
SECONDS: Final = 5.0
WAKE: Final = 0.1  # the library's own: how often a wait looks for a Ctrl-C

Result = TypeVar("Result")


class Impatient(psycopg.Connection[Any]):
    """A connection that gives up on an answer after a while, and then is of no further use."""

    patience: float | None = SECONDS

    def wait(self, gen: PQGen[Result], interval: float = WAKE, timeout: float | None = None) -> Result:
        """Wait for one answer."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                # Still at it: what comes later would be taken for the answer to another question.
                self.pgconn.finish()
            raise


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Let the statements of a long piece of work take their time."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, Impatient):
        yield
        return
    driver.patience = None
    try:
        yield
    finally:
        driver.patience = SECONDS
