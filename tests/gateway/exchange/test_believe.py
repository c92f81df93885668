"""What an issuer gives in exchange is believed only when it is what was asked for."""

from __future__ import annotations

import json
from concurrent.futures import Future

import pytest

from idp.jose.keys import SigningKey
from tests.gateway.exchange.ground import sent
from tests.gateway.exchanging import GATEWAY, ISSUER, NOW, ORDERS, STOCK, a_token
from tests.gateway.issuer import a_key

ALARMS = {
    "another audience": ({"aud": ORDERS}, "aud is another"),
    "a second audience": ({"aud": [STOCK, ORDERS]}, "the token is for others too"),
    "another person": ({"sub": "bob"}, "the token is about somebody else"),
    "another client": ({"client_id": "web-app"}, "the token is another client's"),
    "longer": ({"exp": int(NOW) + 601}, "the token outlives the one it came from"),
    "more scopes": ({"scope": "orders:read admin"}, "the token has more scopes"),
    "another scope": ({"scope": "orders:write"}, "the token has more scopes"),
    "no scope": ({"scope": ""}, "the token has fewer scopes"),
    "bound": ({"cnf": {"jkt": "somebody's"}}, "the token is bound to another key"),
    "nobody acts": ({"act": None}, "the token does not name the gateway as actor"),
    "another acts": (
        {"act": {"sub": "other", "act": {"sub": GATEWAY}}},
        "the token does not name the gateway as actor",
    ),
    "act is no object": ({"act": GATEWAY}, "the token does not name the gateway as actor"),
    "another issuer": ({"iss": "https://other.example"}, "iss is another"),
    "expired": ({"exp": int(NOW) - 60}, "token has expired"),
    "no jti": ({"jti": None}, "a required claim is missing"),
}


@pytest.mark.attack("TX7", "TX8", "TX10")
@pytest.mark.parametrize(("changed", "reason"), ALARMS.values(), ids=ALARMS.keys())
def test_a_token_that_is_more_or_something_else_is_not_used(ground, changed, reason):
    ground.provider.changed = changed
    decision = ground.ask()
    assert (decision.status, decision.reason, decision.upstream_headers) == (502, f"exchange: {reason}", ())
    assert ground.log.named("exchange.alarm")[0]["reason"] == reason
    assert len(ground.exchanger.cache) == 0


@pytest.mark.spec("RFC 8693 section 2.2.1")
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"access_token": None}, "no access token came"),
        ({"access_token": 5}, "no access token came"),
        ({"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "no access token came"),
        ({"issued_token_type": None}, "no access token came"),
        ({"token_type": "N_A"}, "the token is of another kind"),
        ({"token_type": None}, "the token is of another kind"),
        ({"access_token": "x.y.z"}, "base64 is malformed"),
    ],
)
def test_an_answer_that_is_no_such_answer_is_not_used(ground, said, reason):
    ground.provider.said = said
    decision = ground.ask()
    assert decision.status == 502
    assert reason == "base64 is malformed" or decision.reason == f"exchange: {reason}"


def test_the_callers_own_token_is_no_answer(ground):
    ground.provider.said = {"access_token": a_token()}
    assert ground.ask().reason == "exchange: the token came back unchanged"


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"a":1,"a":2}'])
def test_what_is_no_json_is_no_answer(ground, body):
    ground.provider.body = body
    decision = ground.ask()
    assert (decision.status, decision.reason) == (502, "exchange: the answer cannot be read")


@pytest.mark.attack("JO23")
def test_a_token_of_another_key_is_not_used(ground):
    ground.provider.key = a_key("ES256", 3)
    decision = ground.ask()
    assert (decision.status, decision.reason) == (503, "exchange: the key of the token is not here yet")
    assert ground.log.named("exchange.alarm") == []


def test_keys_that_came_into_use_a_moment_ago_are_fetched(ground, monkeypatch):
    fresh = SigningKey.generate("ES256")
    ground.provider.key = fresh
    keys = json.dumps({"keys": [key.public_jwk() for key in (a_key(), fresh)]}).encode()
    ground.fetch.answers[f"{ISSUER}/jwks"] = keys
    source = ground.gate.sources["main"]
    ground.clock.advance(60)

    def ask():
        asked: Future[None] = Future()
        source.refresh()
        asked.set_result(None)
        return asked

    monkeypatch.setattr(source, "ask", ask)
    sent(ground.ask())


def test_without_keys_nothing_is_believed(ground):
    ground.gate.sources["main"].snapshot = None
    assert ground.ask().status == 503
    assert ground.provider.asked == []


def test_an_impersonation_is_used_where_it_is_asked_for(make):
    ground = make(exchange='{ audience = "https://stock.example", actor = "none" }')
    assert ground.ask().reason == "exchange: the token names the gateway as actor"
    ground.provider.changed = {"act": None}
    sent(ground.ask(a_token(jti="jti-2")))
