"""A directory that hangs, drops lines in the middle of a bind, shows a wrong certificate and comes back (F5).

Who has a password here, and who asks for tokens, does not notice: the same calls are measured while all is well and
while it is not, in turns.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from idp.federation.ldap import tls
from idp.federation.ldap.address import Address
from idp.federation.ldap.line import Line
from tests.bench.stage import Stage, set_up
from tests.faults.signing_in import Timed
from tests.fixtures import people
from tests.fixtures.people import Person
from tests.services import directory
from tests.services.authority import Authority, Certificate
from tests.services.provider import session
from tests.services.slapd import PASSWORD, Slapd
from tests.services.wire import Wire

ROUND: Final = 10.0  # seconds
ROUNDS: Final = 9
LOCAL: Final = 16  # people with a password here, who take turns
TOKENS_A_SECOND, LOCAL_A_SECOND, OTHERS_A_SECOND = 20, 4, 2
GIVEN_UP: Final = 3.0
BUSY: Final = 1.0  # how much longer a busy machine may take
BACK: Final = 15.0
Record = Callable[[str, object], None]


@dataclass(slots=True)
class Heard:
    """How long answers took, by what was asked, while all is well and while it is not."""

    well: dict[str, list[float]] = field(default_factory=dict)
    ill: dict[str, list[float]] = field(default_factory=dict)
    refused: list[float] = field(default_factory=list)  # sign-ins of the directory, while it is away


class Line5:
    """A provider, a directory behind a wire, and everybody who asks."""

    def __init__(self, stage: Stage, slapd: Slapd, stranger: Slapd, wire: Wire, authority: Authority) -> None:
        self.stage, self.slapd, self.stranger, self.wire = stage, slapd, stranger, wire
        self._handshake = self._bytes_of_a_handshake(authority)
        self._turn = 0

    def token(self) -> float:
        """Ask for a token."""
        began = time.monotonic()
        form = {"grant_type": "client_credentials", "scope": "orders:read"}
        service, url = self.stage.service, self.stage.provider.url("/token")
        assert session().post(url, data=form, headers=service.basic, timeout=20).status_code == 200
        return time.monotonic() - began

    def local(self) -> float:
        """Sign somebody in who has a password here."""
        self._turn += 1
        name = f"local-{self._turn % LOCAL}"
        visitor = Timed(self.stage.provider, Person(id="", username=name, email=""))
        visitor.code(self.stage.web_app)
        return visitor.posts[0]

    def other(self) -> tuple[bool, float]:
        """Try to sign somebody of the directory in."""
        visitor = Timed(self.stage.provider, Person(id="", username="user000003", email=""), PASSWORD)
        try:
            visitor.code(self.stage.web_app)
        except AssertionError:
            return False, visitor.posts[0]
        return True, visitor.posts[0]

    @contextmanager
    def broken(self, how: str) -> Iterator[None]:
        """Break the directory, and mend it."""
        if how == "hangs":
            self.slapd.hang()
        elif how == "drops":
            self.wire.cut_after = self._handshake
            self.wire.drop()
        else:
            self.wire.lead_to(self.stranger.tls_port)
        try:
            yield
        finally:
            self.slapd.go_on()
            self.wire.cut_after = None
            self.wire.lead_to(self.slapd.tls_port)

    def _bytes_of_a_handshake(self, authority: Authority) -> int:
        """Count what the server says before it is asked anything."""
        before = self.wire.answered
        address = Address.parse(f"ldaps://localhost:{self.wire.port}")
        Line(address, tls.context(str(authority.file), strict=False), seconds=10).close()
        return self.wire.answered - before


@pytest.fixture
def line(box: Path, certificate: Certificate, authority: Authority, tmp_path: Path) -> Iterator[Line5]:
    slapd = Slapd(box / "away", certificate)
    stranger = Slapd(box / "stranger", Authority(box / "strangers").issue("localhost", "127.0.0.1"))
    stage = set_up(tmp_path / "provider", workers=2, directory_sync="7d")
    try:
        with stage.provider.db.write() as tx:
            for number in range(LOCAL):
                people.register(tx, f"local-{number}", stage.provider.services)
        with Wire(slapd.tls_port) as wire:
            directory.connect(stage.provider, slapd, authority, servers=[f"ldaps://localhost:{wire.port}"])
            yield Line5(stage, slapd, stranger, wire, authority)
    finally:
        stage.provider.stop()
        slapd.stop()
        stranger.stop()


@pytest.mark.long
@pytest.mark.attack("F5", "FD9")
def test_a_directory_in_trouble_delays_nobody_else(line: Line5, record_property: Record) -> None:
    heard, back = Heard(), []
    assert line.other()[0]
    for number in range(ROUNDS):
        _measure(line, heard.well, None)
        with line.broken(("hangs", "drops", "wrong certificate")[number % 3]):
            _measure(line, heard.ill, heard.refused)
        back.append(_back(line))
    record_property(
        "rounds of 10 s, in turns", f"{ROUNDS} well, {ROUNDS} hanging, dropping or with a wrong certificate"
    )
    for what in ("tokens", "local sign-ins"):
        well, ill = _p99(heard.well[what]), _p99(heard.ill[what])
        figures = f"{well * 1e3:.0f} ms, {ill * 1e3:.0f} ms ({ill / well:.2f}x of {len(heard.well[what])})"
        record_property(f"p99 of {what}, well and not", figures)
    record_property("a sign-in of the directory is given up after, at most", f"{max(heard.refused):.1f} s")
    record_property("it is back after, at most", f"{max(back):.1f} s")
    assert max(heard.refused) < GIVEN_UP + BUSY
    for what in ("tokens", "local sign-ins"):
        assert _p99(heard.ill[what]) < 1.2 * _p99(heard.well[what]), what


def _measure(line: Line5, heard: dict[str, list[float]], refused: list[float] | None) -> None:
    """Ask everything for a round, each at its own pace."""
    until = time.monotonic() + ROUND

    def others() -> float:
        let_in, took = line.other()
        if refused is not None:
            assert not let_in
            refused.append(took)
        return took

    asked = {
        "tokens": (line.token, TOKENS_A_SECOND),
        "local sign-ins": (line.local, LOCAL_A_SECOND),
        "others": (others, OTHERS_A_SECOND),
    }
    threads = [
        threading.Thread(target=_keep, args=(act, rate, until, heard.setdefault(name, [])))
        for name, (act, rate) in asked.items()
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def _keep(act: Callable[[], float], rate: float, until: float, heard: list[float]) -> None:
    due = time.monotonic()
    while due < until:
        time.sleep(max(0.0, due - time.monotonic()))
        heard.append(act())
        due += 1 / rate


def _back(line: Line5) -> float:
    """Wait until the directory signs people in again."""
    began = time.monotonic()
    while not line.other()[0]:
        assert time.monotonic() - began < BACK
    return time.monotonic() - began


def _p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]
