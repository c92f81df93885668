"""A request goes on with another token than it came with, or not at all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from idp.gateway.client import ASSERTION_TYPE
from idp.gateway.exchange.client import GRANT_TYPE
from idp.gateway.load import parse
from idp.gateway.own import answer as own
from idp.jose.strict import loads, split
from tests.gateway.exchange.ground import sent
from tests.gateway.exchanging import ISSUER, NOW, STOCK, a_token, until


def claims(token):
    return loads(split(token).payload)


@pytest.mark.spec("RFC 8693 section 2.1", "RFC 7523 section 2.2")
def test_the_provider_is_asked_with_the_gateways_own_key(ground):
    token = a_token()
    told = claims(sent(ground.ask(token)))
    assert (told["sub"], told["aud"], told["act"]["sub"]) == ("alice", STOCK, "gateway")
    form = dict(ground.provider.asked[0])
    proof = claims(form.pop("client_assertion"))
    assert (proof["iss"], proof["aud"]) == ("gateway", ISSUER)
    assert form == {
        "grant_type": GRANT_TYPE,
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": STOCK,
        "scope": "orders:read",
        "client_id": "gateway",
        "client_assertion_type": ASSERTION_TYPE,
    }
    assert ground.provider.urls == [f"{ISSUER}/token"]


def test_without_scopes_in_the_file_the_provider_decides(make):
    ground = make(exchange='{ audience = "https://stock.example" }')
    assert claims(sent(ground.ask()))["scope"] == "orders:read orders:write"
    assert "scope" not in ground.provider.asked[0]


@pytest.mark.attack("TX8")
@pytest.mark.spec("RFC 8693 section 2.2.1")
def test_fewer_scopes_will_do_where_the_route_says_so(make):
    wanted = 'audience = "https://stock.example", scope = ["orders:read", "orders:write"]'
    ground = make(exchange=f'{{ {wanted}, mode = "narrow" }}')
    ground.provider.changed = {"scope": "orders:read"}
    assert claims(sent(ground.ask()))["scope"] == "orders:read"
    ground.provider.changed = {"scope": "orders:read admin"}
    assert ground.ask(a_token(jti="jti-2")).reason == "exchange: the token has more scopes"
    ground = make(exchange=f"{{ {wanted} }}")
    ground.provider.changed = {"scope": "orders:read"}
    assert ground.ask().reason == "exchange: the token has fewer scopes"


def test_the_address_may_be_configured(make):
    ground = make(issuer='token_endpoint = "https://inside.example/token"')
    sent(ground.ask())
    assert ground.provider.urls == ["https://inside.example/token"]


def test_what_was_fetched_serves_again_on_threads_and_on_the_loop(ground):
    first = sent(ground.ask())
    assert sent(ground.ask_loop()) == sent(ground.ask()) == first
    assert len(ground.provider.asked) == 1


def test_the_loop_waits_without_holding_up_others(ground):
    sent(ground.ask_loop())
    assert len(ground.provider.asked) == 1


def test_fifty_at_once_are_one_question(ground):
    ground.provider.hang = threading.Event()
    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(ground.ask) for _ in range(50)]
        until(lambda: ground.provider.asked)
        ground.provider.hang.set()
        found = {sent(each.result()) for each in waiting}
    assert len(found) == len(ground.provider.asked) == 1


@pytest.mark.attack("GW21")
@pytest.mark.parametrize(
    "other",
    [
        {"scope": "orders:read"},
        {"acr": "aal2"},
        {"jti": "jti-2"},
        {"sid": "sid-2"},
        {"sub": "bob"},
        {"exp": int(NOW) + 30},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_token_never_gets_what_another_one_fetched(ground, other):
    strong = sent(ground.ask(a_token()))
    weak = sent(ground.ask(a_token(**other)))
    assert weak != strong
    assert claims(weak)["parents"][0]["jti"] == other.get("jti", "jti-1")
    assert claims(weak)["sub"] == other.get("sub", "alice")
    assert len(ground.provider.asked) == 2


@pytest.mark.attack("GW21")
def test_a_route_never_gets_what_was_fetched_for_another(ground):
    assert sent(ground.ask(path="/stock")) != sent(ground.ask(path="/other"))
    assert len(ground.provider.asked) == 2


@pytest.mark.attack("TX8", "GW21")
def test_a_narrow_token_is_refused_by_the_provider_and_not_served_from_memory(ground):
    sent(ground.ask())
    ground.provider.refusal = (400, "invalid_scope")
    assert ground.ask(a_token(scope="orders:write")).status == 502


def test_the_token_is_forgotten_ten_seconds_before_its_end(ground):
    first = sent(ground.ask())
    ground.wall.advance(49)
    ground.exchanger.stop()  # nothing renews it behind our back
    assert ground.exchanger.cache.find(next(iter(ground.exchanger.cache._entries)), ground.wall()) is not None
    ground.wall.advance(2)
    assert sent(ground.ask()) != first


def test_it_is_renewed_ahead_while_the_old_one_serves(ground):
    first = sent(ground.ask())
    ground.wall.advance(40)
    assert sent(ground.ask()) == first
    until(lambda: sent(ground.ask()) != first)
    assert len(ground.provider.asked) == 2


def test_a_renewal_that_is_refused_ends_what_was_there(ground):
    sent(ground.ask())
    ground.provider.refusal = (400, "invalid_request")
    ground.wall.advance(40)
    ground.ask()
    until(lambda: ground.ask().status == 401)


def test_a_renewal_that_nobody_answers_leaves_what_is_there(ground):
    first = sent(ground.ask())
    ground.provider.away = True
    ground.wall.advance(40)
    assert sent(ground.ask()) == first
    until(lambda: ground.log.named("exchange.silence"))
    for _ in range(3):
        assert sent(ground.ask()) == first
    assert len(ground.provider.asked) == 2


def test_near_the_end_of_the_callers_token_nothing_is_renewed(ground):
    token = a_token(exp=int(NOW) + 40)
    first = sent(ground.ask(token))
    ground.wall.advance(29)
    assert sent(ground.ask(token)) == first
    assert len(ground.provider.asked) == 1


def test_what_lives_for_seconds_is_used_and_not_kept(ground):
    token = a_token(exp=int(NOW) + 9)
    assert sent(ground.ask(token)) != sent(ground.ask(token))
    assert len(ground.exchanger.cache) == 0


@pytest.mark.spec("RFC 8693 section 2.2.2")
@pytest.mark.parametrize(
    ("refusal", "status", "reason"),
    [
        ((400, "invalid_request"), 401, "invalid_request"),
        ((400, "invalid_grant"), 401, "invalid_grant"),
        ((400, "invalid_target"), 502, "invalid_target"),
        ((400, "invalid_scope"), 502, "invalid_scope"),
        ((401, "invalid_client"), 502, "invalid_client"),
        ((400, "unauthorized_client"), 502, "unauthorized_client"),
        ((400, "something new"), 502, "unknown answer"),
        ((400, b"<html>"), 502, "unknown answer"),
        ((404, ["list"]), 502, "unknown answer"),
        ((400, "unmet_authentication_requirements"), 401, "unmet_authentication_requirements"),
        ((400, "invalid_dpop_proof"), 502, "invalid_dpop_proof"),
        ((400, "use_dpop_nonce"), 503, "provider has trouble"),
        ((400, "temporarily_unavailable"), 503, "provider has trouble"),
        ((503, "whatever"), 503, "provider has trouble"),
        ((500, b""), 503, "provider has trouble"),
        ((429, b""), 503, "too many requests"),
    ],
)
def test_each_refusal_has_its_answer_and_nothing_goes_on(ground, refusal, status, reason):
    ground.provider.refusal = refusal
    decision = ground.ask()
    assert (decision.status, decision.reason) == (status, f"exchange: {reason}")
    assert decision.upstream_headers == ()
    assert bool(ground.log.named("exchange.alarm")) == (status == 502)
    # For a moment it is remembered, so that no caller makes the provider repeat itself.
    assert ground.ask().status == status
    assert len(ground.provider.asked) == 1
    ground.provider.refusal = None
    ground.wall.advance(6)
    ground.clock.advance(6)
    sent(ground.ask())


def challenge(decision):
    return dict(decision.answer()[1])[b"www-authenticate"].decode()


@pytest.mark.spec("RFC 6750 section 3.1")
def test_a_token_that_the_provider_refuses_is_invalid_to_the_caller(ground):
    ground.provider.refusal = (400, "invalid_request")
    assert 'error="invalid_token"' in challenge(ground.ask())


@pytest.mark.spec("RFC 9470 section 3")
@pytest.mark.parametrize(
    ("had", "asked"), [("aal1", "aal2 aal3"), ("aal2", "aal3"), (None, "aal2 aal3"), ("aal3", None), (5, "aal2 aal3")]
)
def test_more_than_was_shown_is_asked_for(ground, had, asked):
    ground.provider.refusal = (400, "unmet_authentication_requirements")
    said = challenge(ground.ask(a_token(acr=had)))
    assert 'error="insufficient_user_authentication"' in said
    assert (f'acr_values="{asked}"' in said) if asked else ("acr_values" not in said)


@pytest.mark.parametrize(("given", "told"), [("7", 7), ("0", 1), ("900", 60), ("soon", 5), ("", 5), ("٣", 5)])
def test_the_caller_hears_when_to_come_again(ground, given, told):
    ground.provider.refusal, ground.provider.headers = (503, "x"), {"retry-after": given}
    assert dict(ground.ask().answer()[1])[b"retry-after"] == b"%d" % told


@pytest.mark.attack("GW24")
def test_a_provider_that_is_away_is_503_and_asked_once_a_second(ground):
    ground.provider.away = True
    decision = ground.ask()
    assert (decision.status, decision.reason) == (503, "exchange: issuer cannot be reached")
    for number in range(5):
        assert ground.ask(a_token(jti=f"other-{number}")).status == 503
    assert len(ground.provider.asked) == 1
    ground.clock.advance(1.5)
    assert ground.ask(a_token(jti="later")).status == 503
    assert len(ground.provider.asked) == 2
    ground.provider.away = False
    ground.clock.advance(1.5)
    sent(ground.ask(a_token(jti="at last")))
    assert len(ground.log.named("exchange.silence")) == len(ground.log.named("exchange.heard_again")) == 1
    # Its address is looked for again: it may be what had changed.
    assert len([url for url, _ in ground.fetch.asked if url.endswith("openid-configuration")]) >= 3


@pytest.mark.attack("GW24")
@pytest.mark.spec("RFC 6585 section 4")
def test_a_provider_that_says_too_many_is_left_alone_until_the_time_it_says(ground):
    ground.provider.refusal, ground.provider.headers = (429, "too_many_requests"), {"retry-after": "7"}
    for number, (passed, left) in enumerate([(0, 7), (0, 7), (2.5, 5), (4.4, 1)]):
        ground.clock.advance(passed)
        decision = ground.ask(a_token(jti=f"jti-{number}"), path="/other" if number % 2 else "/stock")
        assert (decision.status, decision.reason) == (503, "exchange: too many requests")
        assert dict(decision.answer()[1])[b"retry-after"] == b"%d" % left
    assert len(ground.provider.asked) == 1
    assert ground.log.named("exchange.held_back") == [
        {"issuer": "main", "audience": STOCK, "reason": "too many requests", "seconds": 7}
    ]
    ground.provider.refusal = None
    ground.clock.advance(0.2)
    sent(ground.ask())
    assert len(ground.provider.asked) == 2


def test_what_was_fetched_serves_while_the_provider_wants_to_hear_nothing(ground):
    first = sent(ground.ask())
    ground.provider.refusal = (429, "too_many_requests")
    ground.wall.advance(40)
    assert sent(ground.ask()) == first
    until(lambda: ground.log.named("exchange.held_back"))
    ground.wall.advance(5)  # its renewal is due again
    assert sent(ground.ask()) == first
    assert len(ground.provider.asked) == 2


@pytest.mark.attack("GW24")
def test_a_fault_of_ours_refuses(ground, monkeypatch):
    monkeypatch.setattr(ground.exchanger._asks, "exchange", lambda *_: 1 / 0)
    decision = ground.ask()
    assert (decision.status, decision.upstream_headers) == (500, ())


def test_an_answer_that_comes_too_late_is_503(ground, monkeypatch):
    monkeypatch.setattr("idp.gateway.exchange.stage.ExchangeStage.seconds", 0.05)
    ground.provider.hang = threading.Event()
    assert ground.ask().status == 503
    ground.provider.hang.set()
    until(lambda: len(ground.exchanger._flight) == 0)
    sent(ground.ask())


def test_too_many_at_once_are_turned_away(ground, monkeypatch):
    ground.provider.hang = threading.Event()
    monkeypatch.setattr(ground.exchanger._flight, "_most", 1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ground.ask)
        until(lambda: ground.provider.asked)
        decision = ground.ask(a_token(jti="another"))
        assert (decision.status, decision.reason) == (503, "exchange: too many exchanges are under way")
        ground.provider.hang.set()
        sent(first.result())


def test_an_assertion_is_never_sent_twice(ground):
    ground.provider.stale = 1
    sent(ground.ask())
    first, second = (form["client_assertion"] for form in ground.provider.asked)
    assert first != second
    ground.provider.stale = 2
    assert ground.ask(a_token(jti="jti-2")).status == 503


@pytest.mark.parametrize(
    "headers", [{"x_forwarded_authorization": "Bearer {}"}, {"cookie": "t={}"}, {"x_custom": "{}"}], ids=str
)
def test_a_token_in_a_second_place_does_not_travel_on(ground, headers):
    token = a_token()
    decision = ground.ask(token, **{name: value.format(token) for name, value in headers.items()})
    assert (decision.status, decision.reason) == (400, "the token is in a second place")
    assert ground.ask(token, f"/stock?t={token}").status == 400
    assert ground.provider.asked == []


REVOCATION = 'revocation = { poll = "100ms" }'


@pytest.mark.attack("IN7")
@pytest.mark.parametrize(
    "ending",
    [("token", "jti-1"), ("token", "issued-1"), ("session", "sid-1"), ("account", "alice"), ("client", "web-app")],
    ids="-".join,
)
def test_what_is_revoked_is_given_up(make, ending):
    ground = make(issuer=REVOCATION)
    ground.provider.changed = {"sid": "sid-1"}
    first = sent(ground.ask())
    kind, name = ending
    ground.stream.end(kind, name, not_before=int(NOW) + 1 if kind in {"account", "client"} else None)
    for feed in ground.gate.feeds.values():
        feed.poll()
    assert len(ground.exchanger.cache) == 0
    assert ground.log.named("exchange.evicted") == [{"issuer": "main", "tokens": 1}]
    if name == "issued-1":
        assert sent(ground.ask()) != first
    else:
        assert ground.ask().status == 401


@pytest.mark.attack("IN7")
@pytest.mark.parametrize(("name", "seen"), [("jti-1", "revoked"), ("issued-1", "revoked")])
def test_what_is_revoked_while_the_answer_is_on_its_way_is_not_used(make, name, seen):
    ground = make(issuer=REVOCATION)
    ground.provider.hang = threading.Event()
    if name == "jti-1":
        ground.provider.changed = {"parents": None}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ground.ask)
        until(lambda: ground.provider.asked)
        ground.stream.end("token", name)
        ground.gate.feeds["main"].poll()
        ground.provider.hang.set()
        decision = waiting.result()
    assert (decision.status, decision.reason) == (401, seen)


def test_an_entry_that_was_revoked_is_dropped_even_before_it_is_swept(make):
    ground = make(issuer=REVOCATION)
    first = sent(ground.ask())
    feed = ground.gate.feeds["main"]
    feed.listeners = ()
    ground.stream.end("token", "issued-1")
    feed.poll()
    assert sent(ground.ask()) != first


def test_another_file_keeps_what_was_fetched(ground):
    first = sent(ground.ask())
    ground.gate.replace(parse(ground.text + "\n"))
    assert sent(ground.ask()) == first
    assert own(ground.gate, "GET", b"/.gatehouse/jwks.json")[0] == 404


def test_a_gate_that_starts_and_stops_takes_its_exchanges_along(ground):
    ground.gate.start()
    sent(ground.ask())
    ground.gate.stop()
    assert ground.exchanger._flight._pool is None
