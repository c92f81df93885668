from __future__ import annotations

import datetime as dt

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.gateway.policy import reference
from tests.gateway.policy.ground import AUDIENCE, NOW, Ground, document, file, said, toml
from tests.gateway.policy.reference import Ask

SCOPES = ["a:read", "a:write", "b:read"]
ROLES = ["clerk", "boss", "auditor"]
PEOPLE = ["alice", "bob", "7"]
ADDRESSES = ["10.1.2.3", "192.0.2.9", "203.0.113.9", "::ffff:10.1.2.3", "2001:db8::1", "010.1.2.3", "10.1.2.3:80", ""]
NETWORKS = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "203.0.113.9"]
TEMPLATES = ["/users/{uid}", "/users/{uid}/orders/{oid}", "/users/alice", "/users/alice/orders/{oid}"]
DAYS = reference.DAYS


def some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


def only(name: str, values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return values.map(lambda value: {name: value})


clock = st.times(min_value=dt.time(0), max_value=dt.time(23, 59)).map(lambda time: time.replace(microsecond=0))
dates = st.dates(min_value=dt.date(2026, 11, 18), max_value=dt.date(2026, 11, 29))


@st.composite
def windows(draw):
    window: dict[str, object] = {"tz": draw(st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]))}
    if draw(st.booleans()):
        window["from"], window["to"] = draw(st.lists(clock, min_size=2, max_size=2, unique=True))
    if draw(st.booleans()):
        window["days"] = draw(some(DAYS) | st.tuples(*[st.sampled_from(DAYS)] * 2).map("-".join))
    first, last = sorted([draw(dates), draw(dates)])
    window |= {name: value for name, value in (("first", first), ("last", last)) if draw(st.booleans())}
    return window


values = st.sampled_from(["x", "y", 1, 0, True, False])
claims = st.dictionaries(st.sampled_from(["tenant", "level"]), values | st.lists(values, min_size=1, max_size=2),
                         min_size=1, max_size=2)  # fmt: skip
acrs = st.sampled_from(["aal1", "aal2", "aal3", "gold"])
ages = st.sampled_from(["30s", "5m", "1h"])
sides = st.lists(st.sampled_from(["claim.sub", "path.uid", "claim.tenant", "claim.level"]), min_size=2, max_size=2,
                 unique=True)  # fmt: skip
leaves = st.one_of(
    only("scope", st.sampled_from(SCOPES) | some(SCOPES)),
    only("role", st.sampled_from(ROLES)),
    only("role_any", some(ROLES)),
    only("role_all", some(ROLES)),
    only("claims", claims),
    only("eq", sides),
    only("method", some(["GET", "POST"])),
    only("host", some(["api.example", "other.example"])),
    only("ip_in", some(NETWORKS)),
    only("time", windows()),
    only("acr", acrs | st.lists(acrs, min_size=1, max_size=2, unique=True)),
    only("max_age", ages),
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        only("any", st.lists(inner, min_size=1, max_size=3))
        | only("all", st.lists(inner, min_size=1, max_size=3))
        | only("not", inner)
    ),
    max_leaves=8,
)


def without(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


@st.composite
def files(draw):
    routes = []
    for path, methods in draw(
        st.lists(st.tuples(st.sampled_from(TEMPLATES), st.sampled_from([["GET"], ["GET", "POST"], ["POST"]])),
                 min_size=1, max_size=4, unique_by=lambda each: each[0])
    ):  # fmt: skip
        offered = {
            "scope": draw(without(some(SCOPES))),
            "role_any": draw(without(some(ROLES))),
            "role_all": draw(without(some(ROLES))),
            "claims": draw(without(claims)),
            "acr": draw(without(acrs)),
            "max_age": draw(without(ages)),
        }
        kept = draw(st.sets(st.sampled_from(sorted(offered)), max_size=3))
        conditions_of = [each for each in draw(st.lists(conditions, max_size=3)) if fitting(each, path)]
        route = {
            "id": f"r{len(routes)}",
            "match": {"method": methods, "path": path},
            "audience": draw(st.sampled_from([AUDIENCE, AUDIENCE, AUDIENCE, "https://other.example"])),
            "upstream": "http://127.0.0.1:9",
            "require": {name: value for name, value in offered.items() if name in kept and value is not None},
            "when": conditions_of,
            "mode": draw(st.sampled_from(["enforce", "enforce", "shadow"])),
        }
        if draw(st.booleans()):
            route["review"] = {"owner": "team", "by": draw(dates), "expired": draw(st.sampled_from(["deny", "warn"]))}
        routes.append(route)
    lines = ["[[routes]]\n" + "\n".join(f"{name} = {toml(value)}" for name, value in each.items()) for each in routes]
    return file(*lines, top='trusted_proxies = ["10.0.0.0/8"]')


def fitting(condition: object, path: str) -> bool:
    return "{uid}" in path or "path.uid" not in toml(condition)


asks = st.builds(
    Ask,
    method=st.sampled_from(["GET", "POST"]),
    path=st.sampled_from(["/users/alice", "/users/bob", "/users/alice/orders/1", "/users/7/orders/2", "/none"]),
    host=st.sampled_from(["api.example", "other.example"]),
    peer=st.sampled_from(["10.9.9.9", "203.0.113.9", "192.0.2.9", "::ffff:10.9.9.9"]),
    forwarded=st.lists(st.sampled_from(ADDRESSES), max_size=3),
    now=st.integers(min_value=int(NOW) - 3 * 86_400, max_value=int(NOW) + 3 * 86_400).map(float),
)
tokens = st.fixed_dictionaries(
    {
        "sub": st.sampled_from(PEOPLE),
        "scope": st.lists(st.sampled_from(SCOPES), unique=True).map(" ".join),
        "roles": st.lists(st.sampled_from(ROLES), unique=True),
    },
    optional={
        "tenant": values | st.lists(values, max_size=2) | st.just({"odd": 1}) | st.just(1.0),
        "level": values | st.sampled_from(PEOPLE),
        "acr": acrs,
        "auth_age": st.sampled_from([-120, -30, 0, 10, 60, 600, 7_200]),
    },
)


@settings(
    max_examples=120,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(files(), st.lists(st.tuples(asks, tokens), min_size=1, max_size=12))
def test_every_decision_is_the_one_of_the_reference(text, asked):
    ground, words = Ground(text), document(text)
    for ask, token in asked:
        claims = {"aud": AUDIENCE, **token}
        age = claims.pop("auth_age", None)
        if age is not None:
            claims["auth_time"] = int(ask.now) - age
        decision = ground.ask(ask, **claims)
        assert said(decision) == reference.answer(words, claims, ask)
