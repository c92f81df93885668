"""The test ground. Fixtures live in tests/fixtures, real servers in tests/services."""

from __future__ import annotations

pytest_plugins = (
    "tests.fixtures.network",
    "tests.fixtures.clock",
    "tests.fixtures.database",
    "tests.fixtures.servers",
    "tests.fixtures.provider",
    "tests.fixtures.people",
    "tests.fixtures.clients",
    "tests.fixtures.elsewhere",
    "tests.fixtures.browser",
    "tests.fixtures.evidence",
    "tests.fixtures.tracer",
    "tests.fixtures.chance",
)
