"""Gates whose provider exchanges, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.gateway.exchange.ground import Ground


@pytest.fixture
def make(tmp_path) -> Iterator[Callable[..., Ground]]:
    made: list[Ground] = []

    def start(**chosen: str) -> Ground:
        made.append(Ground(tmp_path, **chosen))
        return made[-1]

    yield start
    for ground in made:
        if ground.provider.hang is not None:
            ground.provider.hang.set()
        ground.exchanger.stop()


@pytest.fixture
def ground(make) -> Ground:
    return make()
