from __future__ import annotations

import contextlib
import select
import time

import pytest

from tests.gateway.conftest import config_text
from tests.gateway.raw import Client, request

QUICK = """
[server.limits]
header_timeout = "300ms"
body_timeout = "300ms"
keep_alive = "300ms"
body = "1MB"
"""


def post(token: str, *lines: str, body: bytes = b"") -> bytes:
    head = request("POST", token=token)[:-2].decode()
    return (head + "".join(line + "\r\n" for line in lines) + "\r\n").encode("latin-1") + body


def refused(proxy, upstream, data: bytes, *statuses: int) -> None:
    """The answer is a refusal, the connection ends, and nothing of it went on."""
    with Client(proxy.address) as client:
        client.send(data)
        answer = client.answer()
        assert answer.status in (statuses or (400,))
        assert client.ended()
    assert upstream.seen == []


SMUGGLED = b"GET /orders/admin HTTP/1.1\r\nHost: api.example\r\n\r\n"


@pytest.mark.attack("GW13")
@pytest.mark.spec("RFC 9112 section 6")
@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Content-Length: 5"),
        ("Content-Length: 4", "Content-Length: 4"),
        ("Content-Length: 4, 4",),
        ("Content-Length: +4",),
        ("Content-Length: 0x4",),
        ("Content-Length: -1",),
        ("Content-Length: 4 4",),
        ("Content-Length: 99999999999999999999999",),
        ("Content-Length:",),
        ("Content-Length : 4",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: \x0bchunked",),
        ("Transfer-Encoding:\tchunked\x00",),
        ("X-A: 1\r\n folded",),
        ("X-A: 1\nX-B: 2",),
        ("X-A: 1\rX-B: 2",),
        ("X-A\x00: 1",),
        ("X-A: a\x00b",),
        ("X A: 1",),
        (": 1",),
        (" X-First: 1",),
    ],
)
def test_a_head_with_two_readings_ends_the_connection(lines, proxy, upstream, token):
    refused(proxy, upstream, post(token, *lines, body=b"0\r\n\r\n" + SMUGGLED))


@pytest.mark.attack("GW13")
@pytest.mark.parametrize(
    "data",
    [
        b"GET /orders/7 HTTP/1.1\nHost: api.example\n\n",
        b"GET /orders/7 HTTP/1.1\r\nHost: api.example\n\r\n",
        b"GET /orders/7\r\nHost: api.example\r\n\r\n",
        b"GET /orders/7 HTTP/1.1 x\r\nHost: api.example\r\n\r\n",
        b"GET /orders/7 HTTP/1.2\r\nHost: api.example\r\n\r\n",
        b"GET /orders/7 HTTP/2.0\r\nHost: api.example\r\n\r\n",
        b"GET /orders/7 HTTP/0.9\r\nHost: api.example\r\n\r\n",
        b"get /orders/7 HTTP/1.1\r\nHost: api.example\r\n\r\n",
        b"G\x00T /orders/7 HTTP/1.1\r\nHost: api.example\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1",
    ],
)
def test_a_request_line_that_is_none_ends_the_connection(data, proxy, upstream):
    refused(proxy, upstream, data, 400, 505)


@pytest.mark.attack("GW13")
def test_a_coding_in_http_1_0_is_refused(proxy, upstream, token):
    data = post(token, "Transfer-Encoding: chunked", body=b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    refused(proxy, upstream, data)


@pytest.mark.attack("GW14")
@pytest.mark.parametrize(
    "body",
    [
        b"x\r\nabc\r\n0\r\n\r\n",
        b"-1\r\n",
        b"3\r\nabcd\r\n",
        b"3\nabc\n0\n\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n",
        b"fffffffffffffffff\r\n",
        b"3;a=\x00\r\nabc\r\n0\r\n\r\n",
        b"\r\n",
    ],
)
def test_a_bad_chunk_ends_the_connection(body, proxy, upstream, token):
    with Client(proxy.address) as client:
        client.send(post(token, "Transfer-Encoding: chunked", body=body))
        # The request may have gone on already: then it is cut off, so that nobody takes the rest for another one.
        with contextlib.suppress(ConnectionError):
            assert client.answer().status == 400
        assert client.ended()
    assert [seen for seen in upstream.seen if seen.body.endswith(b"0\r\n\r\n")] == []


@pytest.mark.attack("GW13")
def test_what_follows_a_refusal_is_never_taken_for_a_request(proxy, upstream, token):
    smuggled = request(token=token)
    with Client(proxy.address) as client:
        client.send(post(token, "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + smuggled))
        assert client.answer().status == 400
        client.send(smuggled)
        assert client.ended()
    assert upstream.seen == []


@pytest.mark.attack("GW8")
@pytest.mark.spec("RFC 9112 section 3.2")
@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("api.example", "api.example"),
        ("api.example", "evil.example"),
        ("",),
        ("api.example/x",),
        ("a b",),
        ("user@api.example",),
        ("api.example:x",),
        ("api.example,evil.example",),
        ("[::1",),
        ("-",),
        ("a" * 300,),
    ],
)
def test_a_request_needs_exactly_one_good_host(hosts, proxy, upstream, token):
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    refused(proxy, upstream, f"GET /orders/7 HTTP/1.1\r\n{lines}Authorization: Bearer {token}\r\n\r\n".encode())


@pytest.mark.attack("GW8")
def test_an_unknown_host_is_refused(proxy, upstream, token):
    assert proxy.ask(request(token=token, host="other.example")).status == 400
    assert upstream.seen == []


@pytest.mark.attack("GW8")
def test_the_authority_of_an_absolute_target_replaces_the_host(proxy, upstream, token):
    absolute = request(token=token, target="http://API.example/orders/7?x=1", host="other.example")
    assert proxy.ask(absolute).status == 200
    assert upstream.last.line == b"GET /orders/7?x=1 HTTP/1.1"
    assert upstream.last.header(b"host") == b"API.example"


@pytest.mark.attack("GW8")
@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/orders/7",
        "http:///orders/7",
        "http://user@api.example/orders/7",
        "ftp://api.example/orders/7",
        "*",
        "api.example:80",
        "http://api.example#/orders/7",
    ],
)
def test_an_unknown_authority_is_refused(target, proxy, upstream, token):
    assert proxy.ask(request(token=token, target=target)).status == 400
    assert upstream.seen == []


def test_an_absolute_target_without_path_means_the_root(proxy, token):
    assert proxy.ask(request(token=token, target="http://api.example")).status == 403
    assert proxy.lines()[-1]["path"] == "/"


@pytest.mark.attack("GW11")
@pytest.mark.parametrize(
    ("method", "target"), [("TRACE", "/orders/7"), ("CONNECT", "api.example:443"), ("DELETE", "/orders/7")]
)
def test_a_method_that_is_not_allowed_is_405(method, target, proxy, upstream, token):
    assert proxy.ask(request(method, target, token=token)).status == 405
    assert upstream.seen == []


@pytest.mark.attack("GW11")
@pytest.mark.parametrize("header", ["X_HTTP_Method_Override", "X_HTTP_Method", "X_Method_Override"])
def test_a_method_override_is_405(header, proxy, upstream, token):
    assert proxy.ask(request(token=token, **{header: "DELETE"})).status == 405
    assert upstream.seen == []


@pytest.mark.attack("GW11")
def test_405_says_what_is_allowed(proxy, token):
    assert proxy.ask(request("DELETE", token=token)).header("allow") == "GET, HEAD, POST, PUT"


@pytest.mark.attack("GW15")
@pytest.mark.parametrize(
    ("upgrade", "status"), [("websocket", 403), ("h2c", 501), ("websocket, h2c", 501), ("TLS/1.0", 501)]
)
def test_an_upgrade_that_no_route_allows_is_refused(upgrade, status, proxy, upstream, token):
    refused(proxy, upstream, request(token=token, Connection="Upgrade, HTTP2-Settings", Upgrade=upgrade), status)


@pytest.mark.attack("GW15")
@pytest.mark.parametrize(("method", "length"), [("POST", "0"), ("GET", "3")])
def test_an_upgrade_of_another_request_is_refused(method, length, proxy, upstream, token):
    head = request(method, token=token, Connection="Upgrade", Upgrade="websocket", Content_Length=length)
    refused(proxy, upstream, head, 501, 400)


def test_an_upgrade_nobody_asked_this_connection_for_is_only_dropped(proxy, upstream, token):
    assert proxy.ask(request(token=token, Upgrade="h2c")).status == 200
    assert upstream.last.header(b"upgrade") is None


@pytest.mark.attack("GW27")
def test_a_header_of_a_megabyte_is_431(proxy, upstream, token):
    with Client(proxy.address) as client:
        with contextlib.suppress(OSError):
            client.send(request(token=token)[:-2] + b"X-Big: " + b"a" * 1_048_576 + b"\r\n\r\n")
        assert client.answer().status == 431
        assert client.ended()
    assert upstream.seen == []


@pytest.mark.attack("GW27")
def test_a_header_just_over_the_limit_is_431_however_it_arrives(proxy, token):
    data = request(token=token)[:-2] + b"X-Big: " + b"a" * 32_768 + b"\r\n\r\n"
    assert proxy.ask(data).status == 431
    with Client(proxy.address) as client:
        for at in range(0, len(data), 4_096):
            client.send(data[at : at + 4_096])
            time.sleep(0.002)
        assert client.answer().status == 431


@pytest.mark.attack("GW27")
def test_a_thousand_headers_are_431(proxy, token):
    data = request(token=token)[:-2] + b"".join(b"X-%d: 1\r\n" % number for number in range(1_000)) + b"\r\n"
    assert proxy.ask(data).status == 431


@pytest.mark.attack("GW27")
def test_a_target_that_is_too_long_is_414(proxy, token):
    assert proxy.ask(request(token=token, target="/orders/7?" + "a" * 17_000)).status == 414


@pytest.mark.attack("GW27")
def test_a_body_of_a_gigabyte_is_413_before_it_is_read(proxy, upstream, token):
    with Client(proxy.address) as client:
        client.send(post(token, "Content-Length: 1073741824", body=b"a" * 100_000))
        answer = client.answer()
        assert (answer.status, answer.closed) == (413, True)
    assert upstream.seen == []


@pytest.mark.attack("GW27")
def test_a_chunked_body_that_grows_too_far_is_413(serve, issuer, upstream):
    proxy = serve(config_text(issuer, upstream, server=QUICK))
    with Client(proxy.address) as client:
        client.send(post(issuer.token(), "Transfer-Encoding: chunked"))
        try:
            for _ in range(64):
                client.send(b"8000\r\n" + b"a" * 0x8000 + b"\r\n")
        except OSError:
            pass
        assert client.answer().status == 413
        assert client.ended()
    assert upstream.seen == []


@pytest.mark.attack("GW27")
def test_a_header_that_stalls_is_408(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, server=QUICK))
    with Client(proxy.address) as client:
        client.send(request(token=token)[:-20])
        assert client.answer().status == 408
        assert client.ended()


@pytest.mark.attack("GW27")
def test_a_header_that_drips_is_408_all_the_same(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, server=QUICK))
    with Client(proxy.address) as client:
        for byte in request(token=token):
            client.send(bytes([byte]))
            if select.select([client.socket], [], [], 0.02)[0]:
                break
        assert client.answer().status == 408


@pytest.mark.attack("GW27")
def test_a_body_that_stalls_is_408(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, server=QUICK))
    with Client(proxy.address) as client:
        client.send(post(token, "Content-Length: 10", body=b"abc"))
        assert client.answer().status == 408
        assert client.ended()
    assert upstream.seen == []


@pytest.mark.attack("GW27")
def test_a_connection_that_says_nothing_is_closed(serve, issuer, upstream):
    proxy = serve(config_text(issuer, upstream, server=QUICK))
    with Client(proxy.address) as client:
        assert client.ended()


def test_an_idle_connection_is_closed_after_its_time(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, server=QUICK))
    with Client(proxy.address) as client:
        client.send(request(token=token))
        assert client.answer().status == 200
        assert client.ended()


@pytest.mark.attack("GW27")
def test_wrapping_without_content_ends_the_connection(proxy, upstream, token):
    with Client(proxy.address) as client:
        client.send(post(token, "Transfer-Encoding: chunked"))
        with contextlib.suppress(OSError):
            for _ in range(200):
                client.send(b"1;" + b"x" * 4_000 + b"\r\na\r\n")
        assert client.ended()
    assert upstream.seen == []


def test_too_many_connections_are_told_so(serve, issuer, upstream):
    proxy = serve(config_text(issuer, upstream, server="[server.limits]\nconnections = 2"))
    with Client(proxy.address) as one, Client(proxy.address) as two:
        for client in (one, two):
            client.send(request())
            assert client.answer().status == 401
        with Client(proxy.address) as three:
            assert three.answer().status == 503


def test_pipelined_requests_are_answered_in_order(proxy, upstream, token):
    with Client(proxy.address) as client:
        client.send(request(token=token, target="/orders/1") + request() + request(token=token, target="/orders/2"))
        assert [client.answer().status for _ in range(3)] == [200, 401, 200]
    assert [seen.line.split(b" ")[1] for seen in upstream.seen] == [b"/orders/1", b"/orders/2"]


def test_a_request_after_a_bad_one_in_the_same_bytes_is_not_answered(proxy, token):
    with Client(proxy.address) as client:
        client.send(request() + b"BAD\r\n\r\n" + request(token=token))
        assert client.answer().status == 401
        assert client.answer().status == 400
        assert client.ended()


def test_http_1_0_gets_an_answer_that_ends_with_the_connection(proxy, upstream, token):
    upstream.answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    with Client(proxy.address) as client:
        client.send(request(token=token).replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = client.answer()
        assert (answer.status, answer.body, answer.header("transfer-encoding")) == (200, b"ok", None)


def test_http_1_0_may_keep_the_connection_for_an_answer_with_a_length(proxy, token):
    data = request(token=token, Connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    with Client(proxy.address) as client:
        for _ in range(2):
            client.send(data)
            assert client.answer().header("connection") == "keep-alive"


@pytest.mark.spec("RFC 9110 section 10.1.1")
def test_http_1_0_is_told_nothing_in_between(proxy, upstream, token):
    head = request("POST", token=token, Content_Length="2", Expect="100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
    with Client(proxy.address) as client:
        client.send(head)
        time.sleep(0.1)
        client.send(b"hi")
        assert client.answer().status == 200


def test_a_client_may_ask_for_the_end(proxy, token):
    with Client(proxy.address) as client:
        client.send(request(token=token, Connection="close"))
        assert client.answer().header("connection") == "close"
        assert client.ended()
