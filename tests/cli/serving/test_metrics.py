"""The metrics of all workers, on a port of their own."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.cli.serving.conftest import listens, started, until
from tests.services.program import free_port
from tests.services.provider import Provider, session

# One process of the tests for all: another would start the same servers again.
pytestmark = pytest.mark.xdist_group("serving-metrics")


def scrape(provider: Provider) -> str:
    return session().get(f"http://127.0.0.1:{provider.settings.metrics_port}/metrics", timeout=10).text


def refusals(provider: Provider) -> float:
    lines = [line for line in scrape(provider).splitlines() if line.startswith("idp_refusals_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def counters(provider: Provider) -> Path:
    """The folder in which the workers count."""
    maps = Path(f"/proc/{provider.workers()[0]}/maps").read_text().splitlines()
    return Path(next(line.split()[-1] for line in maps if "gatehouse-metrics-" in line)).parent


def test_they_are_the_sum_over_all_workers(measured: Provider) -> None:
    before = refusals(measured)
    for _ in range(40):
        # A connection for each, so that both workers get some.
        answer = session().post(measured.url("/token"), data={"grant_type": "password"}, timeout=20)
        assert answer.status_code in {400, 401}
    assert refusals(measured) == before + 40
    folder = counters(measured)
    assert len({file.name for file in folder.glob("counter_*.db")}) >= 2


def test_they_are_reached_on_loopback_and_not_at_the_provider(measured: Provider) -> None:
    assert session().get(measured.url("/metrics"), timeout=10).status_code == 404
    with socket.socket() as probe:
        # Bound to 127.0.0.1 alone: another address of this machine is free.
        probe.bind(("127.0.0.2", measured.settings.metrics_port))


@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_a_taken_port_is_told_and_costs_only_the_metrics(tmp_path: Path, server: str) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        provider = Provider(tmp_path / "provider", server=server, workers=2, metrics_port=port)
        try:
            started(provider)
            assert provider.program is not None
            program = provider.program
            assert until(lambda: "metrics.unavailable" in program.output(), seconds=30)
            told = next(json.loads(line) for line in program.output().splitlines() if "metrics.unavailable" in line)
            assert (told["port"], told["setting"]) == (port, "metrics_port")
            taken.close()
            assert until(lambda: listens(port), seconds=30)
            assert "idp_" in scrape(provider)
            assert program.output().count("metrics.unavailable") == 1
        finally:
            provider.stop()
