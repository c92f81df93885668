from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time

import pytest

from idp.gateway.fetch import FetchError, _cut, fetcher


@pytest.fixture
def fetch():
    return fetcher(seconds=30.0)


@pytest.fixture
def hasty():
    return fetcher(seconds=0.3)


def test_an_answer_comes_with_its_facts(issuer, fetch):
    issuer.etag, issuer.headers, issuer.date = '"1"', {"Cache-Control": "public, max-age=120"}, 1_700_000_000
    got = fetch(issuer.issuer + "/jwks", None)
    assert (got.body, got.etag, got.max_age, got.date) == (issuer.jwks(), '"1"', 120, 1_700_000_000)
    assert fetch(issuer.issuer + "/jwks", '"1"').body is None


@pytest.mark.parametrize("cache", ["", "no-store", "max-age=x", "max-age=-1", "max-age", "s-maxage=1"])
def test_a_lifetime_that_is_none_is_none(cache, issuer, fetch):
    issuer.headers = {"Cache-Control": cache}
    assert fetch(issuer.issuer + "/jwks", None).max_age is None


@pytest.mark.attack("JO26")
@pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 204, 404, 500, 503])
def test_only_200_is_an_answer_and_a_redirect_is_not_followed(status, issuer, fetch):
    issuer.status = status
    issuer.headers = {"Location": issuer.issuer + "/elsewhere"}
    with pytest.raises(FetchError):
        fetch(issuer.issuer + "/jwks", None)
    assert issuer.asked == ["/jwks"]


@pytest.mark.attack("JO26")
def test_five_megabytes_are_not_read(issuer, fetch):
    issuer.document = b" " * 5_000_000
    with pytest.raises(FetchError, match="too much"):
        fetch(issuer.issuer + "/jwks", None)


@pytest.mark.attack("GW18")
def test_an_issuer_that_hangs_costs_its_time_and_no_more(issuer, hasty):
    issuer.hanging = True
    began = time.monotonic()
    with pytest.raises(FetchError):
        hasty(issuer.issuer + "/jwks", None)
    issuer.hang.set()
    assert time.monotonic() - began < 5


@pytest.mark.attack("GW18")
def test_an_issuer_that_drips_costs_its_time_and_no_more(issuer, hasty):
    issuer.drip = True
    began = time.monotonic()
    with pytest.raises(FetchError):
        hasty(issuer.issuer + "/jwks", None)
    assert time.monotonic() - began < 5


def test_nobody_there_is_an_error(fetch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchError):
        fetch(f"http://127.0.0.1:{port}/", None)


def answering(answer: bytes):
    """A server that says these bytes once."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"junk\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    ],
)
def test_a_torn_answer_is_an_error(answer, fetch):
    with pytest.raises(FetchError):
        fetch(answering(answer), None)


@pytest.mark.parametrize("date", [b"tomorrow", b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT"])
def test_a_date_that_is_none_is_none(date, fetch):
    got = fetch(answering(b"HTTP/1.1 200 OK\r\nDate: " + date + b"\r\nContent-Length: 0\r\n\r\n"), None)
    assert got.date is None


def test_a_certificate_nobody_vouches_for_is_an_error(fetch):
    with pytest.raises(FetchError):
        fetch(answering(b"not tls").replace("http:", "https:"), None)


def test_time_spent_on_connecting_counts(monkeypatch, issuer):
    connect = socket.create_connection

    def slow(*args, **kwargs):
        time.sleep(0.3)
        return connect(*args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", slow)
    with pytest.raises(FetchError):
        fetcher(seconds=0.1)(issuer.issuer + "/jwks", None)
    assert issuer.asked == []


def test_an_own_authority_may_be_named(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ssl.SSLError):
        fetcher(tmp_path / "ca.pem")


def test_a_connection_that_is_gone_already_needs_no_cut():
    connection = http.client.HTTPConnection("127.0.0.1", 1)
    _cut(connection)
    connection.sock = socket.socket()
    _cut(connection)
    connection.close()
