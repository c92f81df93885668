"""What the provider says is over is refused, whatever happens to either side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from idp.gateway.client import Secret
from idp.gateway.config import ClientConfig, IssuerConfig, OnStale, RevocationConfig
from idp.gateway.jwks import KeySource
from idp.gateway.principal import Principal
from idp.gateway.revocation.feed import Feed
from idp.gateway.revocation.journal import Journal
from idp.gateway.revocation.marks import marks_of
from idp.gateway.revocation.revoked import Revoked
from idp.protocol.security_event import Ended
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import a_key
from tests.gateway.stream import GATEWAY, ISSUER, Stream

NOW = 1_800_000_000.0
CLAIMS = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": "https://orders.example",
    "client_id": "web-app",
    "iat": int(NOW),
    "exp": int(NOW) + 600,
    "jti": "jti-1",
    "sid": "sid-1",
    "grant_id": "grant-1",
    "parents": [{"jti": "parent-1", "client_id": "first-app"}],
}
ENDINGS = {
    "token": ("token", ("jti-1",), None),
    "session": ("session", ("sid-1",), None),
    "grant": ("grants", ("other", "grant-1"), None),
    "key": ("key", ("kid-1",), None),
    "parent": ("token", ("parent-1",), None),
    "account": ("account", ("alice",), int(NOW) + 1),
    "one of many accounts": ("account", ("bob", "alice"), int(NOW) + 1),
    "client": ("client", ("web-app",), int(NOW) + 1),
    "parent's client": ("client", ("first-app",), int(NOW) + 1),
    "everything": ("everything", (), int(NOW) + 1),
}


@pytest.fixture
def wall():
    return Clock(NOW)


@pytest.fixture
def monotonic():
    return Clock()


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def stream(wall):
    return Stream(a_key(), wall=wall)


@pytest.fixture
def fetcher():
    said = {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/jwks",
        "events_endpoint": f"{ISSUER}/events",
        "introspection_endpoint": f"{ISSUER}/introspect",
    }
    keys = json.dumps({"keys": [a_key().public_jwk()]}).encode()
    return Fetcher({f"{ISSUER}/.well-known/openid-configuration": json.dumps(said).encode(), f"{ISSUER}/jwks": keys})


@pytest.fixture
def feed(stream, wall, monotonic, log, fetcher):
    """A feed that asks when the test says so."""
    return make_feed(stream, wall, monotonic, log, fetcher)


def make_feed(
    stream, wall, monotonic, log, fetcher, *, journal: Path | None = None, algs=frozenset({"ES256"}), **chosen
) -> Feed:
    config = IssuerConfig(
        name="main",
        issuer=ISSUER,
        algs=algs,
        client=ClientConfig(id=GATEWAY, secret_file=Path("secret")),
        revocation=RevocationConfig(journal=journal, **chosen),
    )
    source = KeySource(config, log=log, fetch=fetcher, wall=wall, monotonic=monotonic)
    source.refresh()
    made = Feed(
        config,
        source,
        Secret(client_id=GATEWAY, secret="a secret of the gateway"),
        log=log,
        fetch=fetcher,
        post=lambda: stream,
        wall=wall,
        monotonic=monotonic,
    )
    made.restore()
    return made


@pytest.fixture
def token():
    return Principal(CLAIMS, kid="kid-1", payload=json.dumps(CLAIMS).encode())


RULE = OnStale(then="deny")


def passes(feed, token, rule=RULE):
    return feed.passes(token, b"token", rule)


@pytest.mark.attack("IN7")
@pytest.mark.parametrize(("kind", "ids", "not_before"), ENDINGS.values(), ids=ENDINGS.keys())
def test_what_is_over_is_refused_from_the_next_answer_on(feed, stream, token, kind, ids, not_before):
    feed.poll()
    assert passes(feed, token)
    stream.end(kind, *ids, not_before=not_before)
    feed.poll()
    assert not passes(feed, token)


@pytest.mark.parametrize(
    ("kind", "ids", "not_before"),
    [
        ("token", ("jti-2",), None),
        ("session", ("sid-2",), None),
        ("grants", ("grant-2",), None),
        ("key", ("kid-2",), None),
        ("account", ("bob",), int(NOW) + 1),
        ("account", ("bob", "carol"), int(NOW) + 1),
        ("account", ("alice",), int(NOW)),
        ("client", ("web-app",), int(NOW)),
        ("everything", (), int(NOW)),
    ],
)
def test_what_is_somebody_elses_or_of_before_is_not(feed, stream, token, kind, ids, not_before):
    stream.end(kind, *ids, not_before=not_before)
    feed.poll()
    assert passes(feed, token)


@pytest.mark.attack("IN7")
def test_the_algorithms_of_tokens_are_no_filter_for_what_is_over(stream, wall, monotonic, log, fetcher, token):
    assert stream.key.alg == "ES256"
    feed = make_feed(stream, wall, monotonic, log, fetcher, algs=frozenset({"RS256"}))
    stream.end("token", "jti-1")
    feed.poll()
    assert not passes(feed, token)


def test_a_token_with_little_in_it_can_be_revoked_too():
    claims = {**CLAIMS, "parents": "none", "sid": "s"}
    bare = Principal(claims, payload=json.dumps(claims).encode())
    assert bare.marks.exact == ("token jti-1", "session s", "grant grant-1")
    assert marks_of({"parents": ["x", {}]}).issued_at == 0.0


@pytest.mark.attack("GW20")
def test_a_withdrawn_key_goes_at_once_and_the_next_one_is_fetched_at_once(feed, stream, fetcher):
    """The event is signed by the new key already, which no fetch has shown yet."""
    feed.poll()
    old, new = a_key(), a_key(number=1)
    stream.key = new
    stream.end("key", old.kid)
    assert not feed.poll()  # nothing was taken, nothing refused
    assert feed._source._wake.is_set()
    both = {"keys": [old.public_jwk(), new.public_jwk()]}  # another worker still shows the old one
    fetcher.answers[f"{ISSUER}/jwks"] = json.dumps(both).encode()
    feed._source.refresh()
    feed.poll()
    feed._source.refresh()
    assert {key.kid for key in feed._source.usable().keys.keys} == {new.kid}


@pytest.mark.attack("GW20")
def test_what_the_withdrawn_key_signs_is_no_event_any_more(feed, stream, token):
    stream.end("key", a_key().kid)
    feed.poll()
    stream.end("token", "jti-1")
    feed.poll()
    assert passes(feed, token)
    assert not stream.errors


def test_is_acknowledged_once_it_is_kept_and_never_told_again(feed, stream):
    stream.end("token", "jti-1")
    feed.poll()
    feed.poll()
    feed.poll()
    assert [len(each["ack"]) for each in stream.polls] == [0, 1, 0]


def test_asks_at_once_for_more(feed, stream, token):
    for number in range(250):
        stream.end("token", f"jti-{number}")
    assert [feed.poll(), feed.poll(), feed.poll()] == [True, True, False]
    assert len(feed.revoked) == 250


def test_is_not_up_to_date_before_everything_was_heard(feed, stream):
    for number in range(150):
        stream.end("token", f"jti-{number}")
    assert feed.silence() == float("inf")
    feed.poll()
    assert feed.silence() == float("inf")
    feed.poll()
    assert feed.silence() == 0


def test_forgets_what_would_have_expired(feed, stream, wall, monotonic, token):
    stream.end("token", "jti-1", until=int(NOW) + 100)
    stream.end("account", "alice", not_before=int(NOW) + 1, until=int(NOW) + 100)
    feed.poll()
    wall.advance(101)
    monotonic.advance(101)
    feed.poll()
    assert len(feed.revoked) == 0
    assert passes(feed, token)


def test_the_latest_of_two_ends_counts_in_any_order():
    for order in ((1, 2), (2, 1)):
        revoked = Revoked()
        for second in order:
            revoked.add(Ended(kind="account", ids=("alice",), not_before=int(NOW) + second, until=int(NOW) + second))
        revoked.forget(NOW + 1)
        (left,) = revoked.entries()
        assert (left.not_before, left.until) == (int(NOW) + 2, int(NOW) + 2)


class TestRestarts:
    @pytest.fixture
    def journal(self, tmp_path):
        return tmp_path / "revoked.journal"

    @pytest.fixture
    def start(self, stream, wall, monotonic, log, fetcher, journal):
        running = []

        def start(**chosen):
            for each in running:
                each.stop()
            running.append(make_feed(stream, wall, monotonic, log, fetcher, **{"journal": journal, **chosen}))
            return running[-1]

        yield start
        for each in running:
            each.stop()

    @pytest.mark.parametrize(("kind", "ids", "not_before"), ENDINGS.values(), ids=ENDINGS.keys())
    def test_what_was_heard_is_known_after_a_restart_without_the_provider(
        self, start, stream, token, kind, ids, not_before
    ):
        stream.end(kind, *ids, not_before=not_before)
        start().poll()
        stream.away = True
        assert not passes(start(), token, OnStale(then="allow"))

    def test_a_withdrawn_key_stays_away_whatever_a_fetch_shows(self, start, stream):
        feed = start()
        stream.end("key", a_key().kid, a_key(number=1).kid)
        feed.poll()
        feed.stop()
        stream.away = True
        again = start()
        assert again._source.refresh()
        assert not again._source.usable().keys.keys

    def test_the_same_stream_goes_on(self, start, stream):
        stream.end("token", "jti-1")
        start().poll()
        stream.end("token", "jti-2")
        again = start()
        again.poll()
        assert len(stream.streams) == 1
        assert len(again.revoked) == 2

    def test_what_was_said_but_not_kept_is_said_again(self, start, stream, token, monkeypatch):
        feed = start()
        feed.poll()
        stream.end("token", "jti-1")
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                feed.poll()
        again = start()
        assert len(again.revoked) == 0
        again.poll()
        assert not passes(again, token)

    def test_silence_is_counted_over_the_restart(self, start, wall, monotonic):
        start().poll()
        wall.advance(40)
        monotonic.advance(40)
        assert start().silence() == pytest.approx(40)

    def test_a_clock_that_went_back_makes_nothing_fresh(self, start, wall):
        start().poll()
        wall.advance(-40)
        assert start().silence() == float("inf")

    def test_a_torn_last_line_costs_nothing_that_was_acknowledged(self, start, stream, journal):
        stream.end("token", "jti-1")
        start().poll()
        with journal.open("ab") as file:
            file.write(b'{"kind": "tok')
        assert len(start().revoked) == 1

    @pytest.mark.parametrize(
        "damage",
        [b"", b"{}\n", b"\x00\n", b'{"format":1}\nx\n', "line", "kind", "shape", "other issuer"],
    )
    def test_a_damaged_file_means_a_new_stream_that_is_told_everything(self, start, stream, journal, token, damage):
        stream.end("token", "jti-1")
        first = start()
        first.poll()
        first.poll()
        text = journal.read_bytes()
        if damage == "line":
            damage = text.replace(b'"until"', b'"until', 1) + b'{"heard_at": 1}\n'
        elif damage == "kind":
            damage = text.replace(b'"token"', b'"tokens"', 1)
        elif damage == "shape":
            damage = text.replace(b'"ids"', b'"id"', 1)
        elif damage == "other issuer":
            damage = text.replace(ISSUER.encode(), b"https://other.example")
        journal.write_bytes(damage)
        again = start()
        assert len(again.revoked) == 0
        again.poll()
        assert len(stream.streams) == 2
        assert not passes(again, token)

    def test_without_a_file_everything_is_told_again(self, start, stream, token):
        stream.end("token", "jti-1")
        first = start(journal=None)
        first.poll()
        first.poll()
        again = start(journal=None)
        again.poll()
        assert not passes(again, token)

    def test_two_processes_with_one_file_hear_everything_each(
        self, stream, wall, monotonic, log, fetcher, journal, token
    ):
        both = [make_feed(stream, wall, monotonic, log, fetcher, journal=journal) for _ in range(2)]
        for feed in both:
            feed.poll()
        stream.end("token", "jti-1")
        for feed in both:
            feed.poll()
        assert [passes(feed, token) for feed in both] == [False, False]
        for feed in both:
            feed.stop()

    def test_the_file_does_not_grow_for_ever(self, start, stream, wall, monotonic, journal):
        feed = start()
        for number in range(40):
            for each in range(50):
                stream.end("token", f"{number}-{each}", until=int(wall()) + 5)
            wall.advance(61)
            monotonic.advance(61)
            feed.poll()
        assert len(journal.read_bytes().splitlines()) < 1_200

    def test_a_full_disk_loses_nothing(self, start, stream, token, log, monkeypatch):
        feed = start()
        feed.poll()
        stream.end("token", "jti-1")
        with monkeypatch.context() as patch:
            patch.setattr("idp.gateway.revocation.journal._write", _full)
            feed.poll()
            assert not passes(feed, token)
            feed.poll()
            assert not feed.poll()
        assert log.named("revocation.unkept")
        stream.end("token", "jti-2")
        feed.poll()
        again = start()
        again.poll()
        assert len(again.revoked) == 2

    def test_a_disk_that_fills_while_the_file_is_written_anew_leaves_the_old_one(
        self, start, stream, journal, monkeypatch, log
    ):
        stream.end("token", "jti-1")
        start().poll()
        before = journal.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr("idp.gateway.revocation.journal._write", _full)
            start()
        assert log.named("revocation.unkept")
        assert journal.read_bytes() == before
        assert len(start().revoked) == 1

    def test_a_folder_that_is_not_there_costs_the_file_alone(self, start, stream, token, tmp_path, log):
        stream.end("token", "jti-1")
        feed = start(journal=tmp_path / "nowhere" / "file")
        feed.poll()
        assert not passes(feed, token)
        assert log.named("revocation.unkept")


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")
