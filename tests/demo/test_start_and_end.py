"""Starting again, ending, and what happens when something is in the way."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
import requests

from tests.demo.running import Demo, ports

pytestmark = pytest.mark.xdist_group("demo")


def service_token(demo: Demo) -> str:
    facts = demo.facts
    service = facts["clients"][2]
    answer = requests.post(
        f"{facts['issuer']}/token",
        data={"grant_type": "client_credentials"},
        auth=(service["client_id"], service["client_secret"]),
        timeout=10,
    )
    return str(answer.json()["access_token"])


def call(demo: Demo, token: str) -> int:
    return requests.get(demo.facts["guarded_url"], headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code


def test_a_token_and_every_secret_outlive_a_restart(folder: Path) -> None:
    places = ports()
    first = Demo(folder, places).wait()
    token, facts = service_token(first), first.facts
    first.program.stop()
    again = Demo(folder, places)
    try:
        again.wait()
        assert again.facts == facts
        assert call(again, token) == 200
    finally:
        again.program.stop()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_every_part(folder: Path, how: signal.Signals) -> None:
    demo = Demo(folder, ports()).wait()
    demo.program.signal(how)
    assert demo.program.wait(seconds=20) == 0
    assert demo.busy() == []


def test_a_killed_demo_takes_its_parts_along(folder: Path) -> None:
    demo = Demo(folder, ports()).wait()
    demo.program.kill()
    for _ in range(200):
        if not demo.busy():
            break
        signal.sigtimedwait([], 0.05)
    assert demo.busy() == []


def test_a_part_that_dies_is_named_and_ends_the_rest(folder: Path) -> None:
    demo = Demo(folder, ports()).wait()
    os.kill(demo.children()[-1], signal.SIGKILL)
    assert demo.program.wait(seconds=20) == 1
    assert "The app ended by SIGKILL" in demo.terminal
    assert demo.busy() == []


@pytest.mark.parametrize(
    ("variable", "part"),
    [
        ("IDP_PORT", "the provider"),
        ("IDP_GATEWAY_PORT", "the gateway"),
        ("IDP_DEMO_API_PORT", "the demo API"),
        ("IDP_DEMO_APP_PORT", "the sample app"),
    ],
)
def test_a_busy_port_is_named_in_words(folder: Path, variable: str, part: str) -> None:
    places = ports()
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(places[variable])))
        other.listen()
        demo = Demo(folder, places)
        assert demo.program.wait(seconds=20) == 1
    assert f"port {places[variable]} is already in use, and {part} needs it" in demo.terminal
    assert variable in demo.terminal


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"IDP_HOST": "0.0.0.0"}, "loopback only"),
        ({"IDP_ISSUER": "https://id.example.org"}, "loopback only"),
        ({"IDP_ISSUER": "http://localhost:1"}, "leave it unset"),
        ({"IDP_PORT": "many"}, "IDP_PORT: write a port number"),
    ],
)
def test_refuses_what_would_not_be_a_demo_any_more(folder: Path, setting: dict[str, str], words: str) -> None:
    demo = Demo(folder, {**ports(), **setting})
    assert demo.program.wait(seconds=60) == 1
    assert words in demo.terminal
    assert not demo.file.exists()


def test_says_what_to_do_with_facts_that_cannot_be_read(folder: Path) -> None:
    (folder / "var").mkdir(parents=True)
    (folder / "var" / "demo.json").write_text("{}", "utf-8")
    demo = Demo(folder, ports())
    assert demo.program.wait(seconds=20) == 1
    assert "delete it, and the demo makes new secrets" in demo.terminal
