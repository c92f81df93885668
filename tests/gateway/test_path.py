from __future__ import annotations

import re
from urllib.parse import unquote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from idp.gateway.path import BadTarget, canonical, split_target
from tests.gateway.raw import Client, request

AMBIGUOUS = [
    b"//orders/7",
    b"/orders//7",
    b"/orders/../admin",
    b"/orders/..",
    b"/orders/./7",
    b"/.",
    b"/orders/%2e%2e/admin",
    b"/orders/%2E./admin",
    b"/orders/.%2e/admin",
    b"/caf%C3%A9/../admin",
    b"/orders%2f7",
    b"/orders%2F7",
    b"/orders%5c7",
    b"/orders\\7",
    b"/orders;x=1/7",
    b"/orders/7;jsessionid=1",
    b"/orders%3b/7",
    b"/orders/7%00",
    b"/orders/7%0d%0a",
    b"/orders/%252e%252e/admin",
    b"/orders/%25",
    b"/orders/%ff",
    b"/orders/%c0%af",
    b"/orders/%",
    b"/orders/%4",
    b"/orders/%zz",
    b"/orders/caf\xc3\xa9",
    b"orders/7",
    b"",
    b"/" + b"a" * 9_000,
]


@pytest.mark.attack("GW4")
@pytest.mark.parametrize("path", AMBIGUOUS)
def test_refuses_a_path_with_two_readings(path):
    with pytest.raises(BadTarget):
        canonical(path)


@pytest.mark.attack("GW4")
@pytest.mark.parametrize("path", [path for path in AMBIGUOUS if path[:1] == b"/"])
def test_answers_400_and_asks_nobody_for_a_path_with_two_readings(path, proxy, upstream, token):
    with Client(proxy.address) as client:
        client.send(b"GET " + path + request(token=token)[len(b"GET /orders/7") :])
        assert client.answer().status == 400
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("path", "read"),
    [
        (b"/", "/"),
        (b"/orders/7", "/orders/7"),
        (b"/orders/7/", "/orders/7/"),
        (b"/a.b/..c/d..", "/a.b/..c/d.."),
        (b"/caf%C3%A9/%61%20b", "/café/a b"),
        (b"/a@b:c,d=e!$&'()*+~-_", "/a@b:c,d=e!$&'()*+~-_"),
    ],
)
def test_reads_a_plain_path_once(path, read):
    assert canonical(path) == read


@pytest.mark.attack("GW4")
@given(st.binary(max_size=60).map(lambda tail: b"/" + tail))
@example(b"/%2e")
@example(b"/a/..")
def test_whatever_is_accepted_means_the_same_to_everybody(path):
    try:
        read = canonical(path)
    except BadTarget:
        return
    segments = read.split("/")
    assert ".." not in segments
    assert "." not in segments
    assert "" not in segments[1:-1]
    assert not set(read) & set("\\;%\0\r\n")
    assert unquote(read) == read  # a server that decodes twice sees the same
    assert unquote_to_bytes(path).decode() == read
    assert path.count(b"/") == read.count("/")


@given(st.text(alphabet=st.sampled_from("/%.2eEfF5cC;aA0\\"), max_size=24))
def test_near_misses_keep_the_same_promise(text):
    test_whatever_is_accepted_means_the_same_to_everybody.hypothesis.inner_test(b"/" + text.encode())


@pytest.mark.attack("GW7")
@pytest.mark.parametrize("target", [b"/orders/7#", b"/orders/7#/../admin", b"/orders/7?a=1#x"])
def test_refuses_a_fragment(target, proxy, upstream, token):
    with pytest.raises(BadTarget):
        split_target(target)
    with Client(proxy.address) as client:
        client.send(b"GET " + target + request(token=token)[len(b"GET /orders/7") :])
        assert client.answer().status == 400
    assert upstream.seen == []


@pytest.mark.attack("GW7")
def test_a_query_opens_nothing(proxy, token):
    assert proxy.ask(request(token=token, target="/orders/admin?path=/orders/7&scope=admin")).status == 403
    assert proxy.ask(request(token=token, target="/nowhere?/orders/7")).status == 403


@pytest.mark.attack("GW7")
@pytest.mark.parametrize("target", [b"/?a b", b"/?\x00", b"/?\xff", b"/?a#"])
def test_refuses_a_query_that_is_none(target):
    with pytest.raises(BadTarget):
        split_target(target)


@pytest.mark.attack("GW7")
@pytest.mark.parametrize("query", [b"a=\x01", b"a=\xff", b"a b"])
def test_a_query_holds_only_what_a_query_may(query, proxy, token):
    with Client(proxy.address) as client:
        client.send(b"GET /orders/7?" + query + request(token=token)[len(b"GET /orders/7") :])
        assert client.answer().status == 400


@pytest.mark.attack("GW5")
@pytest.mark.parametrize("target", ["/orders/%37", "/orders/7?x=%2f..%2f&y=//", "/orders/caf%c3%a9", "/orders/~a%20b"])
def test_forwards_the_very_bytes_it_decided_on(target, proxy, upstream, token):
    assert proxy.ask(request(token=token, target=target)).status == 200
    assert upstream.last.line == f"GET {target} HTTP/1.1".encode()


@pytest.mark.attack("GW6")
@pytest.mark.parametrize(
    "path",
    ["/orders/Admin", "/orders/ADMIN", "/orders/admin/", "/orders/\uff21\uff24\uff2d\uff29\uff2e", "/orders/%61dmin"],
)
def test_a_variant_of_a_guarded_path_opens_no_more_than_the_path(path, proxy, upstream, token):
    quoted = re.sub(r"[^\x00-\x7f]+", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), path)
    assert proxy.ask(request(token=token, target=quoted)).status == 403
    assert upstream.seen == []


@pytest.mark.attack("GW6")
@pytest.mark.parametrize(
    "path", ["/", "/orders", "/orders/", "/orders/7/", "/Orders/7", "/orders/7/8", "/x", "/reports"]
)
def test_what_no_route_names_is_denied(path, proxy, upstream, token):
    assert proxy.ask(request(token=token, target=path)).status == 403
    assert upstream.seen == []
