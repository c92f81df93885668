"""Limits as a caller meets them, counted by one gateway alone."""

from __future__ import annotations

import pytest

from idp.gateway import wsgi
from idp.gateway.issuers import CannotChange
from idp.gateway.load import parse
from idp.gateway.rules import Rules
from tests.gateway.issuer import AUDIENCE, a_key
from tests.gateway.limits.ground import JWKS, Ground, file, told
from tests.gateway.test_middleware import environ

CLIENT = '{ by = "client", rate = "1/s", burst = 3 }'
IP = '{ by = "ip", rate = "1/s", burst = 3 }'


def test_a_burst_passes_and_the_rate_after_it():
    ground = Ground(CLIENT)
    assert ground.statuses(5) == [200, 200, 200, 429, 429]
    ground.clock.advance(0.999)
    assert ground.statuses(1) == [429]
    ground.clock.advance(0.001)
    assert ground.statuses(2) == [200, 429]
    ground.clock.advance(1_000)
    assert ground.statuses(4) == [200, 200, 200, 429]


def test_a_refusal_says_when_to_come_back_and_has_an_id():
    ground = Ground('{ by = "client", rate = "2/m" }')
    ground.statuses(2)
    decision = ground.ask()
    assert decision.answer()[0] == 429
    assert told(decision)["retry-after"] == "30"
    assert b'"error": "too_many_requests"' in decision.answer()[2]
    assert f'"decision": "{decision.id}"'.encode() in decision.answer()[2]
    assert ground.log.decisions[-1]["why"] == "limit.client"
    ground.clock.advance(30)
    assert ground.ask().allowed


def test_a_caller_is_told_what_is_left():
    ground = Ground(CLIENT, '{ by = "route", rate = "60/m", burst = 2 }')
    said = [told(ground.ask()) for _ in range(3)]
    assert {each["ratelimit-policy"] for each in said} == {'"client";q=3;w=3, "route";q=2;w=2'}
    assert [each["ratelimit"] for each in said] == [
        '"client";r=2;t=1, "route";r=1;t=1',
        '"client";r=1;t=2, "route";r=0;t=1',
        '"client";r=1;t=2, "route";r=0;t=1',
    ]


def test_a_request_takes_from_all_buckets_or_from_none():
    ground = Ground('{ by = "client", rate = "1/h", burst = 3 }', '{ by = "subject", rate = "1/h", burst = 1 }')
    assert ground.statuses(3, sub="alice") == [200, 429, 429]
    assert ground.statuses(3, sub="bob") == [200, 429, 429]
    assert ground.statuses(1, sub="carol") == [200]
    assert ground.statuses(1, sub="dora") == [429]


@pytest.mark.parametrize(
    ("by", "one", "other"),
    [
        ("client", {"client_id": "a"}, {"client_id": "b"}),
        ("claim.client_id", {"client_id": "a"}, {"client_id": "b"}),
        ("subject", {"sub": "a"}, {"sub": "b" * 100}),
        ("claim.sub", {"sub": "a"}, {"sub": "b" * 100}),
        ("claim.org", {"org": "1"}, {"org": 1}),
        ("claim.org", {"org": ["a"]}, {"org": ["a", "b"]}),
        ("claim.org", {"org": "a"}, {}),
        ("ip", {"peer": "192.0.2.1"}, {"peer": "192.0.2.2"}),
        ("ip", {"peer": "2001:db8::1"}, {"peer": "2001:db8:0:1::1"}),
    ],
)
def test_each_caller_has_a_bucket_of_its_own(by, one, other):
    ground = Ground(f'{{ by = "{by}", rate = "1/h" }}')
    assert ground.statuses(2, **one) == [200, 429]
    assert ground.statuses(2, **other) == [200, 429]


@pytest.mark.parametrize(
    ("by", "one", "other"),
    [
        ("route", {"sub": "a", "peer": "192.0.2.1"}, {"sub": "b", "peer": "192.0.2.2"}),
        ("subject", {"client_id": "a", "peer": "192.0.2.1"}, {"client_id": "b", "peer": "192.0.2.2"}),
        ("ip", {"sub": "a", "peer": "2001:db8::1"}, {"sub": "b", "peer": "2001:db8::ffff:1"}),
        ("ip", {"peer": "192.0.2.1"}, {"peer": "::ffff:192.0.2.1"}),
        ("ip", {"peer": "192.0.2.1"}, {"peer": "10.0.0.1", "headers": [(b"x-forwarded-for", b"9.9.9.9, 192.0.2.1")]}),
        ("ip", {"peer": "10.0.0.1", "headers": [(b"x-forwarded-for", b"odd")]}, {"peer": "fe80::1%eth0"}),
        ("claim.org", {}, {"sub": "b"}),
    ],
)
def test_whoever_is_the_same_shares_a_bucket(by, one, other):
    ground = Ground(f'{{ by = "{by}", rate = "1/h" }}')
    assert (ground.statuses(1, **one), ground.statuses(1, **other)) == ([200], [429])


@pytest.mark.attack("GW12")
def test_a_forged_address_brings_no_new_bucket():
    ground = Ground('{ by = "ip", rate = "1/h" }')
    forged = [{"headers": [(b"x-forwarded-for", f"203.0.113.{number}".encode())]} for number in range(3)]
    assert [ground.ask(**each).status for each in forged] == [200, 429, 429]


def test_addresses_are_counted_before_a_token_is_looked_at(monkeypatch):
    ground = Ground(IP)
    looked = []
    verifier = next(iter(ground.gate.rules._rules.values())).verifier
    verify = verifier.verify
    monkeypatch.setattr(verifier, "verify", lambda *args: looked.append(1) or verify(*args))
    bad = ground.issuer.token(exp=1)
    assert ground.statuses(5, token=bad) == [401, 401, 401, 429, 429]
    assert len(looked) == 3
    assert ground.statuses(1) == [429]
    assert ground.statuses(1, peer="192.0.2.9") == [200]


def test_missing_tokens_are_attempts_too():
    assert Ground(IP).statuses(4, token=None) == [401, 401, 401, 429]


def test_a_refusal_for_another_reason_tells_what_is_left_of_the_address():
    ground = Ground(IP, CLIENT)
    answer = told(ground.ask(token=None))
    assert (answer["ratelimit"], answer["www-authenticate"]) == ('"ip";r=2;t=1', "Bearer")
    assert answer["ratelimit-policy"] == '"ip";q=3;w=3, "client";q=3;w=3'
    assert told(ground.ask())["ratelimit"] == '"ip";r=1;t=2, "client";r=2;t=1'
    assert told(ground.ask(token=None))["ratelimit"] == '"ip";r=0;t=1'
    assert told(ground.ask())["ratelimit"] == '"ip";r=0;t=1'


def test_only_who_is_let_through_takes_from_a_limit_after_verification():
    ground = Ground(CLIENT, route='require = { scope = ["orders:read"] }')
    assert ground.statuses(9, scope="") == [403] * 9
    assert ground.statuses(4) == [200, 200, 200, 429]


def test_an_address_may_be_counted_after_verification_if_the_file_says_so():
    ground = Ground('{ by = "ip", rate = "1/h", before = false }')
    assert ground.statuses(3, token=None) == [401, 401, 401]
    assert ground.statuses(2) == [200, 429]


def test_a_request_that_is_judged_again_after_a_fetch_of_keys_is_counted_once():
    ground = Ground(IP)
    ground.clock.advance(30)
    rule = next(iter(ground.gate.rules._rules.values()))
    request = ground.request(token=ground.issuer.token(key=a_key(number=5)))
    waiting = ground.gate.decide_now(request)
    assert waiting.waits is not None
    ground.issuer.keys = [a_key(number=5)]
    ground.fetch.answers[JWKS] = ground.issuer.jwks()
    rule.verifier.source.refresh()
    waiting.waits.set_result(None)
    decision = ground.gate._again(request, waiting)
    assert decision.allowed
    assert told(decision)["ratelimit"] == '"ip";r=2;t=1'


def test_routes_have_buckets_of_their_own_unless_a_limit_has_a_name():
    ground = Ground('{ by = "client", rate = "1/h" }', '{ by = "client", name = "all", rate = "2/h" }')
    assert [ground.ask(path).status for path in ("/orders/1", "/orders/1", "/bills/1", "/bills/1")] == [
        200, 429, 200, 429,
    ]  # fmt: skip
    assert ground.ask("/bills/1", client_id="other").allowed
    ground = Ground('{ by = "client", name = "all", rate = "2/h" }')
    assert [ground.ask(path).status for path in ("/orders/1", "/bills/1", "/bills/1")] == [200, 200, 429]


def test_defaults_hold_where_a_route_says_nothing():
    ground = Ground(top='defaults = { limit = [{ by = "client", rate = "1/h" }] }', route="limit = []")
    assert [ground.ask("/bills/1").status for _ in range(2)] == [200, 429]
    assert ground.statuses(9) == [200] * 9
    assert told(ground.ask()) == {}


def test_buckets_stay_when_the_file_changes_and_start_anew_when_their_limit_does():
    ground = Ground(CLIENT)
    ground.statuses(3)
    ground.gate.replace(parse(file(CLIENT, route='mode = "shadow"')))
    assert ground.statuses(1) == [429]
    ground.gate.replace(parse(file(CLIENT.replace("3", "4"))))
    assert ground.statuses(5) == [200, 200, 200, 200, 429]


def test_limits_hold_in_shadow_mode_too():
    assert Ground(CLIENT, route='mode = "shadow"').statuses(4) == [200, 200, 200, 429]


def test_a_route_without_limits_has_no_stage():
    assert {rule.stages for rule in Ground().gate.rules._rules.values()} == {()}


def test_a_decorated_function_may_have_limits():
    ground = Ground()
    around = environ(token=ground.issuer.token())
    guard = wsgi.Guard(ground.gate, lambda: around)

    @guard.require(audience=AUDIENCE, limit=[{"by": "ip", "rate": "2/h"}, {"by": "subject", "rate": "1/h"}])
    def view() -> str:
        return "seen"

    assert view() == "seen"
    assert ("Ratelimit", '"ip";r=1;t=1800, "subject";r=0;t=3600') in around["gatehouse.headers"]
    _, status, headers = view()
    assert (status, ("Retry-After", "3600") in headers) == (429, True)
    with pytest.raises(ValueError, match='limit 1: field "rate" is missing'):
        guard.require(audience=AUDIENCE, limit=[{"by": "ip"}])


def test_a_file_that_is_refused_in_the_end_changes_no_number_of_places(monkeypatch):
    ground = Ground(text=file(route="concurrency = 1"))
    made = ground.gate.rules.made

    def broken(rules, route, *rest):
        if route.id == "bills":
            raise CannotChange("something of the last route")
        return made.__func__(rules, route, *rest)

    monkeypatch.setattr(Rules, "made", broken)
    with pytest.raises(CannotChange):
        ground.gate.replace(parse(file(route="concurrency = 2")))
    assert [ground.ask().status for _ in range(2)] == [200, 503]
    monkeypatch.undo()
    ground.gate.replace(parse(file(route="concurrency = 2")))
    assert [ground.ask().status for _ in range(2)] == [200, 503]  # one is under way still
