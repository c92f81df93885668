"""The command, as an operator runs it."""

from __future__ import annotations

import ast
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from idp.cli.gateway import cli
from idp.gateway import record
from idp.gateway.log import JsonLines
from idp.gateway.request import Decision, Request
from tests.gateway.conftest import config_text
from tests.gateway.raw import Client, ask, request
from tests.gateway.websocket.peer import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(tmp_path, issuer, upstream) -> Path:
    path = tmp_path / "gateway.toml"
    none = "defaults = { limit = [] }"  # on purpose: else it would be warned of
    path.write_text(config_text(issuer, upstream, top=none) + f'\n[log]\nfile = "{tmp_path}/decisions.log"\n')
    return path


def test_check_says_what_the_file_allows(file):
    said = CliRunner().invoke(cli, ["check", "--config", str(file)])
    assert said.exit_code == 0
    assert "5 routes, 1 issuer; everything else is denied" in said.output
    line = next(line for line in said.output.splitlines() if "order-write" in line)
    assert "POST,PUT api.example/orders/{oid} for https://orders.example" in line
    assert line.endswith("with orders:write, role boss or role clerk")
    assert "with any token" in said.output


def test_check_speaks_json(file):
    said = json.loads(CliRunner().invoke(cli, ["check", "--json", "--config", str(file)]).output)
    assert said["ok"] is True
    assert said["routes"][0]["scope"] == ["orders:read"]


@pytest.mark.attack("GW25")
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_bad_file_is_refused_with_its_problems(command, tmp_path):
    (tmp_path / "gateway.toml").write_text("version = 1\nwhat = 2\n")
    said = CliRunner().invoke(cli, [command, "--config", str(tmp_path / "gateway.toml")])
    assert said.exit_code == 1
    assert 'gateway.toml: line 2: field "what" is unknown' in said.output


def test_check_tells_problems_in_json(tmp_path):
    said = CliRunner().invoke(cli, ["check", "--json", "--config", str(tmp_path / "none.toml")])
    assert said.exit_code == 1
    assert json.loads(said.output)["problems"][0]["line"] == 1


def test_run_serves_drains_on_sigterm_and_leaves_in_order(file, tmp_path, token, upstream):
    log = tmp_path / "decisions.log"
    code = "from idp.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "gateway",
        "run",
        "--config",
        str(file),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment) as process:
        try:
            address = listening(log, process)
            assert ask(address, request(token=token)).status == 200
            with Client(address) as busy:
                upstream.script = lambda connection, _seen: (
                    wait_until(lambda: told(log, "draining")) and (connection.sendall(upstream.answer) or True)
                )
                asked = len(upstream.seen)
                busy.send(request(token=token))
                assert wait_until(lambda: len(upstream.seen) > asked)
                process.send_signal(signal.SIGTERM)
                assert busy.answer().status == 200
            assert process.wait(60) == 0
        finally:
            process.kill()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events[-2:] == ["draining", "stopped"]
    assert events.count("decision") == 2


def listening(log: Path, process: subprocess.Popen[bytes]) -> tuple[str, int]:
    for _ in range(6_000):
        assert process.poll() is None
        for line in told(log, "listening"):
            return line["address"][0], line["address"][1]
        time.sleep(0.01)
    raise AssertionError("the gateway does not listen")


def told(log: Path, event: str) -> list[dict[str, Any]]:
    """What the log says of an event so far, in whole lines."""
    whole, _, _ = log.read_text().rpartition("\n") if log.exists() else ("", "", "")
    return [line for line in map(json.loads, whole.splitlines()) if line["event"] == event]


def test_the_gateway_imports_nothing_of_the_provider():
    allowed = {"idp.gateway", "idp.jose", "idp.protocol"}
    for path in sorted((ROOT / "idp/gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = name.partition(".")[0]
                known = top in sys.stdlib_module_names or top in {"uvicorn", "httptools"}
                known = known or (top == "redis" and path.stem == "shared")  # an extra, imported when configured
                assert known or ".".join(name.split(".")[:2]) in allowed, (path, name)


class Full(io.StringIO):
    """A disk with no room."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "no space left")
        return super().write(text)


def test_a_full_disk_is_survived_and_the_loss_told():
    stream = Full()
    log = JsonLines(stream)
    log.event("one")
    log.flush()
    stream.full = False
    log.event("two")
    log.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in events] == ["two", "log.lost"]
    assert events[1]["lines"] == 1


@pytest.mark.attack("LO2")
def test_a_line_that_cannot_be_written_is_not_the_last_one():
    def fault() -> str:
        raise ZeroDivisionError

    stream = io.StringIO()
    log = JsonLines(stream)
    log.record(fault)
    log.flush()
    log.event("next")
    log.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("kind")) for line in events] == [
        ("log.fault", "ZeroDivisionError"),
        ("next", None),
    ]


def test_a_log_that_cannot_keep_up_is_bounded(monkeypatch):
    monkeypatch.setattr("idp.gateway.log._WAITING", 2)
    monkeypatch.setattr("idp.gateway.log._EVERY", 60)
    stream = io.StringIO()
    log = JsonLines(stream)
    for _ in range(5):
        log.event("x")
    log.close()
    assert json.loads(stream.getvalue().splitlines()[-1])["lines"] == 3


@pytest.mark.attack("LO2")
def test_whatever_a_stranger_sends_is_one_line_of_the_log():
    stream = io.StringIO()
    log = JsonLines(stream)
    log.event("x", host='a\n{"event":"forged"}\x1b[31m\u2028')
    log.close()
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_the_log_goes_to_standard_output_or_a_file(tmp_path, capsys):
    log = JsonLines("-")
    log.event("here")
    log.close()
    assert json.loads(capsys.readouterr().out)["event"] == "here"
    log = JsonLines(str(tmp_path / "x.log"))
    log.event("there")
    log.close()
    assert "there" in (tmp_path / "x.log").read_text()


@pytest.mark.attack("LO2")
@given(st.text(max_size=30), st.binary(max_size=30))
def test_every_decision_is_one_line_of_json_whatever_was_asked(text, data):
    decision = Decision()
    decision.path = decision.reason = text
    request = Request(method=text, target=data, host=data, headers=[], peer=text)
    line = record.line(1.0, request, decision, 0.5)
    assert "\n" not in line
    read = json.loads(line)
    assert (read["path"], read["method"], read["us"]) == (text, text, 500_000)
    assert read["host"] == data.decode("latin-1")
