from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from idp.gateway.load import load
from idp.gateway.reload import Reload
from tests.gateway.fakes import Log
from tests.gateway.policy import reference
from tests.gateway.policy.ground import AUDIENCE, HEAD, ISSUER, Ground, file, route
from tests.gateway.policy.reference import Ask
from tests.gateway.raw import Client, ask, request

READ = route('require = { scope = ["a:read"] }')
BOSS = route('require = { role_any = ["boss"] }')

OTHER = '[issuers.other]\nissuer = "https://other.example"\njwks = { uri = "https://other.example/jwks" }\n'


class Place:
    """A file, a gate that decides by it, and looks at will."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.write(text)
        self.ground = Ground(text)
        self.log = Log()
        self.ground.gate.replace(load(path))
        self.reload = Reload(path, self.ground.gate, log=self.log)

    def write(self, text: str) -> None:
        """Put another file in its place, as editors do."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)

    def looks(self, number: int = 2) -> bool:
        return sum(self.reload.look() for _ in range(number)) > 0

    @property
    def digest(self) -> str:
        return self.ground.gate.rules.config.digest

    def status(self, **claims: object) -> int:
        return self.ground.ask(**claims).status


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "gateway.toml", file(READ))


def test_a_new_file_takes_over_once_it_lies_still(place):
    assert place.status(scope="a:read") == 200
    place.write(file(BOSS))
    assert not place.reload.look()
    assert place.status(scope="a:read") == 200
    assert place.reload.look()
    assert (place.status(scope="a:read"), place.status(roles=["boss"])) == (403, 200)
    assert not place.looks()
    replaced = place.log.named("policy.replaced")
    assert replaced == [{"policy": place.digest, "routes": 1, "needs_restart": False}]


@pytest.mark.attack("GW25")
@pytest.mark.parametrize(
    "text",
    ["", "\n", "version = 1\n", "version = 1", "[[routes]]\n", HEAD, "\0\n", "{" * 10_000, file(READ)[:-2],
     file(READ)[:-20], file(READ, route(name="r")), file(route("requires = {}")), file(route("when = [{}]"))],
)  # fmt: skip
def test_a_file_that_is_torn_empty_or_odd_changes_nothing(text, place):
    before = place.digest
    place.write(text)
    assert not place.looks(3)
    assert place.digest == before
    assert (place.status(scope="a:read"), place.status(roles=["boss"])) == (200, 403)
    (kept,) = place.log.named("policy.kept")
    assert kept["policy"] == before
    assert kept["problems"] == place.reload.problems != ()


@pytest.mark.attack("GW25")
@pytest.mark.parametrize("how", ["unlink", "bytes", "folder"])
def test_a_file_that_cannot_be_read_changes_nothing(how, place):
    place.path.unlink()
    if how == "bytes":
        place.path.write_bytes(b"\xff\n")
    elif how == "folder":
        place.path.mkdir()
    assert not place.looks(3)
    assert place.status(scope="a:read") == 200
    assert len(place.log.named("policy.kept")) == 1


@pytest.mark.attack("GW25")
def test_with_an_end_mark_no_torn_file_ever_takes_over(tmp_path):
    whole = file(route('require = { scope = ["a:read"] }'), route(name="s", path="/users/alice/special")) + "# end\n"
    place = Place(tmp_path / "gateway.toml", file(READ) + "# end\n")
    before = place.digest
    for length in range(len(whole) - 1):
        place.write(whole[:length])
        assert not place.looks()
        assert place.digest == before
    place.write(whole)
    assert place.looks()


@pytest.mark.attack("GW25")
def test_nothing_of_a_file_that_is_refused_counts(tmp_path):
    place = Place(tmp_path / "gateway.toml", file(READ) + "[dpop]\nnonce = true\n")
    demanded = place.ground.gate.replay._asked
    place.write(file(READ) + '[limits]\nstore = "redis"\nredis_url = "redis://127.0.0.1:1"\nreplicas = 1\n')
    assert not place.looks()
    assert demanded() is not None
    place.write(file(READ))
    assert place.looks()
    assert demanded() is None


@pytest.mark.attack("GW25")
def test_a_file_that_is_still_growing_is_waited_for(place):
    text = file(BOSS)
    place.path.write_text("")
    for start in range(0, len(text), 40):
        with place.path.open("a") as growing:
            growing.write(text[start : start + 40])
        place.reload.look()
        assert place.status(scope="a:read") == 200
    assert place.looks()
    assert place.status(scope="a:read") == 403


def test_a_file_that_changes_while_it_is_read_is_not_believed(place, monkeypatch):
    def read(path: Path) -> str:
        text = path.read_text()
        path.write_text(text + "\n")
        return text

    monkeypatch.setattr("idp.gateway.reload.read", read)
    place.write(file(BOSS))
    assert not place.looks()
    monkeypatch.undo()
    assert place.looks(3)


def test_a_fault_of_ours_keeps_what_is_in_force(place, monkeypatch):
    monkeypatch.setattr("idp.gateway.decide.Rules", None)
    place.write(file(BOSS))
    assert not place.looks()
    assert place.reload.problems == ("fault of the gateway: TypeError",)
    assert place.status(scope="a:read") == 200


def test_a_new_issuer_counts_when_it_has_keys(place):
    fetch = place.ground.gate._issuers._world.fetch
    other = file(READ.replace(f'audience = "{AUDIENCE}"', f'audience = "{AUDIENCE}"\nissuer = "main"'))
    other += OTHER
    fetch.answers["https://other.example/jwks"] = None
    fetch.down = True
    place.write(other)
    assert not place.looks()
    assert place.reload.problems == ('the keys of issuer "other" cannot be fetched',)
    fetch.answers["https://other.example/jwks"] = place.ground.issuer.jwks()
    fetch.down = False
    assert place.looks(12)  # tried again though the file did not change
    assert set(place.ground.gate.sources) == {"main", "other"}
    place.write(file(READ))
    assert place.looks()
    assert set(place.ground.gate.sources) == {"main"}


def test_where_an_issuer_is_asked_takes_a_new_start_and_how_it_is_judged_does_not(place):
    source = place.ground.gate.sources["main"]
    assert place.status(scope="a:read") == 200
    place.write(file(READ).replace(f"{ISSUER}/jwks", f"{ISSUER}/keys"))
    assert not place.looks()
    assert "takes a new start" in place.reload.problems[0]
    place.write(file(READ).replace("[issuers.main]", '[issuers.main]\nalgs = ["RS256"]'))
    assert place.looks()
    assert place.ground.gate.sources["main"] is source
    assert place.status(scope="a:read") == 401  # though the token had been verified before


def test_what_only_a_new_start_can_change_is_said(place):
    place.write(file(READ).replace("[issuers.main]", '[server]\ndrain = "5s"\n[issuers.main]'))
    assert place.looks()
    assert place.log.named("policy.replaced")[-1]["needs_restart"]


def test_a_gate_that_has_started_starts_and_ends_what_a_file_brings_and_takes(place, monkeypatch):
    gate = place.ground.gate
    monkeypatch.setattr(gate, "_started_in", os.getpid())
    place.ground.gate._issuers._world.fetch.answers["https://other.example/jwks"] = place.ground.issuer.jwks()
    more = file(READ.replace("upstream =", 'issuer = "main"\nupstream ='))
    place.write(
        more + '[issuers.other]\nissuer = "https://other.example"\njwks = { uri = "https://other.example/jwks" }\n'
    )
    assert place.looks()
    other = gate.sources["other"]
    assert other._thread.is_alive()
    assert gate.sources["main"]._thread is None  # whoever was there before goes on as it was
    place.write(file(READ))
    assert place.looks()
    other._thread.join(5)
    assert not other._thread.is_alive()


@pytest.fixture
def reloading(place) -> Iterator[Place]:
    place.reload.start()
    yield place
    place.reload.stop()


def test_asking_reads_at_once(reloading, monkeypatch):
    monkeypatch.setattr("idp.gateway.reload._EVERY", 60)
    time.sleep(0.05)
    reloading.write(file(BOSS))
    deadline = time.monotonic() + 30
    while reloading.status(roles=["boss"]) != 200:
        reloading.reload.ask()
        time.sleep(0.02)
        assert time.monotonic() < deadline


def test_stopping_what_never_started_is_nothing(place):
    place.reload.stop()


# Two policies that disagree about nearly everything, a request that only one of them knows, and files that are none.
FIRST = """
[[routes]]
id = "orders"
match = {{ host = "api.example", method = ["GET"], path = "/users/{{uid}}/orders/{{oid}}" }}
audience = "{audience}"
require = {{ scope = ["a:read"] }}
when = [{{ eq = ["claim.sub", "path.uid"] }}]
upstream = "{upstream}"

[[routes]]
id = "special"
match = {{ host = "api.example", method = ["GET"], path = "/users/alice/orders/1" }}
audience = "{audience}"
require = {{ role_any = ["boss"] }}
upstream = "{upstream}"
"""
SECOND = """
[[routes]]
id = "orders"
match = {{ host = "api.example", method = ["GET", "POST"], path = "/users/{{uid}}/orders/{{oid}}" }}
audience = "{audience}"
require = {{ acr = "aal2" }}
when = [{{ any = [{{ role = "boss" }}, {{ not = {{ eq = ["claim.sub", "path.uid"] }} }}] }}]
upstream = "{upstream}"
"""


PEOPLE = {
    "alice": {"scope": "a:read", "roles": []},
    "bob": {"scope": "a:read", "roles": ["boss"], "acr": "aal2"},
    "carol": {"scope": "", "roles": [], "acr": "aal2"},
}
TARGETS = [("GET", "/users/alice/orders/1"), ("GET", "/users/bob/orders/2"), ("POST", "/users/alice/orders/1"),
           ("GET", "/none")]  # fmt: skip


class Crowd(threading.Thread):
    """Somebody who asks everything, again and again, on one connection."""

    def __init__(self, address, issuer, stopping: threading.Event) -> None:
        super().__init__()
        self.told: list[tuple[str, int, dict[str, object], Ask]] = []
        self.broken: list[Exception] = []
        self._address, self._stopping = address, stopping
        self._wire = []
        for name, more in PEOPLE.items():
            claims = {"aud": AUDIENCE, "sub": name, **more}
            token = issuer.token(**claims)
            for method, path in TARGETS:
                length = {"Content_Length": "0"} if method == "POST" else {}
                data = request(method, path, token=token, **length)
                self._wire.append((claims, Ask(method=method, path=path), data))

    def run(self) -> None:
        try:
            with Client(self._address) as client:
                while not self._stopping.is_set():
                    for claims, question, data in self._wire:
                        client.send(data)
                        answer = client.answer()
                        decision = answer.header("x-gatehouse-decision") or answer.json().get("decision")
                        self.told.append((str(decision), answer.status, claims, question))
        except Exception as fault:  # noqa: BLE001 - a connection that breaks is a wrong answer too
            self.broken.append(fault)


@pytest.mark.attack("GW25")
def test_a_hundred_reloads_under_load_and_every_decision_is_the_one_of_its_policy(serve, issuer, upstream, tmp_path):
    head = f'version = 1\n[server]\nlisten = "127.0.0.1:0"\ndrain = "2s"\n[issuers.main]\nissuer = "{issuer.issuer}"\n'
    texts = [head + text.format(audience=AUDIENCE, upstream=upstream.url) + "# end\n" for text in (FIRST, SECOND)]
    path = tmp_path / "gateway.toml"
    path.write_text(texts[0])
    proxy = serve(load(path))
    upstream.script = _echo_decision
    stopping = threading.Event()
    crowd = [Crowd(proxy.address, issuer, stopping) for _ in range(2)]
    for each in crowd:
        each.start()
    replaced = 0
    for number in range(100):
        replaced += _replace(proxy.server._reload, path, texts[(number + 1) % 2])
        _wait_for(crowd, 2 * number)
    stopping.set()
    for each in crowd:
        each.join()
    policies = {digest_of(text): tomllib.loads(text) for text in texts}
    lines = {str(line["id"]): line for line in proxy.lines()}
    cut = {str(event["id"]) for event in proxy.lines("stream.cut")}
    told = [answer for each in crowd for answer in each.told]
    for decision, status, claims, question in told:
        line = lines[decision]
        expected = {digest: reference.answer(policy, claims, question)[0] for digest, policy in policies.items()}
        counted = expected.pop(str(line["policy"]))
        assert line["status"] == counted, line
        answers = {counted}
        if decision in cut:  # while it waited for the server behind, the other file came and allowed it no longer
            assert list(expected.values()) != [200], line
            answers.add(403)
        assert status in answers, line
    assert [each.broken for each in crowd] == [[], []]
    assert replaced == 100
    assert len(told) >= 198
    assert {line["policy"] for line in lines.values()} == set(policies)


def _replace(reload: Reload, path: Path, text: str) -> bool:
    """Put two files in the way that are none, then the one."""
    for bad in (text[: len(text) // 2], ""):
        path.write_text(bad)
        assert not reload.look(asked=True)
    path.write_text(text)
    return reload.look(asked=True)


def _wait_for(crowd: list[Crowd], answers: int) -> None:
    """Let two answers come for each reload, on the busiest of machines."""
    deadline = time.monotonic() + 30
    while sum(len(each.told) for each in crowd) < answers and time.monotonic() < deadline:
        time.sleep(0.001)


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _echo_decision(connection, seen) -> bool:
    decision = seen.header(b"x-gatehouse-decision") or b""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-gatehouse-decision: " + decision + b"\r\n\r\nok")
    return True


@pytest.mark.attack("GW25")
def test_a_running_gateway_reads_its_file_again_on_sighup(issuer, upstream, tmp_path):
    head = f'version = 1\n[server]\nlisten = "127.0.0.1:0"\ndrain = "1s"\n[issuers.main]\nissuer = "{issuer.issuer}"\n'
    first, second = (head + text.format(audience=AUDIENCE, upstream=upstream.url) for text in (FIRST, SECOND))
    path, log = tmp_path / "gateway.toml", tmp_path / "gateway.log"
    log_to = f'[log]\nfile = "{log}"\n'
    path.write_text(first + log_to)
    command = [sys.executable, "-m", "idp.cli", "gateway", "run", "--config", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        port = until(log, "listening")["address"][1]
        token = issuer.token(aud=AUDIENCE, sub="bob", acr="aal2", scope="")
        get = request(target="/users/alice/orders/2", token=token)
        assert ask(("127.0.0.1", port), get).status == 403
        path.write_text(second + log_to)
        process.send_signal(signal.SIGHUP)
        until(log, "policy.replaced")
        assert ask(("127.0.0.1", port), get).status == 200
        path.write_text("")
        process.send_signal(signal.SIGHUP)
        until(log, "policy.kept")
        assert ask(("127.0.0.1", port), get).status == 200
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")


def until(log: Path, event: str) -> dict[str, object]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        whole, _, _ = log.read_text().rpartition("\n") if log.exists() else ("", "", "")
        found = [line for line in map(json.loads, whole.splitlines()) if line["event"] == event]
        if found:
            return found[-1]
        time.sleep(0.02)
    raise AssertionError(event)
