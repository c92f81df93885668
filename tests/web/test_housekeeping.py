"""What a running provider does by itself."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from idp.store import audit
from idp.store.database import StoreUnavailable
from idp.web import housekeeping, logs
from idp.web.housekeeping import Duty, Housekeeper
from tests.cli.serving.conftest import until
from tests.fixtures.clock import FakeClock
from tests.services.provider import Provider, session

if TYPE_CHECKING:
    from idp.web.services import Services


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """The log."""
    stream = io.StringIO()
    logs.configure("info", stream)
    yield stream
    logs.configure()


def events(said: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in said.getvalue().splitlines()]


class Work:
    """Something to do, that goes wrong while `broken`."""

    def __init__(self) -> None:
        self.done: list[datetime] = []
        self.broken = False

    def __call__(self, now: datetime) -> None:
        if self.broken:
            raise StoreUnavailable
        self.done.append(now)


def unsealed(services: Services) -> int:
    with services.db.read() as tx:
        return len(audit.unsealed(tx, 100))


def write_down(services: Services, number: int = 1) -> None:
    with services.db.write() as tx:
        for _ in range(number):
            services.audit.record(tx, "user.created")


def test_a_duty_is_done_at_once_and_then_when_its_time_has_come(clock: FakeClock) -> None:
    work = Work()
    duty = Duty("work", timedelta(seconds=10), work)
    for _ in range(25):
        duty.turn(clock())
        clock.advance(1)
    assert [(at - work.done[0]).seconds for at in work.done] == [0, 10, 20]


def test_trouble_is_said_once_and_so_is_its_end(clock: FakeClock, said: io.StringIO) -> None:
    work = Work()
    work.broken = True
    duty = Duty("work", timedelta(seconds=1), work)
    for _ in range(5):
        duty.turn(clock.advance(1))
    work.broken = False
    for _ in range(2):
        duty.turn(clock.advance(1))
    assert len(work.done) == 2
    assert events(said) == ["housekeeping.failed", "housekeeping.recovered"]
    assert "StoreUnavailable" in said.getvalue()


def test_a_round_seals_the_audit_makes_keys_and_forgets_what_is_over(services: Services, clock: FakeClock) -> None:
    write_down(services, 3)
    keeper = Housekeeper(services)
    keeper.round()
    # What the round itself wrote down, such as new keys, is sealed by the next one.
    clock.advance(1)
    keeper.round()
    assert unsealed(services) == 0
    assert services.keyring.public(clock())


def test_it_goes_on_when_the_store_comes_back(services: Services, said: io.StringIO) -> None:
    away = SimpleNamespace(now=True)

    class Store:
        def __getattr__(self, name: str) -> Any:
            if away.now:
                raise StoreUnavailable
            return getattr(services.db, name)

    parts: Any = SimpleNamespace(
        db=Store(),
        sealer=services.sealer,
        settings=services.settings,
        clock=services.clock,
        keyring=SimpleNamespace(ensure=lambda _: None),
        tally=SimpleNamespace(tell=lambda _: None),
        connectors=SimpleNamespace(all=lambda _: ()),
    )
    write_down(services)
    keeper = Housekeeper(parts)
    keeper.round()
    assert (unsealed(services), "housekeeping.failed" in events(said)) == (1, True)
    away.now = False
    keeper.round()
    assert (unsealed(services), events(said)[-1]) == (0, "housekeeping.recovered")


def test_the_thread_works_each_second_until_it_is_stopped(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "TICK", 0.01)
    keeper = Housekeeper(services)
    keeper.start()
    write_down(services)
    assert until_sealed(services)
    keeper.stop()
    assert not keeper._thread.is_alive()


def test_a_running_provider_seals_within_two_seconds(tmp_path: Path) -> None:
    with Provider(tmp_path / "provider", workers=2) as provider:
        assert session().get(provider.url("/readyz"), timeout=20).status_code == 200
        provider.idp("group", "create", "staff")
        with provider.db.read() as tx:
            assert "group.created" in {row.event for row in audit.recent(tx, 100)}  # as keys are, meanwhile
        assert until_sealed(provider)
        assert provider.idp("audit", "verify")["intact"]


def until_sealed(held: Any) -> bool:
    # Two seconds, and what a busy machine may add.
    return until(lambda: unsealed(held) == 0, seconds=20)
