"""Workers die; the provider does not."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
import requests

from tests.cli.serving.conftest import until
from tests.services.provider import Provider, session


def answers(provider: Provider) -> bool:
    with contextlib.suppress(requests.RequestException):
        return session().get(provider.url("/readyz"), timeout=5).status_code == 200
    return False


def comes_back(provider: Provider, gone: list[int]) -> bool:
    return until(lambda: len(workers := provider.workers()) == 2 and not set(workers) & set(gone))


@pytest.mark.attack("F1")
def test_a_worker_that_is_killed_comes_back(mortal: Provider) -> None:
    victim = mortal.workers()[0]
    os.kill(victim, signal.SIGKILL)
    assert comes_back(mortal, [victim])
    assert until(lambda: answers(mortal))


@pytest.mark.attack("F1")
def test_workers_that_die_in_quick_succession_come_back(mortal: Provider) -> None:
    assert until(lambda: answers(mortal))
    gone: list[int] = []
    for _ in range(3):
        assert until(lambda: len(mortal.workers()) == 2)
        for victim in mortal.workers():
            gone.append(victim)
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        assert comes_back(mortal, gone)
    assert until(lambda: answers(mortal))
    assert mortal.program is not None
    assert mortal.program.running


@pytest.mark.parametrize("mortal", ["gunicorn"], indirect=True)
def test_a_worker_that_ends_tidies_up_nothing_of_the_provider(mortal: Provider) -> None:
    victim = mortal.workers()[0]
    environment = Path(f"/proc/{victim}/maps").read_text()
    folders = {line.split()[-1].rpartition("/")[0] for line in environment.splitlines() if "gatehouse-metrics-" in line}
    os.kill(victim, signal.SIGTERM)
    assert comes_back(mortal, [victim])
    assert folders
    assert all(Path(folder).is_dir() for folder in folders)
    assert until(lambda: answers(mortal))
