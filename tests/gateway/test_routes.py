from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.gateway.config import Route
from idp.gateway.routes import Routes, Twice, bare
from idp.gateway.rules import Rules
from idp.gateway.template import Template


def route(path: str, *methods: str, host: str | None = None) -> Route:
    return Route(
        id=path,
        host=host,
        methods=frozenset(methods or ("GET",)),
        path=Template.parse(path),
        audience="a",
        issuer="main",
    )


def chosen(routes: Routes, path: str, *, host: str = "h", method: str = "GET") -> str | None:
    found = (routes.find(host, path) or {}).get(method)
    return found.id if found else None


@pytest.fixture
def routes() -> Routes:
    paths = (
        "/",
        "/users/me",
        "/users/{id}",
        "/users/{id}/keys",
        "/users/{id}/keys/{key}",
        "/files/{rest...}",
        "/files/top",
        "/dir/",
        "/{any}",
        "/a/{x}/c",
        "/a/b/{y}",
    )
    return Routes([route(path) for path in paths])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/users/me", "/users/me"),
        ("/users/7", "/users/{id}"),
        ("/users/me/keys", "/users/{id}/keys"),
        ("/users/7/keys/1", "/users/{id}/keys/{key}"),
        ("/users/7/nothing", None),
        ("/files/top", "/files/top"),
        ("/files/top/x", "/files/{rest...}"),
        ("/files/a/b/c", "/files/{rest...}"),
        ("/files/", "/files/{rest...}"),
        ("/files", None),  # likewise
        ("/dir/", "/dir/"),
        ("/dir", None),  # by a last slash only: /dir/ might be meant
        ("/users/", None),
        ("/users/ME", None),
        ("/files/TOP", None),
        ("/files/top/", None),
        ("/other", "/{any}"),
        ("/other/", None),
        ("/a/b/c", "/a/b/{y}"),
        ("/a/B/c", None),
        ("/a/z/c", "/a/{x}/c"),
    ],
)
@pytest.mark.attack("GW6")
def test_the_most_special_template_wins_and_its_variants_get_nothing(path, expected, routes):
    assert chosen(routes, path) == expected


def test_the_order_of_the_file_means_nothing():
    paths = ["/{rest...}", "/{a}", "/x", "/{a}/{b}", "/x/{b}"]
    forward, backward = Routes(map(route, paths)), Routes(map(route, reversed(paths)))
    for path in ("/x", "/y", "/x/y", "/y/y", "/y/y/y"):
        assert chosen(forward, path) == chosen(backward, path)


def test_a_route_of_a_host_goes_before_one_for_every_host():
    routes = Routes([route("/x"), route("/x", "GET", host="a.example"), route("/{any}", "POST")])
    found = routes.find("a.example", "/x")
    assert found["GET"].host == "a.example"
    assert routes.find("b.example", "/x")["GET"].host is None
    assert routes.find("a.example:81", "/y")["POST"].host is None


def test_a_host_with_its_port_goes_before_the_bare_one():
    routes = Routes([route("/x", host="a.example"), route("/y", host="a.example:81")])
    assert chosen(routes, "/y", host="a.example:81") == "/y"
    assert chosen(routes, "/x", host="a.example:82") == "/x"
    assert chosen(routes, "/x", host="a.example:81") is None


@pytest.mark.attack("GW6")
def test_no_route_for_every_host_opens_a_variant_of_a_route_of_one():
    routes = Routes([route("/admin", host="a.example"), route("/{any}")])
    assert chosen(routes, "/Admin", host="a.example") is None
    assert chosen(routes, "/Admin", host="b.example") == "/{any}"


def test_two_ways_to_write_one_template_are_one_claim():
    with pytest.raises(Twice):
        Routes([route("/users/{id}"), route("/users/{name}")])
    Routes([route("/users/{id}", "GET"), route("/users/{name}", "POST")])


def test_templates_that_differ_in_case_only_are_both_meant():
    routes = Routes([route("/a/{x}"), route("/A/{x}"), route("/b"), route("/B")])
    assert [chosen(routes, path) for path in ("/a/1", "/A/1", "/b", "/B")] == ["/a/{x}", "/A/{x}", "/b", "/B"]


@pytest.mark.parametrize(("host", "name"), [("a", "a"), ("a:1", "a"), ("[::1]", "[::1]"), ("[::1]:8", "[::1]")])
def test_a_port_is_no_part_of_a_name(host, name):
    assert bare(host) == name


@given(st.lists(st.sampled_from(["a", "A", "b", "", "{x}", "é"]), min_size=1, max_size=4))
@pytest.mark.attack("GW6")
def test_a_path_and_its_variants_never_lead_to_different_templates(segments):
    literals = [segment if segment != "{x}" else "q" for segment in segments]
    if "" in literals[:-1]:
        return
    path = "/" + "/".join(literals)
    routes = Routes(
        [route("/a/{x}"), route("/{x}/b"), route("/a"), route("/{rest...}"), route("/a/b/{rest...}"), route("/{x}/é/a")]
    )
    got = {chosen(routes, each) for each in (path, path.swapcase(), path.rstrip("/") or "/", path + "/")} - {None}
    strict = chosen(routes, path)
    assert strict is None or got <= {strict} or all(each in {"/a", strict} for each in got)


def test_a_thousand_routes_cost_what_ten_do():
    def cost(number: int) -> float:
        routes = Routes([route(f"/r{at}/{{id}}/x") for at in range(number)])
        path = f"/r{number - 1}/7/x"
        best = 9.0
        for _ in range(7):
            began = time.perf_counter()
            for _ in range(500):
                routes.find("h", path)
            best = min(best, time.perf_counter() - began)
        return best

    assert any(cost(1_000) < 2 * cost(10) for _ in range(5))  # a machine that is busy may spoil a try


def test_hosts_from_strangers_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr("idp.gateway.rules._REMEMBERED", 2)
    rules = Rules.__new__(Rules)
    rules._hosts, rules._open, rules._named = {}, True, frozenset()
    for number in range(5):
        assert rules.host(b"h%d" % number) == f"h{number}"
    assert len(rules._hosts) == 2
    assert rules.host(b"h0") == "h0"
    assert rules.host(b"a b") is None
