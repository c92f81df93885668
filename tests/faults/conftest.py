from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.guarded import Guarded


@pytest.fixture(autouse=True)
def untraced(untraced_servers: None) -> None:
    """What dies here would not come to write down what it ran."""


@pytest.fixture
def guarded(sqlite_url: str, tmp_path: Path) -> Iterator[Guarded]:
    """A provider with two workers; its gateways are started by the tests."""
    with ExitStack() as ends:
        yield Guarded(tmp_path, ends, database_url=sqlite_url)
