"""When the provider says nothing for too long, each route has its own answer."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest

from idp.gateway.config import IssuerConfig
from idp.gateway.decide import Gate
from idp.gateway.fetch import FetchError
from idp.gateway.load import ConfigError, parse
from idp.gateway.own import answer as own
from idp.gateway.request import Request
from idp.gateway.revocation.feed import Feed
from idp.jose.sign import sign
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import AUDIENCE, a_key
from tests.gateway.stream import GATEWAY, ISSUER, Stream

NOW = 1_800_000_000.0
FILE = """
version = 1
{top}
[issuers.main]
issuer = "https://id.example"
client = {{ id = "orders-gateway", secret_file = "{secret}" }}
revocation = {{ poll = "100ms" }}

[[routes]]
id = "orders"
match = {{ host = "api.example", method = ["GET"], path = "/orders" }}
audience = "https://orders.example"
upstream = "http://127.0.0.1:9"
{route}
"""


class Ground:
    """A gate with one route, whose provider is a list."""

    def __init__(self, secret, *, top="", route="") -> None:
        self.tokens = {}
        self.wall, self.clock, self.log = Clock(NOW), Clock(), Log()
        self.stream = Stream(a_key(), wall=self.wall)
        said = {
            "issuer": ISSUER,
            "jwks_uri": f"{ISSUER}/jwks",
            "events_endpoint": f"{ISSUER}/events",
            "introspection_endpoint": f"{ISSUER}/introspect",
        }
        keys = json.dumps({"keys": [a_key().public_jwk()]}).encode()
        where = f"{ISSUER}/.well-known/openid-configuration"
        self.fetch = Fetcher({where: json.dumps(said).encode(), f"{ISSUER}/jwks": keys})
        secret.write_text("a secret of the gateway\n")
        config = parse(FILE.format(secret=secret, top=top, route=route))
        self.gate = Gate(config, log=self.log, fetch=self.fetch, wall=self.wall, monotonic=self.clock)
        self.feed = self.gate.feeds["main"]
        self.feed._caller = self.stream
        self.feed.introspector._post = lambda: self.stream
        self.gate.sources["main"].refresh()
        self.feed.restore()
        self.feed.poll()

    def ask(self, jti="jti-1"):
        request = self.request(jti)
        return asyncio.run(self.gate.settle(request, self.gate.decide_now(request)))

    def request(self, jti="jti-1"):
        claims = {
            "iss": ISSUER,
            "sub": "alice",
            "aud": AUDIENCE,
            "client_id": "web-app",
            "iat": int(NOW),
            "exp": int(NOW) + 6_000,
            "jti": jti,
        }
        token = self.tokens.setdefault(jti, sign(claims, a_key(), typ="at+jwt"))
        headers = [(b"authorization", b"Bearer " + token.encode())]
        return Request(method="GET", target=b"/orders", host=b"api.example", headers=headers)

    def silent_for(self, seconds):
        self.stream.away = True
        self.wall.advance(seconds)
        self.clock.advance(seconds)


@pytest.fixture
def ground(tmp_path):
    made = []

    def ground(**parts):
        made.append(Ground(tmp_path / "secret", **parts))
        return made[-1]

    yield ground
    for each in made:
        each.feed.introspector.stop()


@pytest.mark.attack("IN7")
def test_a_revoked_token_is_refused_like_any_that_is_no_good(ground):
    it = ground()
    assert it.ask().allowed
    it.stream.end("token", "jti-1")
    it.feed.poll()
    decision = it.ask()
    assert (decision.status, decision.reason) == (401, "revoked")
    assert it.ask("jti-2").allowed


def test_up_to_the_limit_silence_means_nothing(ground):
    it = ground()
    it.silent_for(60)
    assert it.ask().allowed
    assert it.stream.asked == []


def test_then_the_usual_is_to_ask_about_each_token_and_to_remember_the_answer(ground):
    it = ground()
    it.silent_for(61)
    assert it.ask().allowed
    assert it.ask().allowed
    assert len(it.stream.asked) == 1
    it.stream.active = False
    assert it.ask().allowed
    it.silent_for(6)
    assert (it.ask().status, it.ask().reason) == (401, "revoked")


def test_a_provider_that_does_not_answer_either_makes_no_valid_token_fail(ground):
    it = ground()
    it.silent_for(61)
    it.stream.active = None
    assert it.ask("jti-1").allowed
    assert it.ask("jti-2").allowed
    assert len(it.stream.asked) == 1  # that nobody answers is remembered too


def test_while_nobody_answers_nobody_waits_and_the_first_answer_is_noticed(ground):
    it = ground()
    it.silent_for(61)
    it.stream.active = None
    assert it.ask().allowed
    it.silent_for(6)
    go = threading.Event()
    answer = it.stream.post
    it.stream.post = lambda *parts: (go.wait(5), answer(*parts))[1]
    it.stream.active = False
    assert it.gate.decide_now(it.request()).allowed  # the question is under way, and holds nobody up
    assert it.gate.decide_now(it.request("jti-2")).allowed
    go.set()
    assert soon(lambda: it.gate.decide_now(it.request()).status == 401)
    assert len(it.stream.asked) == 2


def test_questions_that_wait_for_their_turn_go_away_when_nobody_answers(ground):
    it = ground()
    it.silent_for(61)
    go = threading.Event()

    def hang(*_):
        go.wait(5)
        raise FetchError("issuer cannot be reached")

    it.stream.post = hang
    waiting = [it.gate.decide_now(it.request(f"jti-{number}")).waits for number in range(20)]
    began = time.monotonic()
    go.set()
    for each in waiting:
        each.result(5)
    assert time.monotonic() - began < 5
    assert it.ask("jti-19").allowed


def test_a_sensitive_route_is_closed_then(ground):
    it = ground(route='on_revocation_stale = { otherwise = "deny" }')
    it.silent_for(61)
    it.stream.active = None
    decision = it.ask()
    assert (decision.status, decision.reason) == (503, "in_doubt")
    assert dict(decision.answer()[1])[b"retry-after"] == b"5"
    assert it.ask().status == 503


@pytest.mark.parametrize(("then", "status"), [("allow", 200), ("deny", 503)])
def test_other_routes_do_not_ask(ground, then, status):
    it = ground(route=f'on_revocation_stale = {{ after = "10s", then = "{then}" }}')
    it.silent_for(11)
    assert it.ask().status == status
    assert it.stream.asked == []


def test_what_is_known_to_be_revoked_stays_so_in_silence(ground):
    it = ground(route='on_revocation_stale = { then = "allow" }')
    it.stream.end("token", "jti-1")
    it.feed.poll()
    it.silent_for(100)
    assert it.ask().status == 401


def test_a_route_may_differ_from_the_rest(ground):
    top = '[defaults]\non_revocation_stale = { after = "5s", then = "deny" }'
    it = ground(top=top)
    it.silent_for(6)
    assert it.ask().status == 503
    it = ground(top=top, route='on_revocation_stale = { then = "allow" }')
    it.silent_for(6)
    assert it.ask().allowed


def test_a_gateway_that_never_heard_anything_is_in_doubt_at_once(ground):
    it = ground(route='on_revocation_stale = { then = "deny" }')
    it.feed._heard = float("-inf")
    assert it.ask().status == 503


def test_two_requests_with_one_token_ask_once(ground):
    it = ground()
    it.silent_for(61)
    go = threading.Event()
    answer = it.stream.post
    it.stream.post = lambda *parts: (go.wait(5), answer(*parts))[1]
    first, second = (it.gate.decide_now(it.request()) for _ in range(2))
    assert first.waits is second.waits is not None
    go.set()
    first.waits.result(5)
    assert it.gate.decide_now(it.request()).allowed
    assert len(it.stream.asked) == 1


def test_answers_that_are_remembered_are_bounded(ground, monkeypatch):
    monkeypatch.setattr("idp.gateway.revocation.introspect._MOST", 3)
    it = ground()
    it.silent_for(61)
    for number in range(5):
        assert it.ask(f"jti-{number}").allowed
    assert len(it.feed.introspector._answers) == 3


def test_readiness_says_how_long_and_how_late(ground):
    it = ground()
    it.stream.happened = NOW - 0.5
    it.stream.end("token", "jti-1")
    it.feed.poll()
    it.silent_for(7)
    said = json.loads(own(it.gate, "GET", b"/.gatehouse/readyz")[2])["issuers"]["main"]
    assert (said["revocation_silence"], said["revocation_delay"], said["revoked"]) == (7.0, 0.5, 1)
    it.feed._heard = float("-inf")
    said = json.loads(own(it.gate, "GET", b"/.gatehouse/readyz")[2])["issuers"]["main"]
    assert said["revocation_silence"] is None


class TestTheThread:
    def test_asks_by_itself_until_it_is_stopped(self, ground):
        it = ground()
        it.gate.start()
        try:
            it.stream.end("token", "jti-1")
            assert soon(lambda: it.ask().status == 401)
            assert it.gate.heard()
        finally:
            it.gate.stop()
        polls = len(it.stream.polls)
        time.sleep(0.3)
        assert len(it.stream.polls) == polls

    def test_survives_everything_and_says_so_once(self, ground):
        it = ground()
        it.feed.start()
        try:
            it.stream.away = True
            assert soon(lambda: it.feed.failing)
            it.stream.away, it.stream.answer = False, b"not JSON"
            time.sleep(0.3)
            it.stream.answer = None
            assert soon(lambda: not it.feed.failing)
            it.stream.post, kept = None, it.stream.post  # a fault of ours
            assert soon(lambda: it.feed.failing)
            it.stream.post = kept
            assert soon(lambda: not it.feed.failing)
        finally:
            it.feed.stop()
        assert [facts["reason"] for facts in it.log.named("revocation.silence")] == [
            "issuer cannot be reached",
            "TypeError",
        ]
        assert len(it.log.named("revocation.heard_again")) == 2

    def test_asks_at_once_while_there_is_more(self, ground):
        it = ground()
        for number in range(1_000):
            it.stream.end("token", f"x-{number}")
        it.feed._pause = lambda: 3_600.0  # whoever rested in between would be late
        it.feed.start()
        try:
            assert soon(lambda: len(it.feed.revoked) == 1_000)
        finally:
            it.feed.stop()


def soon(what):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.01)
    return False


class TestWhatIsSaid:
    @pytest.mark.parametrize("answer", [b"", b"[]", b'{"sets": []}', b'{"sets": {"a": 1, "a": 2}}'])
    def test_an_answer_that_is_none_counts_as_silence(self, ground, answer):
        it = ground()
        it.stream.answer = answer
        assert not it.feed._turn()
        assert it.feed.failing

    @pytest.mark.parametrize(
        ("changed", "error"),
        [
            ({"typ": "at+jwt"}, "invalid_request"),
            ({"changed": {"iss": "https://other.example"}}, "invalid_issuer"),
            ({"changed": {"aud": "another-gateway"}}, "invalid_audience"),
            ({"changed": {"jti": "another"}}, "invalid_request"),
            ({"changed": {"events": None}}, "invalid_request"),
            ({"changed": {"events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": 1}}},
             "invalid_request"),
            ({"key": a_key("RS256")}, None),
        ],
    )  # fmt: skip
    def test_an_event_that_cannot_be_believed_is_sent_back_and_revokes_nothing(self, ground, changed, error):
        it = ground()
        for name, value in changed.items():
            setattr(it.stream, name, value)
        it.stream.end("token", "jti-1")
        it.feed.poll()
        it.feed.poll()
        assert it.ask().allowed
        assert [each["err"] for each in it.stream.errors.values()] == ([] if error is None else [error])

    def test_an_event_under_a_newer_key_waits_for_the_key(self, ground):
        it = ground()
        it.gate.sources["main"]._wake.clear()
        it.stream.key = a_key(number=7)
        it.stream.end("token", "jti-1")
        assert not it.feed.poll()
        assert it.gate.sources["main"]._wake.is_set()  # at once: it is the issuer who shows that there is a newer key
        keys = [a_key().public_jwk(), a_key(number=7).public_jwk()]
        it.fetch.answers[f"{ISSUER}/jwks"] = json.dumps({"keys": keys}).encode()
        it.gate.sources["main"].refresh()
        it.feed.poll()
        assert it.ask().status == 401

    def test_an_event_without_its_time_counts_all_the_same(self, ground):
        it = ground()
        it.stream.changed = {"toe": None}
        it.stream.end("token", "jti-1")
        it.feed.poll()
        assert it.ask().status == 401
        assert it.feed.delay is None

    def test_without_keys_nothing_is_taken_over(self, ground):
        it = ground()
        it.stream.end("token", "jti-1")
        it.gate.sources["main"].snapshot = None
        assert not it.feed.poll()
        assert len(it.feed.revoked) == 0

    def test_an_event_of_another_type_is_taken_over_and_says_nothing(self, ground):
        it = ground()
        it.stream.changed = {"events": {"https://example.org/else": {}}}
        it.stream.end("token", "jti-1")
        it.feed.poll()
        it.feed.poll()
        assert it.stream.errors == {}
        assert it.ask().allowed

    def test_the_stream_has_a_name_and_the_gateway_proves_who_it_is(self, ground):
        it = ground()
        (name,) = it.stream.streams
        assert len(name) == 16
        assert it.stream.headers[0]["Authorization"].startswith("Basic ")
        assert it.feed._credentials.client_id == GATEWAY


class TestDiscovery:
    @pytest.mark.parametrize(
        "said",
        [
            {"issuer": "https://other.example"},
            {"events_endpoint": None},
            {"events_endpoint": "http://id.example/events"},
            {"events_endpoint": "http://127.0.0.1/events"},
            {"events_endpoint": "https://id.example/events?x=1"},
        ],
    )
    def test_refuses_an_address_that_is_none(self, ground, said):
        it = ground()
        where = f"{ISSUER}/.well-known/openid-configuration"
        document = json.loads(it.fetch.answers[where])
        it.fetch.answers[where] = json.dumps({**document, **said}).encode()
        it.feed._addresses = {}
        assert not it.feed._turn()
        assert it.feed.failing

    def test_looks_for_the_address_again_when_something_is_wrong(self, ground):
        it = ground()
        it.stream.away = True
        it.feed._turn()
        asked = len(it.fetch.asked)
        it.stream.away = False
        it.feed._turn()
        it.feed._turn()
        assert len(it.fetch.asked) == asked + 1

    def test_a_feed_needs_a_stream(self, ground):
        it = ground()
        config = IssuerConfig(name="main", issuer=ISSUER)
        with pytest.raises(AssertionError):
            Feed(config, it.gate.sources["main"], it.feed._credentials, log=it.log, fetch=it.fetch)

    def test_an_address_of_the_file_comes_first(self, ground, tmp_path):
        it = ground()
        text = FILE.format(secret=tmp_path / "secret", top="", route="")
        text = text.replace('poll = "100ms"', 'events = "https://id.example/events"')
        it.feed._settings = parse(text).issuers[0].revocation
        it.feed._addresses = {}
        asked = len(it.fetch.asked)
        it.feed.poll()
        assert len(it.fetch.asked) == asked


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (', secret_file = "s"', "", 'needs one of "key_file" and "secret_file"'),
        ('secret_file = "s"', 'secret_file = "s", key_file = "k"', 'needs one of "key_file" and "secret_file"'),
        ('id = "orders-gateway",', "", '"id" is missing'),
        ('poll = "100ms"', 'poll = "1ms"', 'must be between "50ms" and "60s"'),
        ('poll = "100ms"', 'events = "http://id.example/events"', "must be an https address"),
        ('poll = "100ms"', 'pol = "1s"', '"pol" is unknown'),
        ('client = { id = "orders-gateway", secret_file = "s" }', "", 'needs the field "client"'),
        ('revocation = { poll = "100ms" }', "", "has no meaning"),
        ('then = "deny"', 'then = "maybe"', "must be"),
        ('then = "deny"', 'when = "1s"', '"when" is unknown'),
        ('then = "deny"', "after = 5", "must be a span of time"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_its_line(old, new, said):
    text = FILE.format(secret="s", top="", route='on_revocation_stale = { then = "deny" }')
    parse(text)
    assert old in text
    with pytest.raises(ConfigError, match="line .*" + said.replace("[", r"\[")):
        parse(text.replace(old, new))
