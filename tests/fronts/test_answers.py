"""What passes, what is refused, and what the caller hears of it, through every front."""

from __future__ import annotations

import time

import pytest

from tests.gateway.raw import request

METADATA = "https://api.example/.well-known/oauth-protected-resource"


def test_a_good_token_reaches_the_api_under_its_name(front):
    answer = front.ask(request(token=front.token(), target="/orders/7?x=%2f&y=a+b"))
    assert (answer.status, answer.body) == (200, b"ok")
    seen = front.api.last
    assert seen.line == b"GET /orders/7?x=%2f&y=a+b HTTP/1.1"
    assert seen.header(b"host") == b"api.example"
    assert seen.header(b"x-auth-subject") == b"0190-alice"
    assert seen.header(b"x-auth-client") == b"web-app"
    assert seen.header(b"x-auth-scopes") == b"orders:read orders:write"
    assert seen.header(b"x-auth-roles") == b"clerk"
    assert seen.header(b"x-gatehouse-decision").decode() == front.decided()[0]["id"]


def test_the_token_stays_at_the_front(front):
    assert front.ask(request(token=front.token())).status == 200
    assert not front.api.last.header(b"authorization")


@pytest.mark.attack("GW17")
@pytest.mark.spec("RFC 9728 section 5.1")
def test_without_a_token_the_caller_learns_where_to_get_one(front):
    answer = front.ask(request())
    assert answer.status == 401
    assert answer.header("www-authenticate") == f'Bearer resource_metadata="{METADATA}"'
    assert answer.header("x-gatehouse-decision") == front.decided()[0]["id"]
    assert answer.header("cache-control") == "no-store"
    assert front.api.seen == []


def test_what_the_api_says_about_itself_is_for_everybody(front):
    for host in ("api.example", "api.example:8088"):
        answer = front.ask(request(target="/.well-known/oauth-protected-resource", host=host))
        assert answer.status == 200
        assert answer.json()["authorization_servers"] == [front.issuer.issuer]
    assert front.api.seen == []


@pytest.mark.attack("GW17")
def test_a_spent_token_is_401_with_its_error(front):
    answer = front.ask(request(token=front.token(exp=1)))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.header("www-authenticate")
    assert METADATA in answer.header("www-authenticate")
    assert front.api.seen == []


@pytest.mark.attack("GW17")
def test_a_missing_scope_is_403_and_named(front):
    answer = front.ask(request(token=front.token(scope="")))
    assert answer.status == 403
    challenge = answer.header("www-authenticate")
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="orders:read"' in challenge
    assert answer.header("x-gatehouse-decision") == front.decided()[0]["id"]
    assert front.api.seen == []


@pytest.mark.attack("GW17")
@pytest.mark.spec("RFC 9470 section 3")
def test_a_weak_sign_in_is_asked_to_step_up(front):
    refund = request("POST", "/orders/7/refund", token=front.token(acr="aal1"), Content_Length="0")
    answer = front.ask(refund)
    assert answer.status == 401
    challenge = answer.header("www-authenticate")
    for said in ('error="insufficient_user_authentication"', 'acr_values="aal2"', 'max_age="900"', METADATA):
        assert said in challenge
    assert front.api.seen == []
    strong = front.token(acr="aal2", auth_time=int(time.time()))
    assert front.ask(request("POST", "/orders/7/refund", token=strong, Content_Length="0")).status == 200


def test_a_method_without_a_route_is_405_and_says_which_have_one(front):
    answer = front.ask(request("DELETE", token=front.token()))
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, POST, PUT")
    assert front.api.seen == []


def test_what_no_route_names_is_denied(front):
    assert front.ask(request(target="/nowhere", token=front.token())).status == 403
    assert front.api.seen == []


@pytest.mark.attack("GW18")
def test_without_keys_the_answer_is_503(front):
    source = front.gateway.server._gate.sources["main"]
    snapshot, source.snapshot = source.snapshot, None
    try:
        answer = front.ask(request(token=front.token()))
    finally:
        source.snapshot = snapshot
    assert answer.status == 503
    assert front.api.seen == []
    if front.name != "envoy":  # which answers by itself when the gateway says 503
        assert answer.header("retry-after") == "5"


def test_whoever_asks_too_often_is_told_429_and_when_to_come_back(front):
    asked, guest = request(target="/exports/7", token=front.token()), "127.0.0.5"
    passed = [front.ask(asked, source=guest) for _ in range(2)]
    assert [answer.status for answer in passed] == [200, 200]
    if front.name != "traefik":  # which hands nothing on beside a yes
        assert '"client";r=1' in passed[0].header("ratelimit")
        assert '"ip";q=' in passed[0].header("ratelimit-policy")
    else:
        assert passed[0].header("ratelimit") is None
    front.api.seen.clear()
    refused = front.ask(asked, source=guest)
    assert (refused.status, front.api.seen) == (429, [])
    assert 0 < int(refused.header("retry-after")) <= 180
    assert '"client";r=0' in refused.header("ratelimit")


def test_an_answer_without_limits_says_nothing_of_them(front):
    answer = front.ask(request(token=front.token()))
    assert answer.status == 200
    for name in ("ratelimit", "ratelimit-policy", "dpop-nonce", "retry-after", "www-authenticate", "cache-control"):
        assert answer.header(name) is None


def test_limits_by_address_count_callers_and_not_the_front(front):
    for number in range(20, 26):
        answer = front.ask(request(target="/exports/7", X_Forwarded_For="198.51.100.7"), source=f"127.0.0.{number}")
        assert answer.status == 401
    statuses = [front.ask(request(target="/exports/7"), source="127.0.0.30").status for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
