"""One running demo for all that only look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.running import Demo, ports


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that has said everything."""
    made = Demo(tmp_path_factory.mktemp("demo"), ports())
    try:
        yield made.wait()
    finally:
        made.program.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a demo that is started and ended by the test."""
    return tmp_path / "demo"
