"""A server that is there and does nothing: it takes connections, and never answers."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from tests.bench.processes import family


@contextlib.contextmanager
def hung(pid: int) -> Iterator[None]:
    """Stop a process and all its children, for a while."""
    everybody = list(family(pid))
    for each in everybody:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in reversed(everybody):
            os.kill(each, signal.SIGCONT)
