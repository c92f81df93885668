"""The loop around granian, with a granian that ends as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from idp.cli.serving import granian
from idp.settings import Settings


class Ending:
    """A server that ends at once, in one of the ways in which granian ends."""

    def __init__(self, way: str) -> None:
        self.interrupt_signal = False
        self.main_loop_interrupt = threading.Event()
        self._way = way
        self._hooks: list[Callable[[], None]] = []

    def on_startup(self, hook: Callable[[], None]) -> None:
        self._hooks.append(hook)

    def signal_handler_interrupt(self) -> None:
        self.interrupt_signal = True
        self.main_loop_interrupt.set()

    def serve(self, **_loading: object) -> None:
        for hook in self._hooks:
            hook()
        if self._way == "told to stop":
            self.signal_handler_interrupt()
        elif self._way == "crash loop":
            raise SystemExit(1)
        elif self._way == "told to stop, workers stuck":
            self.signal_handler_interrupt()
            raise SystemExit(1)
        elif self._way == "no socket":
            raise RuntimeError("Address already in use")


class Lives:
    """Hands out one server after the other."""

    def __init__(self, *ways: str) -> None:
        self.servers = [Ending(way) for way in ways]
        self.started = 0

    def __call__(self, _settings: Settings) -> Ending:
        self.started += 1
        return self.servers[self.started - 1]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(granian, "trim_environment", lambda: None)
    log = SimpleNamespace(error=_ignore, info=_ignore)
    monkeypatch.setattr(granian, "logs", SimpleNamespace(configure=lambda _: None, log=log))
    monkeypatch.setattr(granian, "SHORTEST_PAUSE", 0.001)
    # This process goes on after the server, and has other children.
    monkeypatch.setattr(granian.os, "register_at_fork", _ignore)


@pytest.fixture
def settings() -> Settings:
    return Settings.load(None)


def _ignore(*_: object, **__: object) -> None:
    return


def lives(monkeypatch: pytest.MonkeyPatch, *ways: str) -> Lives:
    made = Lives(*ways)
    monkeypatch.setattr(granian, "_server", made)
    return made


def test_it_starts_again_until_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    made = lives(monkeypatch, "crash loop", "no socket", "crash loop", "told to stop")
    granian.serve(settings)
    assert made.started == 4


def test_a_stop_with_trouble_is_still_a_stop(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    made = lives(monkeypatch, "told to stop, workers stuck", "told to stop")
    granian.serve(settings)
    assert made.started == 1


def test_a_stop_between_two_lives_is_heard_at_once(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr(granian, "SHORTEST_PAUSE", 60.0)
    monkeypatch.setattr(granian, "LONGEST_PAUSE", 60.0)
    made = lives(monkeypatch, "crash loop", "told to stop")
    threading.Timer(0.2, made.servers[0].signal_handler_interrupt).start()
    granian.serve(settings)
    assert made.started == 1


def test_a_stop_that_only_the_last_life_heard_ends_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, following = Ending("crash loop"), Ending("serves on")
    monkeypatch.setattr(granian, "_server", lambda _: following)
    server = granian._after(last, settings)  # type: ignore[arg-type]
    last.signal_handler_interrupt()
    server.serve()
    assert following.interrupt_signal


def test_requests_carry_only_the_environment_that_somebody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    kept = {"PATH": "/bin", "IDP_ISSUER": "https://id.example", "PGPASSFILE": "/etc/pg", "SSL_CERT_FILE": "/etc/ca"}
    held = {**kept, "AWS_SECRET_ACCESS_KEY": "secret", "SSH_AUTH_SOCK": "/tmp/x", "HTTP_PROXY": "http://proxy"}
    monkeypatch.setattr(granian, "os", SimpleNamespace(environ=held))
    granian.trim_environment()
    assert held == kept
