"""What gateway.toml may say about the servers behind, about WebSockets and about answers that last."""

from __future__ import annotations

from pathlib import Path

import pytest

from idp.gateway.load import parse
from idp.gateway.upstreams.model import Eject, HealthCheck, Origin, TlsConfig
from tests.gateway.test_load import GOOD, problems

HEAD = GOOD.partition("[[routes]]")[0]
ROUTE = """
[[routes]]
id = "one"
match = { host = "api.example", method = ["GET"], path = "/a" }
audience = "https://api.example"
upstream = "orders"
"""
TABLE = """
[upstreams.orders]
address = ["https://a:1", "https://[::1]"]
ca_file = "/ca.pem"
certificate = "/gateway.pem"
key = "/gateway.key"
server_name = "orders.internal"
balance = "round_robin"
health = { path = "/health", every = "1s", timeout = "300ms" }
eject = { failures = 2, first = "2s", longest = "3s" }
"""


def test_a_table_of_upstreams_is_named_by_routes():
    upstream = parse(HEAD + ROUTE + TABLE).routes[0].upstream
    assert upstream is not None
    assert [str(origin) for origin in upstream.origins] == ["https://a:1", "https://[::1]:443"]
    assert upstream.tls == TlsConfig(
        ca_file=Path("/ca.pem"), certificate=Path("/gateway.pem"), key=Path("/gateway.key"),
        server_name="orders.internal",
    )  # fmt: skip
    assert (upstream.balance, upstream.health) == ("round_robin", HealthCheck(path="/health", every=1.0, seconds=0.3))
    assert upstream.eject == Eject(failures=2, first=2.0, longest=3.0)


def test_a_route_may_list_addresses_itself():
    upstream = parse(HEAD + ROUTE.replace('"orders"', '["http://a", "http://b:81"]')).routes[0].upstream
    assert upstream is not None
    assert upstream.origins == (Origin(host="a", port=80), Origin(host="b", port=81))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"orders"\n', '"others"\n', 'field "upstream" must be an address, or a name of [upstreams]'),
        ('["https://a:1", "https://[::1]"]', '["https://a", "http://b"]', "must be https for all or for none"),
        ('["https://a:1", "https://[::1]"]', "[]", "must be a list of texts"),
        ('["https://a:1", "https://[::1]"]', '"http://a"', 'field "ca_file" has no meaning: the address is not https'),
        ('certificate = "/gateway.pem"\n', "", 'field "key" needs the field "certificate"'),
        ('"orders.internal"', '"orders.internal:443"', "must be a host name without a port"),
        ('"/health"', '"health"', 'must be a path such as "/health"'),
        ('longest = "3s"', 'longest = "1s"', 'field "longest" must not be shorter than first'),
        ("balance", "balanced", 'field "balanced" is unknown'),
    ],
)
def test_what_cannot_be_meant_is_refused(old, new, said):
    text = HEAD + ROUTE + TABLE
    assert old in text
    assert any(said in problem for problem in problems(text.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("websocket = 1", "must be true, false or a table"),
        ('websocket = { origins = ["https://a/x"] }', 'must be a list of origins such as "https://app.example"'),
        ('websocket = { origins = ["https://a:b"] }', "must be a list of origins"),
        ('websocket = { origins = ["https://A"] }', "must be a list of origins"),
        ('websocket = { cookie = "access" }', 'field "cookie" needs the field "origins"'),
        ('websocket = { cookie = "a b", origins = ["https://a"] }', "must be the name of a cookie"),
        ("websocket = { what = 1 }", 'field "what" is unknown'),
        ('on_expiry = "later"', 'must be "cut" or "finish"'),
    ],
)
def test_what_a_websocket_cannot_mean_is_refused(field, said):
    route = ROUTE.replace('upstream = "orders"', f'upstream = "http://a"\n{field}')
    assert any(said in problem for problem in problems(HEAD + route))


def test_a_websocket_begins_with_get_and_needs_a_proxy():
    posts = ROUTE.replace('"orders"', '"http://a"\nwebsocket = true').replace('["GET"]', '["POST"]')
    assert any("needs the method GET" in problem for problem in problems(HEAD + posts))
    asked = HEAD.replace("[server]", '[server]\nshape = "forward_auth"') + ROUTE.replace(
        '"orders"', '"http://a"\nwebsocket = true'
    )
    assert any('only shape "proxy" passes them on' in problem for problem in problems(asked))


def test_a_websocket_is_allowed_by_a_word_or_a_table():
    plain = ROUTE.replace('"orders"', '"http://a"')
    assert parse(HEAD + plain).routes[0].websocket is None
    assert parse(HEAD + plain + "websocket = false").routes[0].websocket is None
    word = parse(HEAD + plain + 'websocket = true\non_expiry = "cut"').routes[0]
    assert word.websocket is not None
    assert (word.websocket.idle, word.on_expiry) == (300, "cut")
    table = parse(HEAD + plain + 'websocket = { cookie = "a", origins = ["https://a:81"], idle = "1s" }').routes[0]
    assert table.websocket is not None
    assert (table.websocket.origins, table.websocket.idle) == (frozenset({"https://a:81"}), 1)
