from __future__ import annotations

import pytest

from idp.gateway.load import ConfigError, parse
from tests.gateway.policy.ground import file, route


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


WHEN = 'line 11: route "r".when[1]'


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("requires = {}", 'route "r": field "requires" is unknown'),
        ('require = { scopes = ["a"] }', 'route "r".require: field "scopes" is unknown'),
        ('require = { scope = "a" }', 'route "r".require: field "scope" must be a list of texts, and not an empty one'),
        ('require = { scope = ["a b"] }', 'route "r".require: field "scope" must be words without space'),
        ("require = { acr = 2 }", 'route "r".require: field "acr" must be a list of texts'),
        ("require = { acr = 'a\"b' }", 'route "r".require: field "acr" must be an acr'),
        ('require = { max_age = "300ms" }', 'route "r".require: field "max_age" must be whole seconds'),
        ("require = { max_age = 15 }", 'route "r".require: field "max_age" must be a span of time'),
        ("require = { claims = {} }", 'route "r".require: field "claims" must name a claim'),
        ("require = { claims = { a = 1.5 } }", 'route "r".require: field "claims" may compare'),
        ("require = { claims = { a = [] } }", 'route "r".require: field "claims" may compare'),
        ("when = [{}]", 'route "r".when[1]: must hold one condition, not none'),
        ('when = [{ role = "a", scope = "b" }]', 'route "r".when[1]: must hold one condition, not several'),
        ('when = [{ rolle = "a" }]', 'route "r".when[1]: field "rolle" is unknown'),
        ('when = { role = "a" }', 'route "r": field "when" must be a list of tables'),
        ("when = [{ any = [] }]", 'route "r".when[1]: field "any" must hold at least one condition'),
        ("when = [{ all = [] }]", 'route "r".when[1]: field "all" must hold at least one condition'),
        ("when = [{ not = [] }]", 'route "r".when[1]: field "not" must be a table'),
        ('when = [{ not = { any = [{ ip_in = ["x"] }] } }]', 'route "r".when[1].not.any[1]: field "ip_in" must be'),
        ('when = [{ ip_in = ["10.0.0.1/8"] }]', 'route "r".when[1]: field "ip_in" must be a list of networks'),
        ('when = [{ ip_in = ["::ffff:10.0.0.0/104"] }]', 'route "r".when[1]: field "ip_in" must have IPv4 networks in'),
        ('when = [{ eq = ["claim.sub"] }]', 'route "r".when[1]: field "eq" must be two different sides'),
        ('when = [{ eq = ["claim.sub", "claim.sub"] }]', 'route "r".when[1]: field "eq" names something twice'),
        ('when = [{ eq = ["claim.sub", "alice"] }]', 'route "r".when[1]: field "eq" must be two sides'),
        ('when = [{ eq = ["claim.sub", "path.oid"] }]', 'route "r".when[1]: field "eq" names a variable that the path'),
        ('when = [{ method = ["BREW"] }]', 'route "r".when[1]: field "method" may hold'),
        ('when = [{ host = ["a b"] }]', 'route "r".when[1]: field "host" must be a list of host names'),
        ("when = [{ time = {} }]", 'route "r".when[1].time: field "tz" is missing'),
        ('when = [{ time = { tz = "Mars/Base" } }]', 'route "r".when[1].time: field "tz" must be a time zone'),
        ('when = [{ time = { tz = "../etc/passwd" } }]', 'route "r".when[1].time: field "tz" must be a time zone'),
        ('when = [{ time = { tz = "UTC", from = "8" } }]', 'route "r".when[1].time: field "from" must be a time such'),
        ('when = [{ time = { tz = "UTC", from = 08:00:00 } }]', 'route "r".when[1].time: needs "from" and "to"'),
        ('when = [{ time = { tz = "UTC", from = 08:00:00, to = 08:00:00 } }]', 'field "to" must differ from from'),
        ('when = [{ time = { tz = "UTC", days = "mon-fry" } }]', 'route "r".when[1].time: field "days" must be days'),
        ('when = [{ time = { tz = "UTC", first = 2026-01-02, last = 2026-01-01 } }]', 'field "last" must not be'),
        ('when = [{ time = { tz = "UTC", first = 2026-01-02T00:00:00 } }]', 'field "first" must be a date such as'),
        ('review = { owner = "x" }', 'route "r".review: field "by" is missing'),
        ('review = { owner = "x", by = "2026-01-01" }', 'route "r".review: field "by" must be a date such as'),
        ('review = { owner = "x", by = 2026-01-01, expired = "ignore" }', 'field "expired" must be "deny" or "warn"'),
        ('mode = "off"', 'route "r": field "mode" must be "enforce" or "shadow"'),
    ],
)  # fmt: skip
def test_every_problem_names_line_route_and_field(field, said):
    found = problems(file(route(field)))
    assert any(said in problem for problem in found)
    assert all(problem.startswith("line 11: ") for problem in found)


def test_conditions_end_somewhere():
    deep = "{ not = " * 9 + '{ role = "a" }' + " }" * 9
    assert any("nested deeper than 8 levels" in problem for problem in problems(file(route(f"when = [{deep}]"))))
    torn = "{ not = " * 5_000
    assert problems(file(route(f"when = [{torn}]"))) != []


def test_a_problem_inside_a_list_over_many_lines_is_found_on_its_line():
    field = 'when = [\n { role = "a" },  # one [ and two {{\n { any = [\n { role = "]}" },\n { rolle = "b" },\n ] },\n]'
    assert problems(file(route(field))) == ['line 15: route "r".when[2].any[2]: field "rolle" is unknown']


def test_roles_are_read_for_looking_at_rules():
    config = parse(file(route(), "[roles]", 'clerk = ["a:read"]', "guest = []"))
    assert config.roles == {"clerk": frozenset({"a:read"}), "guest": frozenset()}
    assert problems(file(route(), "[roles]", "clerk = 1")) == [
        'line 14: roles: field "clerk" must be a list of texts, and not an empty one'
    ]
