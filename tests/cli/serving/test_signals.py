"""How a running provider ends."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from tests.cli.serving.conftest import SlowPost, service_of, until
from tests.services.program import gone
from tests.services.provider import Provider, session


def program_of(provider: Provider) -> int:
    assert provider.program is not None
    return provider.program.pid


def ends(provider: Provider) -> int:
    assert provider.program is not None
    return provider.program.wait(seconds=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_every_worker(mortal: Provider, number: signal.Signals) -> None:
    assert session().get(mortal.url("/readyz"), timeout=10).status_code == 200
    workers = mortal.workers()
    os.kill(program_of(mortal), number)
    assert ends(mortal) == 0
    assert until(lambda: all(gone(pid) for pid in workers), seconds=20)
    assert mortal.program is not None
    assert "Traceback" not in mortal.program.output()


def test_ctrl_c_reaches_every_process_and_leaves_no_traceback(mortal: Provider) -> None:
    for pid in [*mortal.workers(), program_of(mortal)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    assert ends(mortal) == 0
    assert mortal.program is not None
    assert "Traceback" not in mortal.program.output()


def test_a_request_in_flight_gets_its_answer(mortal: Provider) -> None:
    asked = SlowPost(mortal, service_of(mortal))
    assert until(asked.taken)
    os.kill(program_of(mortal), signal.SIGTERM)
    time.sleep(0.5)
    assert asked.finish().startswith(b"HTTP/1.1 400")
    assert ends(mortal) == 0
