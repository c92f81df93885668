from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from idp.gateway.limits.model import Store
from idp.gateway.limits.shared import SharedBuckets
from tests.gateway.fakes import Log
from tests.services.redis import RedisServer


@pytest.fixture(scope="module")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("limits") / "redis")
    yield server
    server.stop()


@pytest.fixture
def store(_store: RedisServer) -> RedisServer:
    """A Redis that is up and empty; the tests of a file may do to it what they like."""
    if not _store.program.running:
        _store.start()
    with redis.Redis.from_url(_store.url) as client:
        client.flushall()
    return _store


@pytest.fixture
def connected(store: RedisServer) -> Iterator[Callable[..., SharedBuckets]]:
    """Make buckets of this Redis for one gateway after another."""
    made: list[SharedBuckets] = []

    def connect(*, log: Log | None = None, start: bool = True, **about: object) -> SharedBuckets:
        config = Store(kind="redis", **{"url": store.url, "replicas": 2, "seconds": 1.0, **about})  # type: ignore[arg-type]
        made.append(SharedBuckets(config, log=log or Log()))
        if start:
            made[-1].start()
        return made[-1]

    yield connect
    for each in made:
        each.stop()


@pytest.fixture
def secret_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a secret into a file."""

    def write(text: str) -> Path:
        path = tmp_path / "secret"
        path.write_text(text)
        return path

    return write
