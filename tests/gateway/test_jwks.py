from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from idp.gateway.config import IssuerConfig, JwksConfig
from idp.gateway.jwks import KeySource
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import a_key

ISSUER = "https://idp.example"
JWKS = ISSUER + "/jwks"
DISCOVERY = ISSUER + "/.well-known/openid-configuration"


def jwks(*numbers: int) -> bytes:
    return json.dumps({"keys": [a_key(number=number).public_jwk() for number in numbers]}).encode()


def metadata(**changed: object) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": JWKS, **changed}).encode()


class Ground:
    """A key source with everything around it in the hand of the test."""

    def __init__(self, *, discovery: bool = False, **settings: object) -> None:
        self.fetch = Fetcher({JWKS: jwks(0), DISCOVERY: metadata()})
        self.clock = Clock()
        self.wall = Clock(2_000_000.0)
        self.log = Log()
        self.config = IssuerConfig(
            name="main", issuer=ISSUER, jwks=JwksConfig(uri=None if discovery else JWKS, **settings)
        )
        self.source = self.another()

    def another(self) -> KeySource:
        return KeySource(self.config, log=self.log, fetch=self.fetch, wall=self.wall, monotonic=self.clock)

    def kids(self) -> set[str | None]:
        snapshot = self.source.usable()
        return {key.kid for key in snapshot.keys.keys} if snapshot else set()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.wall.advance(seconds)


@pytest.fixture
def ground() -> Ground:
    return Ground()


def kid(number: int) -> str:
    return a_key(number=number).kid


def test_before_the_first_fetch_there_is_nothing_to_believe(ground):
    assert ground.source.usable() is None
    assert ground.source.age() is None


def test_discovery_leads_to_the_keys():
    ground = Ground(discovery=True)
    assert ground.source.refresh()
    assert ground.kids() == {kid(0)}
    assert ground.source.refresh()
    assert [url for url, _ in ground.fetch.asked] == [DISCOVERY, JWKS, JWKS]


@pytest.mark.parametrize(
    "document",
    [
        metadata(issuer="https://idp.example/"),
        metadata(issuer="https://evil.example"),
        metadata(issuer=None),
        b"[]",
        b"",
        metadata(jwks_uri="http://idp.example/jwks"),
        metadata(jwks_uri="http://127.0.0.1/jwks"),
        metadata(jwks_uri="file:///etc"),
        metadata(jwks_uri=7),
        metadata(jwks_uri="https://u@idp.example/"),
        metadata(jwks_uri="https://idp.example:x/"),
        metadata(jwks_uri="https://idp.example/\n"),
        metadata(jwks_uri="https://idp.example:0/"),
    ],
)
@pytest.mark.spec("OpenID Connect Discovery 1.0 section 4.3")
def test_discovery_that_is_not_of_this_issuer_or_not_secure_leads_nowhere(document):
    ground = Ground(discovery=True)
    ground.fetch.answers[DISCOVERY] = document
    assert not ground.source.refresh()
    assert ground.kids() == set()


def test_after_a_failure_the_address_of_the_keys_is_looked_up_again():
    ground = Ground(discovery=True)
    ground.source.refresh()
    del ground.fetch.answers[JWKS]
    ground.fetch.answers[DISCOVERY] = metadata(jwks_uri=ISSUER + "/keys")
    ground.fetch.answers[ISSUER + "/keys"] = jwks(1)
    ground.fetch.down = True
    ground.source.refresh()
    ground.fetch.down = False
    assert ground.source.refresh()
    assert ground.kids() == {kid(1)}


@pytest.mark.attack("GW18")
def test_without_the_issuer_the_last_good_set_serves_until_it_is_too_old(ground):
    ground.source.refresh()
    ground.fetch.down = True
    ground.advance(86_399)
    assert not ground.source.refresh()
    assert ground.kids() == {kid(0)}
    assert ground.source.failing
    ground.advance(1)
    assert ground.source.usable() is None  # 503 from here on, never open


@pytest.mark.attack("GW18", "JO26")
@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys":[]}',
        b'{"keys":[{"kty":"oct","k":"AAAA"}]}',
        b"<html>",
        b'{"keys":[], "keys":[]}',
        b'{"keys":' + b" " * 300_000 + b"[]}",
        json.dumps({"keys": [{**a_key().public_jwk(), "d": "AA"}]}).encode(),
    ],
    ids=[
        "nothing",
        "no keys member",
        "a list",
        "no keys",
        "a secret key",
        "html",
        "a member twice",
        "too large",
        "a private key",
    ],
)
def test_an_empty_or_broken_set_never_replaces_a_good_one(document, ground):
    ground.source.refresh()
    ground.fetch.answers[JWKS] = document
    ground.advance(300)
    assert not ground.source.refresh()
    assert ground.kids() == {kid(0)}
    assert ground.log.named("jwks.kept")[0]["age"] == 300


def test_an_unchanged_set_is_confirmed_by_its_etag(ground):
    ground.fetch.etag = '"1"'
    ground.source.refresh()
    ground.advance(300)
    assert ground.source.refresh()
    assert ground.fetch.asked[-1] == (JWKS, '"1"')
    assert ground.source.age() == 0
    assert ground.source.snapshot.version == 1


@pytest.mark.attack("GW20")
def test_a_key_that_goes_or_changes_voids_what_it_verified_and_a_new_one_does_not(ground):
    seen = []
    for numbers in ((0,), (0, 1), (0, 1), (1,)):
        ground.fetch.answers[JWKS] = jwks(*numbers)
        ground.source.refresh()
        seen.append((ground.source.snapshot.generation, ground.source.snapshot.version))
    assert seen == [(0, 1), (0, 2), (0, 2), (1, 3)]
    other = {**a_key(number=2).public_jwk(), "kid": kid(1)}  # the same name for another key
    ground.fetch.answers[JWKS] = json.dumps({"keys": [other]}).encode()
    ground.source.refresh()
    assert ground.source.snapshot.generation == 2


@pytest.mark.attack("GW19")
@pytest.mark.attack("GW20")
def test_a_key_that_the_issuer_has_withdrawn_is_gone_whatever_a_fetch_still_shows(ground):
    ground.fetch.answers[JWKS] = jwks(0, 1)
    ground.source.refresh()
    before = ground.source.snapshot
    ground.source.withdrawn([kid(0)])
    assert ground.kids() == {kid(1)}
    assert ground.source.snapshot.generation == before.generation + 1
    assert ground.source.refresh()
    assert ground.kids() == {kid(1)}
    ground.source.withdrawn([kid(1)])
    assert ground.kids() == set()


def test_a_key_withdrawn_before_the_first_fetch_never_comes(ground):
    ground.source.withdrawn([kid(0)])
    assert ground.source.usable() is None
    assert ground.source.refresh()
    assert ground.kids() == set()


def test_the_issuer_may_hurry_us_for_a_few_fetches(ground):
    ground.source.refresh()
    usual = ground.source.pause() / 2
    ground.source.hurry()
    ground.source.hurry()
    pauses = [ground.source._until_next() for _ in range(4)]
    assert pauses[:3] == [1.0, 1.0, 1.0]
    assert pauses[3] > usual
    ground.source._wake.clear()
    ground.source.withdrawn([kid(7)])
    assert ground.source._wake.is_set()
    ground.source._wake.clear()
    ground.source._until_next()
    ground.source.withdrawn([kid(7)])  # told again, since it was not acknowledged yet
    assert not ground.source._wake.is_set()


def answered(ground: Ground, seconds: int) -> list[int]:
    """Ask each second, as strangers would; give when somebody listened. Each look is made, too."""
    heard = []
    for second in range(1, seconds + 1):
        ground.advance(1)
        if ground.source.ask() is not None:
            heard.append(second)
            ground.source.refresh()
    return heard


@pytest.mark.attack("GW19")
@pytest.mark.parametrize("down", [False, True])
def test_strangers_make_us_look_once_in_a_cooldown_and_not_a_third_time_in_two(ground, down):
    ground.fetch.down = down
    ground.source.refresh()
    assert answered(ground, 150) == [1, 60, 90, 120, 150]
    ground.source.refresh()  # of our own accord
    assert answered(ground, 65) == [30, 60]


def test_a_key_that_was_made_after_the_first_look_is_found_a_second_later(ground):
    ground.source.refresh()
    ground.fetch.answers[JWKS] = jwks(1)
    ground.advance(0.9)
    assert ground.source.ask() is None
    ground.advance(0.1)
    assert ground.source.ask() is not None
    assert ground.source.refresh()
    assert ground.kids() == {kid(1)}
    ground.advance(30)
    assert ground.source.ask() is None  # that would be the third in a minute
    ground.advance(29)
    assert ground.source.ask() is not None


def test_the_next_fetch_comes_ahead_of_the_interval_and_not_all_at_once(ground):
    ground.source.refresh()
    pauses = {ground.source.pause() for _ in range(100)}
    assert 240 <= min(pauses) < max(pauses) <= 300


@pytest.mark.parametrize(("max_age", "longest"), [(1, 60), (120, 120), (10_000_000, 300), (None, 300)])
def test_max_age_may_shorten_the_interval_within_reason(ground, max_age, longest):
    ground.fetch.max_age = max_age
    ground.source.refresh()
    assert longest * 0.8 <= ground.source.pause() <= longest


def test_an_hour_is_the_longest_that_max_age_can_mean():
    ground = Ground(refresh=3_600.0)
    ground.fetch.max_age = 10_000_000
    ground.source.refresh()
    assert ground.source.pause() <= 3_600


def test_after_a_failure_the_next_fetch_waits_for_the_cooldown(ground):
    ground.source.refresh()
    ground.fetch.down = True
    ground.source.refresh()
    assert 30 <= ground.source.pause() <= 36


def test_with_nothing_to_serve_the_first_fetches_hurry(ground):
    ground.fetch.down = True
    ground.source.refresh()
    assert ground.source.pause() < 1
    for _ in range(20):
        ground.source.refresh()
    assert 30 <= ground.source.pause() <= 36


@pytest.mark.parametrize(("ahead", "warned"), [(0, 0), (29, 0), (-29, 0), (31, 1), (-3_600, 1)])
def test_a_clock_that_differs_from_the_issuers_is_said_aloud(ground, ahead, warned):
    ground.fetch.date = ground.wall.now - ahead
    ground.source.refresh()
    assert [facts["seconds"] for facts in ground.log.named("clock.skew")] == [ahead] * warned


class TestColdStart:
    """The issuer is down and the gateway starts: a saved set helps if it is fit."""

    @pytest.fixture
    def saved(self, tmp_path: Path) -> Ground:
        ground = Ground(snapshot=tmp_path / "keys.json")
        ground.source.refresh()
        ground.fetch.down = True
        return ground

    def restart(self, ground: Ground) -> KeySource:
        ground.source = ground.another()
        ground.source._restore()
        return ground.source

    @pytest.mark.attack("GW18")
    def test_a_saved_set_serves_and_has_its_age(self, saved):
        saved.advance(1_000)
        source = self.restart(saved)
        assert saved.kids() == {kid(0)}
        assert source.age() == 1_000
        saved.advance(86_400 - 1_000)
        assert source.usable() is None

    def test_a_saved_set_that_is_too_old_is_not_used(self, saved):
        saved.advance(86_400)
        assert self.restart(saved).snapshot is None

    def test_a_saved_set_from_the_future_is_not_used(self, saved):
        saved.wall.advance(-1)
        assert self.restart(saved).snapshot is None

    @pytest.mark.parametrize(
        "changed",
        [
            {"issuer": "https://evil.example"},
            {"format": 2},
            {"jwks": 7},
            {"saved_at": "now"},
            {"saved_at": True},
            {"jwks": '{"keys":[]}'},
        ],
    )
    def test_a_saved_set_of_another_kind_is_not_used(self, saved, changed):
        path = saved.config.jwks.snapshot
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
        assert self.restart(saved).snapshot is None

    @pytest.mark.attack("GW25")
    @pytest.mark.parametrize("keep", [0, 1, 100])
    def test_a_torn_file_is_not_used(self, saved, keep):
        path = saved.config.jwks.snapshot
        path.write_bytes(path.read_bytes()[:keep])
        assert self.restart(saved).snapshot is None

    def test_only_its_owner_may_read_or_change_it(self, saved):
        assert saved.config.jwks.snapshot.stat().st_mode & 0o777 == 0o600
        assert [each.name for each in saved.config.jwks.snapshot.parent.iterdir()] == ["keys.json"]

    def test_it_is_written_when_keys_change_and_else_once_a_minute(self, saved):
        saved.fetch.down = False
        path = saved.config.jwks.snapshot
        path.unlink()
        saved.advance(30)
        saved.source.refresh()
        assert not path.exists()
        saved.fetch.answers[JWKS] = jwks(0, 1)
        saved.source.refresh()
        assert path.exists()
        path.unlink()
        saved.advance(60)
        saved.source.refresh()
        assert path.exists()

    def test_a_place_that_cannot_be_written_is_said_and_survived(self, tmp_path):
        ground = Ground(snapshot=tmp_path / "none" / "keys.json")
        assert ground.source.refresh()
        assert len(ground.log.named("jwks.snapshot_unwritten")) == 1

    def test_a_swap_that_fails_leaves_no_litter(self, tmp_path):
        (tmp_path / "keys.json").mkdir()
        (tmp_path / "keys.json" / "x").touch()
        ground = Ground(snapshot=tmp_path / "keys.json")
        assert ground.source.refresh()
        assert len(list(tmp_path.iterdir())) == 1

    def test_without_a_place_nothing_is_restored(self, ground):
        ground.source._restore()
        assert ground.source.snapshot is None


@pytest.fixture
def threaded():
    """A source that runs, by the clock of the test, and has looked long ago; it ends with the test."""
    ground = Ground(kid_cooldown=0.2)
    ground.source.start()
    eventually(lambda: ground.source.fetches["good"] == 1)
    ground.advance(60)
    yield ground
    ground.source.stop()
    ground.source._thread.join(5)
    assert not ground.source._thread.is_alive()


def eventually(true, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class EndsIt:
    """Stands for the lock that a look begins with: who holds it ends the source, just before it forgets old calls."""

    def __init__(self, source: KeySource) -> None:
        self._source = source

    def __enter__(self) -> None:
        self._source.stop()

    def __exit__(self, *_: object) -> None:
        """Let go."""


def test_an_end_that_comes_as_a_look_begins_is_not_slept_through(ground):
    source = ground.source
    source._turn = EndsIt(source)
    thread = threading.Thread(target=source._run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert ground.kids() == {kid(0)}


@pytest.mark.attack("GW19")
def test_many_who_ask_at_once_cause_one_fetch(threaded):
    before = len(threaded.fetch.asked)
    start = threading.Barrier(16)

    def ask() -> bool:
        start.wait(30)
        asked = threaded.source.ask()
        if asked is not None:
            asked.result(30)
        return asked is not None

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: ask(), range(16))) == 1
    assert len(threaded.fetch.asked) == before + 1


def test_an_answer_comes_even_when_the_fetch_fails(threaded):
    threaded.fetch.down = True
    asked = threaded.source.ask()
    assert asked.result(30) is None


def test_a_fault_in_the_thread_is_said_and_survived(threaded):
    threaded.fetch.answers.clear()  # KeyError: nobody foresaw it
    threaded.source.ask().result(30)
    threaded.fetch.answers[JWKS] = jwks(1)
    eventually(lambda: threaded.kids() == {kid(1)})
    assert threaded.log.named("jwks.fault")[0] == {"issuer": "main", "kind": "KeyError"}


def test_who_asks_during_a_fetch_is_not_forgotten():
    ground = Ground(kid_cooldown=0.001)
    asked: list[object] = []

    def fetch(url, etag):
        if len(asked) < 2:
            time.sleep(0.005)
            asked.append(source.ask())
        return ground.fetch(url, etag)

    source = KeySource(ground.config, log=ground.log, fetch=fetch)
    source.start()
    eventually(lambda: len(asked) == 2)
    for each in asked:
        each.result(30)
    source.stop()
    assert len(ground.fetch.asked) >= 3
