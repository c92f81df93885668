"""What gateway.toml may say about exchanges, statements and references."""

from __future__ import annotations

import pytest

from idp.gateway.config import AssertionConfig
from idp.gateway.exchange.model import Assertion, Exchange
from idp.gateway.load import ConfigError, parse
from idp.gateway.policy.diff import diff

FILE = """
version = 1
{top}
[issuers.main]
issuer = "https://id.example"
{issuer}

[[routes]]
id = "orders"
match = {{ method = ["GET"], path = "/orders" }}
audience = "https://orders.example"
upstream = {upstream}
{route}
"""
KEY = 'client = { id = "gateway", key_file = "k.pem" }'
SECRET = 'client = { id = "gateway", secret_file = "s" }'
SIGNED = '[assertion]\nissuer = "https://gateway.example"\nkey_files = ["a.pem", "b.pem"]\nttl = "30s"\n'
TO_STOCK = 'exchange = { audience = "https://stock.example" }'


def read(*, top="", issuer=KEY, route="", upstream='"http://orders:8000"'):
    return parse(FILE.format(top=top, issuer=issuer, route=route, upstream=upstream))


def problems(**said):
    with pytest.raises(ConfigError) as wrong:
        read(**said)
    return [str(problem) for problem in wrong.value.problems]


def test_an_exchange_has_usual_values():
    (route,) = read(route=TO_STOCK).routes
    assert route.exchange == Exchange(audience="https://stock.example", scopes=frozenset(), ttl=60.0, actor="gateway")
    assert route.assertion is None
    whole = 'exchange = { audience = "a", scope = ["b", "c"], ttl = "5m", actor = "none", mode = "narrow" }'
    (route,) = read(route=whole).routes
    assert route.exchange == Exchange(
        audience="a", scopes=frozenset({"b", "c"}), ttl=300.0, actor="none", mode="narrow"
    )
    assert str(route.exchange).endswith("naming nobody as actor, with fewer scopes if need be")


@pytest.mark.parametrize("issuer", ["", SECRET])
def test_an_exchange_needs_a_key_of_its_own(issuer):
    (said,) = problems(issuer=issuer, route=TO_STOCK)
    assert 'needs "key_file" in [issuers.main.client]: a shared secret is no proof for this' in said


def test_nobody_looks_for_the_key_of_an_issuer_that_is_not_there():
    said = problems(route=TO_STOCK + '\nissuer = "other"')
    assert len(said) == 1


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ("exchange = {}", 'field "audience" is missing'),
        ('exchange = { audience = "a", ttl = "2h" }', 'must be at most "1h"'),
        ('exchange = { audience = "a", actor = "me" }', 'must be "gateway" or "none"'),
        ('exchange = { audience = "a", mode = "widen" }', 'must be "refuse" or "narrow"'),
        ('exchange = { audience = "a", scope = [] }', "not an empty one"),
        ('exchange = { audience = "a", more = 1 }', "is unknown"),
        ('assertion = { audience = "a" }', 'needs the table "assertion" of the file'),
    ],
)
def test_what_is_odd_is_named(route, said):
    assert any(said in problem for problem in problems(route=route))


def test_a_statement_names_the_upstream_as_it_stands_in_the_file():
    config = read(top=SIGNED + '[headers]\nidentity = "signed_jwt"\n')
    assert config.assertion is not None
    assert config.assertion == AssertionConfig(
        issuer="https://gateway.example", key_files=config.assertion.key_files, alg="ES256", ttl=30.0
    )
    assert [str(file) for file in config.assertion.key_files] == ["a.pem", "b.pem"]
    assert config.routes[0].assertion == Assertion(audience="http://orders:8000", ttl=30.0)


def test_a_route_may_say_more():
    (route,) = read(top=SIGNED, route='assertion = { audience = "orders", ttl = "10s" }').routes
    assert route.assertion == Assertion(audience="orders", ttl=10.0)
    assert read(top=SIGNED).routes[0].assertion is None


def test_several_upstreams_have_no_name_of_their_own():
    two = '["http://one:1", "http://two:2"]'
    (said,) = problems(top=SIGNED + '[headers]\nidentity = "signed_jwt"\n', upstream=two)
    assert "the route has no single upstream to name" in said
    assert read(top=SIGNED, upstream=two, route='assertion = { audience = "orders" }').routes[0].assertion is not None


def test_what_every_route_says_has_to_be_possible():
    assert any('needs the table "assertion"' in said for said in problems(top='[headers]\nidentity = "signed_jwt"\n'))
    top = '[headers]\nidentity = "exchange"\n'
    assert any('says identity = "exchange"' in said for said in problems(top=top))
    assert read(top=top, route=TO_STOCK).routes[0].exchange is not None


def test_references_need_a_client_and_stay_outside():
    assert read(issuer=SECRET + "\nreference_tokens = true").issuers[0].reference_tokens
    assert any('needs the field "client"' in said for said in problems(issuer="reference_tokens = true"))
    said = problems(issuer=KEY + "\nreference_tokens = true", top="[headers]\nforward_authorization = true\n")
    assert any("references of an issuer are for nobody behind" in each for each in said)
    assert read(issuer=KEY, top="[headers]\nforward_authorization = true\n").headers.forward_authorization


def test_what_changes_is_said_in_words():
    def whole(route):
        return read(top=SIGNED, route=route)

    old = whole(TO_STOCK)
    new = whole('exchange = { audience = "a", scope = ["b"], actor = "none" }\nassertion = { audience = "orders" }')
    said = [str(change) for change in diff(old, new)]
    assert any(
        "exchange was for https://stock.example, used 60 s, naming the gateway as actor, "
        "now for a with b, used 60 s, naming nobody as actor" in each
        for each in said
    )
    assert any("assertion was nothing, now for orders, good for 30 s" in each for each in said)
