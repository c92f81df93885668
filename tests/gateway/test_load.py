from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.gateway.config import Address
from idp.gateway.lines import line_of
from idp.gateway.load import ConfigError, load, parse
from idp.gateway.template import BadTemplate, Template
from idp.gateway.upstreams.model import Origin, Upstream

GOOD = """\
version = 1
trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"]

[server]
listen = "[::1]:8080"
hosts = ["api.example"]

[issuers.main]
issuer = "https://idp.example"
algs = ["ES256"]
leeway = "10s"
jwks = { refresh = "300ms", max_stale = "1h", kid_cooldown = "1s", snapshot = "keys.json" }

[defaults]
deny = true

[log]
file = "decisions.log"

[[routes]]
id = "order-read"
match = { host = "API.example", method = ["GET"], path = "/users/{uid}/orders/{oid}" }
audience = "https://api.example"
upstream = "http://orders:8000"
body_limit = "1GB"
require = { scope = ["orders:read"], role_any = ["support"] }

[[routes]]
id = "second"
audience = "https://api.example"
upstream = "https://orders"

[routes.match]
method = ["POST"]
path = "/x"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    return [str(problem) for problem in refused.value.problems]


def test_a_whole_file_is_read():
    config = parse(GOOD)
    first, second = config.routes
    assert (first.host, first.upstream) == ("api.example", Upstream(origins=(Origin(host="orders", port=8000),)))
    assert second.upstream == Upstream(origins=(Origin(host="orders", port=443, tls=True),))
    assert config.server.listen == Address(host="::1", port=8080)
    assert (config.issuers[0].leeway, config.issuers[0].jwks.refresh) == (10, 0.3)
    assert (first.body_bytes, config.log) == (1 << 30, "decisions.log")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version = 1", "version = 2", 'line 1: field "version" must be 1'),
        ("version = 1", "version = true", 'line 1: field "version" must be 1'),
        ("version = 1\n", "", 'line 1: field "version" is missing'),
        ("deny = true", "deny = false", 'line 15: defaults: field "deny" must be true: what no route names is denied'),
        (
            '"10.0.0.0/8"',
            '"10.0.0.1/8"',
            'line 2: field "trusted_proxies" must be a list of networks such as "10.0.0.0/8"',
        ),
        (
            'audience = "https://api.example"\nupstream = "http://o',
            'upstream = "http://o',
            'line 20: route "order-read": field "audience" is missing',
        ),
        (
            'audience = "https://api.example"\nupstream = "http://o',
            'audience = ""\nupstream = "http://o',
            'line 23: route "order-read": field "audience" must be text',
        ),
        ('upstream = "http://orders:8000"\n', "", 'line 20: route "order-read": field "upstream" is missing'),
        (
            'path = "/users/{uid}/orders/{oid}"',
            'path = "users"',
            'line 22: route "order-read".match: field "path" must start with /',
        ),
        ("role_any", "roles_any", 'line 26: route "order-read".require: field "roles_any" is unknown'),
        ('id = "second"', 'id = "order-read"', 'line 29: route "order-read": field "id" is used twice'),
        (
            'path = "/x"',
            'path = "/.gatehouse/x"',
            'line 35: route "second".match: field "path" is reserved for the gateway itself',
        ),
        (
            '["orders:read"]',
            '["orders read"]',
            'line 26: route "order-read".require: field "scope" must be words without space, quote or backslash',
        ),
        ('path = "/x"', 'path = "/x"\npaht = 1', 'line 36: route "second".match: field "paht" is unknown'),
        ('leeway = "10s"', 'leeway = "61s"', 'line 11: issuers.main: field "leeway" must be at most "60s"'),
        ("[log]", "[lgo]", 'line 17: field "lgo" is unknown'),
        (
            'method = ["POST"]',
            'method = ["TRACE"]',
            'line 34: route "second".match: field "method" may hold DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT',
        ),
    ],
)
def test_a_problem_is_named_with_line_route_and_field(old, new, expected):
    assert old in GOOD
    assert problems(GOOD.replace(old, new, 1)) == [expected]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("listen", '"127.0.0.1"'),
        ("listen", '"127.0.0.1:99999"'),
        ("listen", '"example.com:80"'),
        ("listen", "80"),
        ("listen", '":80"'),
        ("listen", '"unix:x"'),
        ("hosts", "[]"),
        ("hosts", '["a/b"]'),
        ("hosts", '["a", "a"]'),
        ("issuer", '"http://idp.example"'),
        ("issuer", '"https://u@idp.example"'),
        ("issuer", '"https://idp.example?x"'),
        ("issuer", '"https://idp.example:x"'),
        ("algs", '["none"]'),
        ("algs", '["HS256"]'),
        ("algs", "7"),
        ("leeway", '"0s"'),
        ("leeway", "10"),
        ("leeway", '"10"'),
        ("leeway", "true"),
        ("file", '""'),
        ("file", '"a\\nb"'),
        ("body_limit", '"0B"'),
        ("body_limit", "7"),
        ("body_limit", '"1TB"'),
        ("id", "7"),
        ("method", "[]"),
        ("upstream", '"ftp://orders"'),
        ("upstream", '"http://orders/x"'),
        ("upstream", '"http://u@orders"'),
        ("upstream", '"http://orders:0"'),
        ("upstream", '"http://orders:99999"'),
        ("upstream", '"http://"'),
        ("upstream", '"http://orders?x"'),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(line, value):
    lines = [f"{line} = {value}" if each.startswith(f"{line} = ") else each for each in GOOD.split("\n")]
    said = problems("\n".join(lines))
    assert any(f'field "{line}"' in problem for problem in said)


@pytest.mark.parametrize(
    "extra",
    [
        "[server.limits]\nconnections = 0",
        "[server.limits]\nconnections = true",
        '[headers]\nidentity = "signed_jwt"',
        "[headers]\nforward_authorization = 1",
        '[headers]\nstrip = ["a b"]',
        "[roles]\nauditor = 7",
        "routes = 7",
        "[issuers.main.jwks]\nx=1",
        "[server.limits]\nbanana = 1",
    ],
)
def test_what_is_not_known_or_not_possible_is_refused(extra):
    text = GOOD.replace("[server]", extra + "\n[server]", 1)
    assert problems(text)


@pytest.mark.parametrize(
    "text", ["server = 7", "routes = 7", "routes = [7]", "issuers = []", "routes = []", "issuers = { a = 1 }"]
)
def test_what_should_be_a_table_must_be_one(text):
    assert problems("version = 1\n" + text)


@pytest.mark.attack("GW25")
@pytest.mark.parametrize("keep", [0, 1, 40, 200, 500])
def test_a_torn_or_empty_file_is_never_a_configuration(keep):
    assert problems(GOOD[:keep])


@pytest.mark.attack("GW25")
def test_without_routes_or_issuers_there_is_no_gateway():
    assert problems("version = 1") == [
        "line 1: issuers: no issuer is configured, so no token could be believed",
        'line 1: field "routes" is missing: without a route everything is denied',
    ]


def test_every_problem_is_told_at_once():
    assert (
        len(problems(GOOD.replace("version = 1", "version = 3").replace("[log]", "[lag]").replace('"ES256"', '"X"')))
        == 3
    )


def test_toml_errors_have_their_line():
    assert problems("version = 1\nx = = 2")[0].startswith("line 2: is not TOML: ")
    assert problems("[" * 5_000)[0].startswith("line 1: is not TOML")


def test_max_stale_is_not_shorter_than_refresh():
    assert "max_stale" in problems(GOOD.replace('"300ms"', '"50m"').replace('"1h"', '"10m"'))[0]


def test_two_routes_cannot_claim_the_same_requests():
    (said,) = problems(
        GOOD.replace('path = "/x"', 'path = "/users/{a}/orders/{b}"')
        .replace('["POST"]', '["GET", "POST"]')
        .replace("[routes.match]", '[routes.match]\nhost = "api.example"')
    )
    assert 'is taken: GET /users/{a}/orders/{b} is already in route "order-read"' in said


def test_with_two_issuers_each_route_names_its_own():
    two = GOOD.replace("[defaults]", '[issuers.other]\nissuer = "https://b.example"\n[defaults]')
    assert len(problems(two)) == 2
    assert len(problems(two.replace("audience =", 'issuer = "nobody"\naudience ='))) == 2
    assert parse(two.replace("audience =", 'issuer = "other"\naudience =')).routes[0].issuer == "other"


def test_forward_auth_needs_no_upstream():
    text = GOOD.replace("[server]", '[server]\nshape = "forward_auth"').replace('upstream = "http://orders:8000"\n', "")
    assert parse(text).routes[0].upstream is None


def test_files_are_read_and_their_faults_told(tmp_path):
    path = tmp_path / "gateway.toml"
    with pytest.raises(ConfigError, match="cannot be read"):
        load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(path)
    path.write_text(GOOD)
    assert load(path).source == str(path)


def test_unix_sockets_and_localhost_may_be_listened_on():
    assert parse(GOOD.replace('"[::1]:8080"', '"unix:/run/g.sock"')).server.listen.unix == "/run/g.sock"
    assert parse(GOOD.replace('"[::1]:8080"', '"localhost:0"')).server.listen == Address(host="localhost", port=0)


def test_no_trusted_proxies_may_be_said_aloud():
    assert parse(GOOD.replace('["10.0.0.0/8", "2001:db8::/32"]', "[]")).trusted_proxies == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "/{",
        "/{}",
        "/{A}",
        "/{a}x",
        "/x{a}",
        "/{a}/{a}",
        "/{a...}/b",
        "/a//b",
        "/a/../b",
        "/./a",
        "/%41",
        "/a;b",
        "/a\\b",
        "/*",
        "/a//{rest...}",
        "/{rest..}",
        "/rest...}",
        "/a\n",
    ],
)
def test_a_template_has_one_reading(text):
    with pytest.raises(BadTemplate):
        Template.parse(text)


@pytest.mark.parametrize(
    ("text", "segments", "names", "rest"),
    [
        ("/", ("",), (), False),
        ("/a/", ("a", ""), (), False),
        ("/{a}/b", (None, "b"), ("a",), False),
        ("/{rest...}", (), ("rest",), True),
        ("/a/{b}/{rest...}", ("a", None), ("b", "rest"), True),
        ("/café/a b", ("café", "a b"), (), False),
    ],
)
def test_a_template_is_its_segments(text, segments, names, rest):
    template = Template.parse(text)
    assert (template.segments, template.names, template.rest) == (segments, names, rest)


@given(st.text(max_size=80))
def test_any_text_is_a_configuration_or_a_named_problem(text):
    with contextlib.suppress(ConfigError):
        parse(text)


PIECES = st.sampled_from(
    [
        "version = 1",
        "[server]",
        "listen = 7",
        "[issuers.main]",
        'issuer = "https://a.example"',
        "[[routes]]",
        'id = "a"',
        "match = { }",
        'match = { method = ["GET"], path = "/a" }',
        'audience = "x"',
        "require = { scope = 7 }",
        "[issuers]",
        "jwks = { refresh = [] }",
        "routes = []",
        "[routes.match]",
        "upstream = {}",
        "[headers]",
        "strip = [7]",
        "log = 1",
    ]
)


@given(st.lists(PIECES, max_size=14))
def test_any_heap_of_pieces_is_a_configuration_or_a_named_problem(pieces):
    test_any_text_is_a_configuration_or_a_named_problem.hypothesis.inner_test("\n".join(pieces))


def test_a_line_is_found_as_near_as_can_be():
    text = '[a]\nx = 1\n[[b]]\n[b.c]\n"y" = 2\n[[b]]\nz = { w = 1 }\n'
    places = [("a", "x"), ("b", 0, "c", "y"), ("b", 1, "z", "w"), ("b", 5, "q"), ("nowhere",), ("b", 0, "z")]
    assert [line_of(text, place) for place in places] == [2, 5, 7, 1, 1, 3]


DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", ["gateway.md", "getting-started.md"])
def test_the_file_in_the_documentation_is_one(page):
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    (text,) = (example for example in examples if "[[routes]]" in example)
    assert parse(text).routes
