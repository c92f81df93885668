"""The gateway as a client of its provider, and how it asks."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path

import pytest

from idp.gateway.call import Caller, _cut
from idp.gateway.client import ASSERTION_TYPE, Key, Unusable, credentials
from idp.gateway.config import ClientConfig
from idp.gateway.fetch import FetchError
from idp.jose import strict
from idp.jose.keys import KeySet, SigningKey
from idp.jose.strict import JoseError
from idp.jose.verify import verify

ADDRESS = "https://id.example/events"


@pytest.fixture
def key():
    return SigningKey.generate("ES256")


@pytest.fixture
def files(tmp_path, key):
    (tmp_path / "secret").write_text("  a secret of the gateway \nand a note\n")
    (tmp_path / "short").write_text("short\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "bytes").write_bytes(b"\xff" * 40)
    (tmp_path / "key.pem").write_bytes(key.private_pem())
    return tmp_path


def made(files, **facts):
    return credentials(ClientConfig(id="gate way", **{name: files / value for name, value in facts.items()}))


@pytest.mark.spec("RFC 6749 section 2.3.1")
def test_a_secret_is_the_first_line_of_its_file_and_travels_as_basic(files):
    proof = made(files, secret_file="secret")
    header = proof.bearer(ADDRESS, 0)["Authorization"]
    assert b64decode(header.removeprefix("Basic ")) == b"gate+way:a+secret+of+the+gateway"
    assert proof.once("https://id.example", 0) == ({"Authorization": header}, {})
    assert "a secret" not in repr(proof)


@pytest.mark.spec("RFC 7523 section 3")
def test_a_key_signs_for_one_address_and_anew_each_minute(files, key):
    proof = made(files, key_file="key.pem")
    tokens = [proof.bearer(ADDRESS, 1_000.0 + second)["Authorization"] for second in (0, 59, 61, 0, -100)]
    assert tokens[0] == tokens[1]
    assert len(set(tokens)) == 4
    keys = KeySet.from_own([key.public_jwk()])
    claims = verify(tokens[0].removeprefix("Bearer "), keys, typ=None, algs=frozenset({"ES256"})).claims
    assert (claims["iss"], claims["sub"], claims["aud"], claims["exp"]) == ("gate way", "gate way", ADDRESS, 1_120)
    assert proof.bearer("https://other.example", 1_000.0)["Authorization"] not in tokens


def test_what_counts_once_is_signed_each_time(files):
    proof = made(files, key_file="key.pem")
    first, second = (proof.once("https://id.example", 1_000.0) for _ in range(2))
    assert first[0] == {}
    assert first[1]["client_assertion_type"] == ASSERTION_TYPE
    assert first[1]["client_assertion"] != second[1]["client_assertion"]
    assert strict.loads(strict.split(first[1]["client_assertion"]).payload)["aud"] == "https://id.example"


@pytest.mark.parametrize(
    ("field", "name", "said"),
    [
        ("secret_file", "nowhere", "cannot be read"),
        ("secret_file", "bytes", "cannot be read"),
        ("secret_file", "short", "does not hold a secret"),
        ("secret_file", "empty", "does not hold a secret"),
        ("key_file", "nowhere", "cannot be read"),
        ("key_file", "secret", "is not a key for ES256"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(files, field, name, said):
    with pytest.raises(Unusable, match=f"{name}: .*{said}"):
        made(files, **{field: name})


def test_a_key_for_another_algorithm_is_refused(files):
    with pytest.raises(Unusable):
        Key.read("gateway", files / "key.pem", "RS256")


def test_a_client_that_proves_nothing_does_not_come_this_far():
    with pytest.raises(AssertionError):
        credentials(ClientConfig(id="gateway"))


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA", "PS256"])
def test_a_key_is_named_by_what_it_is(alg):
    key = SigningKey.generate(alg)
    assert SigningKey.read_pem(key.private_pem(), alg=alg).kid == key.kid
    with pytest.raises(JoseError):
        SigningKey.from_pem(key.private_pem(), alg=alg, kid="another")


class Server:
    """Answers POSTs as it is told."""

    def __init__(self) -> None:
        self.status, self.body, self.length, self.pause = 200, b"{}", None, 0.0
        self.connections: set[object] = set()
        self.asked: list[tuple[str, bytes]] = []
        self.close_after = False
        self.cut = 0

    @contextmanager
    def running(self):
        told = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                told.connections.add(self.client_address)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.asked.append((self.path, body))
                if told.cut:
                    told.cut -= 1
                    self.close_connection = True
                    return
                self.send_response(told.status)
                self.send_header("Content-Length", str(told.length or len(told.body)))
                if told.close_after:
                    self.send_header("Connection", "close")
                self.end_headers()
                for start in range(0, len(told.body), 65_536) if not told.pause else range(len(told.body)):
                    time.sleep(told.pause)
                    step = 1 if told.pause else 65_536
                    self.wfile.write(told.body[start : start + step])
                self.close_connection = told.close_after

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
                """Quiet."""

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients that give up are part of the tests."""

        server = Quiet(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}/events?stream=one"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture
def server():
    with Server().running() as running:
        yield running


@pytest.fixture
def caller():
    made = Caller(seconds=30.0)
    yield made
    made.close()


@pytest.fixture
def hasty():
    made = Caller(seconds=0.3)
    yield made
    made.close()


def test_one_connection_is_used_again(server, caller):
    for _ in range(3):
        assert caller.post(server.url, b"x", {}) == b"{}"
    assert len(server.connections) == 1
    assert server.asked[0] == ("/events?stream=one", b"x")


def test_a_connection_that_was_closed_meanwhile_is_made_anew(server, caller):
    caller.post(server.url, b"1", {})
    server.cut = 1
    assert caller.post(server.url, b"2", {}) == b"{}"
    assert len(server.connections) == 2
    server.cut = 2
    with pytest.raises(FetchError):
        caller.post(server.url, b"3", {})
    assert caller.post(server.url, b"4", {}) == b"{}"


def test_a_server_that_closes_each_time_is_asked_anew(server, caller):
    server.close_after = True
    for _ in range(2):
        assert caller.post(server.url, b"x", {}) == b"{}"


@pytest.mark.parametrize("status", [400, 401, 403, 500, 302, 204])
def test_any_other_status_is_no_answer(server, caller, status):
    server.status, server.body = status, b"" if status == 204 else b"{}"
    with pytest.raises(FetchError) as refused:
        caller.post(server.url, b"x", {})
    assert ("refuses" in refused.value.reason) == (status in {400, 401, 403})


def test_an_answer_that_is_too_long_is_none(server, caller):
    server.body = b"x" * 1_100_000
    with pytest.raises(FetchError):
        caller.post(server.url, b"x", {})


def test_an_answer_that_stops_in_the_middle_is_none(server, caller):
    server.length, server.close_after = 10, True
    with pytest.raises(FetchError):
        caller.post(server.url, b"x", {})


def test_cutting_off_what_is_not_connected_does_no_harm():
    _cut(http.client.HTTPConnection("127.0.0.1", 9))


def test_an_answer_that_drips_is_cut_off(server, hasty):
    server.body, server.pause = b"x" * 200, 0.05
    began = time.monotonic()
    with pytest.raises(FetchError):
        hasty.post(server.url, b"x", {})
    assert time.monotonic() - began < 9  # the whole takes ten


def test_the_first_connection_that_is_cut_is_no_answer(server, caller):
    server.cut = 1
    with pytest.raises(FetchError):
        caller.post(server.url, b"x", {})


def test_another_server_gets_another_connection(server, caller):
    with Server().running() as other:
        caller.post(server.url, b"x", {})
        caller.post(other.url, b"y", {})
    assert len(other.asked) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "https://127.0.0.1:9/events"])
def test_nobody_there_is_no_answer(caller, url):
    with pytest.raises(FetchError):
        caller.post(url, b"x", {})


def test_a_certificate_that_nobody_vouches_for_is_no_answer(certificate, server, tmp_path):
    with pytest.raises(FetchError):
        Caller(Path(certificate.chain), seconds=1.0).post(server.url.replace("http:", "https:"), b"x", {})
