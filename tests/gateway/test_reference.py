"""A token that says nothing is asked about once, and then judged as any other."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from idp.gateway import reference as reference_module
from idp.gateway.load import parse
from idp.gateway.reference import _bound
from tests.gateway.exchange.ground import Ground, sent
from tests.gateway.exchanging import GATEWAY, ISSUER, NOW, STOCK, until
from tests.gateway.issuer import a_key


def reference(name: object) -> str:
    return f"{name}".ljust(42, "-") + "A"


TOKEN, OTHER = reference("a-reference-that-says-nothing"), reference("another-one-that-says-just-as-little")
REFERENCES = "reference_tokens = true"
HEARD = REFERENCES + '\nrevocation = { poll = "100ms" }'
PLAIN = """
[[routes]]
id = "plain"
match = { host = "api.example", method = ["GET"], path = "/plain" }
audience = "https://orders.example"
upstream = "http://127.0.0.1:9"
require = { scope = ["orders:read"] }
"""


@pytest.fixture
def make(tmp_path):
    made = []

    def start(issuer=REFERENCES) -> Ground:
        ground = Ground(tmp_path, issuer=issuer + "\n" + PLAIN)
        made.append(ground)
        return ground

    yield start
    for ground in made:
        if ground.provider.hang is not None:
            ground.provider.hang.set()
        ground.gate._issuers.references["main"].stop()
        ground.exchanger.stop()


@pytest.fixture
def ground(make):
    return make()


def ask(ground, token=TOKEN, path="/plain"):
    return ground.ask(token, path)


def references(ground):
    return ground.gate._issuers.references["main"]


@pytest.mark.spec("RFC 9701 section 4", "RFC 9701 section 5")
def test_it_is_asked_about_once_and_then_known(ground):
    for _ in range(3):
        decision = ask(ground)
        assert decision.allowed, decision.reason
        assert decision.principal.subject == "alice"
    assert len(ground.provider.asked) == 1
    assert ground.provider.asked[0]["token"] == TOKEN
    assert ground.provider.sent[0]["Accept"] == "application/token-introspection+jwt"
    assert ground.provider.urls == [f"{ISSUER}/introspect"]


def test_the_address_may_be_configured(make):
    ground = make(REFERENCES + '\nintrospection_endpoint = "https://inside.example/introspect"')
    assert ask(ground).allowed
    assert ground.provider.urls == ["https://inside.example/introspect"]


def test_the_answer_may_be_signed_otherwise_than_access_tokens(make):
    assert ask(make(REFERENCES + '\nalgs = ["EdDSA"]')).allowed


def test_the_same_policy_holds_as_for_any_token(ground):
    ground.provider.state = {"scope": "orders:write"}
    assert ask(ground).status == 403
    ground.provider.state = {"aud": STOCK}
    assert ask(ground, OTHER).status == 401


def test_outside_a_reference_inside_a_token(ground):
    assert sent(ask(ground, path="/stock")) != TOKEN
    assert ground.provider.asked[-1]["subject_token"] == TOKEN


def test_fifty_at_once_are_one_question(ground):
    ground.provider.hang = threading.Event()
    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(ask, ground) for _ in range(50)]
        until(lambda: ground.provider.asked)
        ground.provider.hang.set()
        assert all(each.result().allowed for each in waiting)
    assert len(ground.provider.asked) == 1


@pytest.mark.parametrize(
    "token",
    ["short", "x" * 300, TOKEN[:-1], TOKEN + "A", TOKEN[:-1] + "B", TOKEN[1:] + "=", " " + TOKEN[1:], "ü" + TOKEN[1:]],
)
def test_what_is_no_reference_is_not_asked_about(ground, token):
    assert ask(ground, token).status == 401
    assert ground.provider.asked == []


def test_what_is_a_jwt_is_not_asked_about(ground):
    assert ground.ask(None, "/plain").allowed
    assert ask(ground, "not.a-reference-0123456789").status == 401
    assert ground.provider.asked == []


@pytest.mark.attack("IN3")
def test_what_is_not_active_is_refused_and_remembered_for_seconds(ground):
    ground.provider.inactive = True
    for _ in range(3):
        decision = ask(ground)
        assert (decision.status, decision.reason) == (401, "reference is not active")
    assert len(ground.provider.asked) == 1
    ground.provider.inactive = False
    ground.wall.advance(6)
    assert ask(ground).allowed


@pytest.mark.attack("IN2")
@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("outer", {"iss": "https://other.example"}),
        ("outer", {"aud": "other"}),
        ("outer", {"aud": [GATEWAY, "other"]}),
        ("outer", {"iat": int(NOW) - 120}),
        ("outer", {"iat": int(NOW) + 120}),
        ("outer", {"iat": None}),
        ("outer", {"token_introspection": None}),
        ("outer", {"token_introspection": {"active": "yes"}}),
        ("outer", {"exp": int(NOW) - 60}),
        ("state", {"iss": "https://other.example"}),
        ("state", {"aud": None}),
        ("state", {"exp": None}),
        ("state", {"exp": int(NOW) - 60}),
        ("state", {"sub": None}),
        ("state", {"sub": "line\nbreak"}),
        ("state", {"client_id": None}),
        ("state", {"jti": 5}),
        ("state", {"iat": None}),
        ("state", {"scope": ["orders:read"]}),
        ("state", {"token_type": None}),
        ("state", {"token_type": "N_A"}),
        ("typ", "at+jwt"),
        ("key", a_key("ES256", 3)),
        ("body", b'{"active": true}'),
        ("refusal", (401, "invalid_client")),
        ("refusal", (500, "x")),
    ],
)
def test_an_answer_that_is_not_signed_for_us_or_says_something_else_opens_nothing(ground, what, changed):
    setattr(ground.provider, what, changed)
    decision = ask(ground)
    assert (decision.status, decision.reason) == (503, "in_doubt")
    assert len(ground.log.named("references.silence")) == 1


def test_a_token_bound_to_a_key_is_told_by_its_kind(ground):
    ground.provider.state = {"token_type": "DPoP"}
    assert ask(ground).allowed


def test_it_is_asked_about_again_in_the_background(ground):
    assert ask(ground).allowed
    ground.wall.advance(8)  # of ten seconds, where nobody hears of revocations
    ground.provider.inactive = True
    assert ask(ground).allowed
    until(lambda: ask(ground).status == 401)
    assert len(references(ground)) == 0


def test_after_a_while_whoever_comes_waits_for_the_answer(ground):
    assert ask(ground).allowed
    ground.wall.advance(11)
    ground.provider.inactive = True
    assert ask(ground).status == 401


def test_it_ends_when_it_says(ground):
    ground.provider.state = {"exp": int(NOW) + 5}
    assert ask(ground).allowed
    ground.wall.advance(5)
    ground.provider.inactive = True
    assert ask(ground).status == 401


@pytest.mark.attack("GW24")
def test_while_the_provider_is_away_what_is_known_serves_and_the_rest_is_503(ground):
    assert ask(ground).allowed
    ground.provider.away = True
    ground.wall.advance(60)
    for _ in range(3):
        assert ask(ground).allowed  # until it ends
    decision = ask(ground, OTHER)
    assert (decision.status, decision.reason) == (503, "in_doubt")
    assert len(ground.provider.asked) == 2
    ground.clock.advance(1.5)
    assert ask(ground).allowed  # finds out whether somebody answers again, and does not wait for it
    until(lambda: len(ground.provider.asked) == 3)
    until(lambda: len(references(ground)._again) == 0)
    ground.provider.away = False
    ground.clock.advance(1.5)
    assert ask(ground, OTHER).allowed
    assert len(ground.log.named("references.silence")) == len(ground.log.named("references.heard_again")) == 1
    ground.wall.advance(600)
    ground.provider.away = True
    assert ask(ground).status == 503


def test_what_is_known_serves_though_the_question_failed_before_anybody_waited_for_it(ground, monkeypatch):
    assert ask(ground).allowed
    ground.provider.away = True
    ground.wall.advance(60)
    made, begin = references(ground), references(ground).ask

    def ended(*asked):
        begun = begin(*asked)
        if begun is not None:
            wait([begun])
        return begun

    monkeypatch.setattr(made, "ask", ended)
    assert ask(ground).allowed


def test_what_was_asked_before_nobody_answered_is_not_asked_then(ground, monkeypatch):
    made = references(ground)
    made._away = True
    made._work(b"key", TOKEN.encode(), False)
    assert ground.provider.asked == []


def test_what_was_answered_meanwhile_is_not_asked_again(ground):
    assert ask(ground).allowed
    made = references(ground)
    (key,) = made._known
    made._work(key, TOKEN.encode(), False)
    assert len(ground.provider.asked) == 1


def test_an_assertion_is_never_sent_twice(ground):
    ground.provider.stale = 1
    assert ask(ground).allowed
    first, second = (form["client_assertion"] for form in ground.provider.asked)
    assert first != second


@pytest.mark.attack("IN7")
@pytest.mark.parametrize("ending", [("token", "of " + TOKEN), ("session", "sid-1")], ids=lambda ending: ending[0])
def test_what_is_revoked_is_given_up(make, ending):
    ground = make(HEARD)
    assert ask(ground).allowed
    ground.provider.state = {"sid": "sid-2"}
    assert ask(ground, OTHER).allowed
    ground.stream.end(*ending)
    ground.gate.feeds["main"].poll()
    assert len(references(ground)) == 1
    ground.provider.inactive = True
    assert ask(ground).status == 401
    assert ask(ground, OTHER).allowed


@pytest.mark.attack("IN7")
def test_what_is_revoked_while_the_answer_is_on_its_way_is_refused(make):
    ground = make(HEARD)
    ground.provider.hang = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, ground)
        until(lambda: ground.provider.asked)
        ground.stream.end("session", "sid-1")
        ground.gate.feeds["main"].poll()
        ground.provider.hang.set()
        assert waiting.result().status == 401


def test_where_revocations_are_heard_it_is_known_for_a_minute(make):
    ground = make(HEARD)
    assert ask(ground).allowed
    ground.wall.advance(44)
    assert ask(ground).allowed
    assert len(ground.provider.asked) == 1


@pytest.mark.attack("IN3")
def test_who_makes_references_up_takes_a_share_and_stops_nobody_else(ground, monkeypatch):
    """Others are asked about meanwhile, and what is known in a lane of its own."""
    assert ask(ground).allowed
    ground.wall.advance(11)
    first = references(ground)._first
    monkeypatch.setattr(first, "_held", {"4:7f000001": reference_module._SHARE, "4:c6336401": 1})

    def ask_from(peer, token):
        request = ground.request(token, "/plain")
        request.peer = peer
        return ground.gate.decide(request)

    for number in range(3):
        decision = ask_from("127.0.0.1", reference(number))
        assert (decision.status, decision.reason) == (503, "in_doubt")
    assert ask_from("198.51.100.1", reference(4)).allowed
    assert ask_from("127.0.0.1", TOKEN).allowed
    assert len(ground.provider.asked) == 3


@pytest.mark.attack("IN3")
def test_who_asks_about_many_keeps_nothing_alive_that_has_ended(ground, monkeypatch):
    assert ask(ground).allowed
    ground.wall.advance(30)
    ground.provider.inactive = True
    monkeypatch.setattr(references(ground)._again, "_most", 0)
    decision = ask(ground)
    assert (decision.status, decision.reason) == (503, "in_doubt")


def test_what_is_kept_is_bounded(ground, monkeypatch):
    monkeypatch.setattr("idp.gateway.reference._MOST", 2)
    monkeypatch.setattr("idp.gateway.reference._MOST_REFUSED", 2)
    for number in range(4):
        assert ask(ground, reference(f"one-{number}")).allowed
    assert len(references(ground)) == 2
    ground.provider.inactive = True
    for number in range(4):
        assert ask(ground, reference(f"other-{number}")).status == 401
    assert len(references(ground)._refused) == 2


def test_another_thread_may_be_faster():
    class Gone(OrderedDict):
        def popitem(self, last=True):  # noqa: FBT002, ARG002 - the method it stands for
            raise KeyError

    entries = Gone({b"1": 1})
    _bound(entries, 0)
    assert len(entries) == 1


def test_without_keys_nothing_is_believed(ground):
    ground.gate.sources["main"].snapshot = None
    assert ask(ground).status == 503


def test_another_file_keeps_what_is_known(ground):
    assert ask(ground).allowed
    ground.gate.start()
    ground.gate.replace(parse(ground.text + "\n"))
    assert ask(ground).allowed
    assert len(ground.provider.asked) == 1
    ground.gate.stop()
