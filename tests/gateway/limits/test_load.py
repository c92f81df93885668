"""What gateway.toml may say about limits, and what is told about the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.gateway.limits.load import given as given_limits
from idp.gateway.limits.model import Limit, Store
from idp.gateway.load import ConfigError, parse
from tests.gateway.limits.ground import file

BAD_RATE = 'must be a rate such as "100/s", "30/m" or "1000/h", of 1000000 at most'
BAD_BY = 'must be "ip", "client", "subject", "route" or a claim such as "claim.org"'
BAD_URL = 'must be an address such as "redis://cache.internal:6379/0" or "rediss://..."'
NO_PASSWORD = 'must not hold a password: put the whole address into a file and name it in "redis_url_file"'


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    return [f"{problem.where}: {problem.text}" for problem in refused.value.problems]


def test_a_limit_is_read_and_those_before_verification_come_first():
    config = parse(
        file('{ by = "claim.org", rate = "7/m", burst = 9, name = "per-org" }', '{ by = "ip", rate = "1/h" }')
    )
    assert config.routes[0].limits == (
        Limit(name="ip", by="ip", count=1, period="h", burst=1, before=True),
        Limit(name="per-org", by="claim.org", count=7, period="m", burst=9, shared=True),
    )
    assert config.routes[0].limits[0].rate == "1/h"
    assert config.limits == Store()


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ('{ rate = "1/s" }', 'field "by" is missing'),
        ('{ by = "ip" }', 'field "rate" is missing'),
        ('{ by = "cookie", rate = "1/s" }', f'field "by" {BAD_BY}'),
        ("{ by = 1, rate = '1/s' }", f'field "by" {BAD_BY}'),
        *((f'{{ by = "ip", rate = {rate} }}', f'field "rate" {BAD_RATE}') for rate in (
            '"0/s"', '"1/d"', '"1000001/s"', '"1.5/s"', "1", '"10000000/s"', '"1 /s"',
        )),
        ('{ by = "ip", rate = "1/s", burst = 0 }', 'field "burst" must be a whole number above zero'),
        ('{ by = "ip", rate = "1/s", burst = 1000001 }', 'field "burst" must be 1000000 at most'),
        ('{ by = "ip", rate = "1/s", name = "a b" }',
         'field "name" must be a name of letters, digits, dots, hyphens and underscores'),
        ('{ by = "ip", rate = "1/s", name = 1 }',
         'field "name" must be a name of letters, digits, dots, hyphens and underscores'),
        ('{ by = "client", rate = "1/s", before = true }',
         'field "before" cannot be: client is known only after the token is verified'),
        ('{ by = "ip", rate = "1/s", per = 1 }', 'field "per" is unknown'),
    ],
)  # fmt: skip
def test_a_wrong_limit_is_named_with_its_place(limit, said):
    text = file(route=f"limit = [{limit}]")
    assert f'route "orders".limit[1]: {said}' in problems(text)


def test_two_limits_of_one_kind_need_names():
    one = '{ by = "client", rate = "10/s" }'
    found = problems(file(route=f"limit = [{one}, {one}]"))
    assert found == ['route "orders".limit[2]: field "by" is the one of another limit here: tell them apart by "name"']
    parse(file(one, '{ by = "client", rate = "100/h", name = "hourly" }'))


def test_one_name_means_one_limit():
    both = ('{ by = "client", rate = "1/s", name = "all" }', '{ by = "client", rate = "2/s", name = "all" }')
    text = file(route=f"limit = [{both[0]}]").rstrip() + f"\nlimit = [{both[1]}]\n"
    assert problems(text) == [': field "routes" have two different limits with the name "all"']


def test_a_store_is_read(tmp_path):
    config = parse(
        file(top='limits = { store = "redis", redis_url = "rediss://r:1/2", replicas = 3, timeout = "50ms" }')
    )
    assert config.limits == Store(kind="redis", url="rediss://r:1/2", replicas=3, seconds=0.05)
    assert config.limits.address() == "rediss://r:1/2"
    secret = tmp_path / "url"
    secret.write_text("redis://:secret@r:1/2\n")
    config = parse(file(top=f'limits = {{ store = "redis", redis_url_file = "{secret}", replicas = 3 }}'))
    assert config.limits.address() == "redis://:secret@r:1/2"


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ('store = "disk"', 'field "store" must be "local" or "redis"'),
        ('store = "redis", replicas = 2', 'field "store" needs one of "redis_url" and "redis_url_file"'),
        (
            'store = "redis", replicas = 2, redis_url = "redis://r", redis_url_file = "f"',
            'field "store" needs one of "redis_url" and "redis_url_file"',
        ),
        (
            'store = "redis", redis_url = "redis://r"',
            'field "store" needs the field "replicas": what each gateway may let through when Redis is away',
        ),
        ('store = "redis", replicas = 0', 'field "replicas" must be a whole number above zero'),
        ('store = "redis", replicas = 1, redis_url = "http://r"', f'field "redis_url" {BAD_URL}'),
        ('store = "redis", replicas = 1, redis_url = "redis://["', f'field "redis_url" {BAD_URL}'),
        ('store = "redis", replicas = 1, redis_url = "redis://r:65536"', f'field "redis_url" {BAD_URL}'),
        ('store = "redis", replicas = 1, redis_url = "redis://r:0"', f'field "redis_url" {BAD_URL}'),
        ('store = "redis", replicas = 1, redis_url = "redis:"', f'field "redis_url" {BAD_URL}'),
        ('store = "redis", replicas = 1, redis_url = "redis://:x@r"', f'field "redis_url" {NO_PASSWORD}'),
        ('store = "redis", replicas = 1, redis_url = "redis://r?password=x"', f'field "redis_url" {NO_PASSWORD}'),
        ('store = "redis", replicas = 1, timeout = "3s"', 'field "timeout" must be at most "2s"'),
        ("replicas = 2", 'field "replicas" has no meaning without store = "redis"'),
        ('redis_url = "redis://r"', 'field "redis_url" has no meaning without store = "redis"'),
        ("cluster = true", 'field "cluster" is unknown'),
    ],
)  # fmt: skip
def test_a_wrong_store_is_named(store, said):
    assert f"limits: {said}" in problems(file(top=f"limits = {{ {store} }}"))


def test_redis_without_its_package_is_said_when_the_file_is_read(monkeypatch):
    monkeypatch.setattr("idp.gateway.limits.load.find_spec", lambda _: None)
    text = file(top='limits = { store = "redis", redis_url = "redis://r", replicas = 1 }')
    assert problems(text) == ['limits: field "store" needs a package that is not installed: gatehouse-idp[redis]']


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["ip", "client", "5/s"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(["by", "rate", "burst", "before", "name", "x"])


@given(values=st.lists(st.dictionaries(FIELDS, anything)))
def test_nothing_that_a_file_may_hold_makes_the_reader_fail(values):
    try:
        read = given_limits(values)
    except ValueError:
        return
    assert all(limit.meter(9).capacity >= limit.meter(9).cost > 0 for limit in read)


@pytest.mark.parametrize("field", ["concurrency = 5", 'timeout = "5s"'])
def test_what_only_the_holder_of_a_request_can_do_is_refused_where_another_holds_it(field):
    name = field.split(" ", 1)[0]
    text = file(route=field, server='shape = "forward_auth"')
    assert problems(text) == [
        f'route "orders": field "{name}" has no meaning here: the server that asks holds the request'
    ]
    parse(file(route=field))
