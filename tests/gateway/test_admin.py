"""The second listener: metrics and status for whoever watches, nothing to change, and nobody else can read it."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from idp.gateway import files
from idp.gateway.admin import Admin
from idp.gateway.config import Address
from idp.gateway.load import ConfigError, parse
from idp.gateway.status.look import Watching
from tests.gateway.conftest import Running, config_text
from tests.gateway.fakes import Log
from tests.gateway.issuer import Issuer
from tests.gateway.raw import Answer, Client, ask, request
from tests.gateway.upstream import Upstream
from tests.gateway.websocket.peer import wait_until
from tests.services.program import free_port

Serve = Callable[[str], Running]
LOOPBACK = 'admin = "127.0.0.1:0"'


@pytest.fixture
def watched(serve: Serve, issuer: Issuer, upstream: Upstream) -> Running:
    return serve(config_text(issuer, upstream, server=LOOPBACK + '\nhosts = ["gateway.internal"]'))


def address(running: Running) -> tuple[str, int] | str:
    """Give the address of the second listener, as soon as there is one."""
    deadline = time.monotonic() + 10
    while running.server.admin.server is None and time.monotonic() < deadline:
        time.sleep(0.005)
    name = running.server.admin.server.sockets[0].getsockname()
    return name if isinstance(name, str) else (name[0], name[1])


def get(running: Running, path: str, *, host: str = "localhost", method: str = "GET") -> Answer:
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"
    return ask(address(running), head.encode(), head_only=method == "HEAD")


def test_metrics_count_what_was_decided(watched: Running, issuer: Issuer) -> None:
    token = issuer.token()
    for _ in range(2):
        assert watched.ask(request(target="/orders/7", token=token)).status == 200
    assert watched.ask(request(target="/orders/7")).status == 401
    answer = get(watched, "/.gatehouse/metrics")
    assert (answer.status, answer.header("content-type")) == (200, "text/plain; version=0.0.4; charset=utf-8")
    text = answer.body.decode()
    assert 'gatehouse_decisions_total{route="order-read",result="allowed",reason=""} 2\n' in text
    assert 'gatehouse_decisions_total{route="order-read",result="refused",reason="no_credential"} 1\n' in text
    assert 'gatehouse_tokens_total{cache="hit"} 1\n' in text
    assert "gatehouse_upstream_well{server=" in text
    assert "gatehouse_file_refused 0\n" in text
    assert token not in text


@pytest.mark.attack("LO1")
def test_the_status_says_what_was_refused_and_shows_no_token(watched: Running, issuer: Issuer) -> None:
    token = issuer.token(scope="nothing")
    watched.ask(request(target="/orders/7?code=secret", token=token))
    answer = get(watched, "/status")
    page = answer.body.decode()
    assert answer.status == 200
    assert "GET /orders/7</span>" in page
    assert "<td>require.scope did not hold</td>" in page
    for private in (token, "secret", "alice"):
        assert private not in page


@pytest.mark.attack("AZ33")
def test_nobody_keeps_frames_or_scripts_the_page(watched: Running) -> None:
    answer = get(watched, "/status")
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-security-policy") == (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("date") is not None
    assert b"<script" not in answer.body
    assert b"style=" not in answer.body
    sheet = answer.body.decode().partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert get(watched, sheet).header("content-type") == "text/css; charset=utf-8"
    assert get(watched, "/favicon.svg").status == 200


def test_the_address_alone_leads_to_the_status(watched: Running) -> None:
    assert get(watched, "/").header("location") == "/status"
    assert get(watched, "/elsewhere").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_there_is_nothing_to_change(watched: Running, method: str) -> None:
    answer = get(watched, "/status", method=method)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")
    assert get(watched, "/status", method="HEAD").status == 200


@pytest.mark.parametrize("host", ["localhost:9102", "127.0.0.1", "[::1]:9102", "gateway.internal:9102"])
def test_it_answers_to_addresses_and_names_of_its_own(watched: Running, host: str) -> None:
    assert get(watched, "/status", host=host).status == 200


@pytest.mark.parametrize("path", ["/status", "/.gatehouse/metrics"])
def test_a_page_elsewhere_cannot_read_it_under_a_name_of_its_own(watched: Running, path: str) -> None:
    assert get(watched, path, host="rebound.attacker.example:9102").status == 421


def test_the_listener_for_requests_tells_nothing_of_it(watched: Running) -> None:
    assert watched.ask(request(target="/.gatehouse/metrics")).status == 404
    assert watched.ask(request(target="/status")).status in {400, 401, 403, 404}


def test_an_address_that_is_taken_costs_the_watching_and_never_the_gateway(
    serve: Serve, issuer: Issuer, upstream: Upstream
) -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        running = serve(config_text(issuer, upstream, server=f'admin = "127.0.0.1:{port}"'))
        deadline = time.monotonic() + 10
        while not running.lines("admin.unavailable") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running.ask(request(target="/orders/7", token=issuer.token())).status == 200
        time.sleep(1.1)
    assert get(running, "/status").status == 200
    assert len(running.lines("admin.unavailable")) == 1


def test_it_may_be_a_socket_in_a_folder(serve: Serve, issuer: Issuer, upstream: Upstream, tmp_path: Path) -> None:
    running = serve(config_text(issuer, upstream, server=f'admin = "unix:{tmp_path}/admin.sock"'))
    assert get(running, "/status").status == 200


def test_it_may_be_off(serve: Serve, issuer: Issuer, upstream: Upstream) -> None:
    running = serve(config_text(issuer, upstream, server='admin = "off"'))
    assert running.server.admin is None
    assert running.ask(request(target="/orders/7", token=issuer.token())).status == 200


def test_it_stands_on_loopback_unless_the_file_says_otherwise(issuer: Issuer) -> None:
    admin = parse(config_text(issuer, None)).server.admin
    assert admin is not None
    assert (admin.host, admin.port) == ("127.0.0.1", 9102)
    with pytest.raises(ConfigError, match="admin"):
        parse(config_text(issuer, None, server='admin = "everywhere"'))


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(FileNotFoundError):
        files.read("static/nothing.css")


def test_nobody_who_watches_is_waited_for_at_the_end(serve: Serve, issuer: Issuer, upstream: Upstream) -> None:
    running = serve(config_text(issuer, upstream, server=LOOPBACK))
    with Client(address(running)) as watcher:
        watcher.send(b"GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert watcher.answer().status == 200
        running.server.should_exit = True
        deadline = time.monotonic() + 10
        while not running.lines("stopped") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running.lines("stopped")


def test_what_never_began_can_be_ended() -> None:
    gate = SimpleNamespace()
    Admin(Watching(gate=gate), Address(port=0), log=Log(), headers=list).stop()  # type: ignore[arg-type]


def test_every_metric_is_in_the_documentation_and_no_other(watched: Running) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/watch-the-gateway.md").read_text()
    told = get(watched, "/.gatehouse/metrics").body.decode()
    names = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    assert set(re.findall(r"`(gatehouse_[a-z_]+)`", page)) == names


def test_an_address_that_somebody_takes_in_the_same_moment_leaves_no_socket_behind(
    serve: Serve, issuer: Issuer, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two may have bound it: whoever listens second is told only then. A socket left open fails this test."""
    port = free_port()
    start = asyncio.Server.start_serving
    with socket.socket() as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", port))

        async def second(server: asyncio.Server) -> None:
            if first.fileno() != -1 and port in {each.getsockname()[1] for each in server.sockets}:
                first.listen()
            await start(server)

        monkeypatch.setattr(asyncio.Server, "start_serving", second)
        running = serve(config_text(issuer, upstream, server=f'admin = "127.0.0.1:{port}"'))
        assert wait_until(lambda: running.lines("admin.unavailable"))
        gc.collect()
    assert wait_until(lambda: running.lines("admin.listening"))
