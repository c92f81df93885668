from __future__ import annotations

import socket

import pytest

from tests.gateway.conftest import config_text
from tests.gateway.issuer import a_key
from tests.gateway.raw import ask, request

IDENTITY = ("x-auth-subject", "x-auth-client", "x-auth-scopes", "x-auth-roles")


@pytest.fixture(scope="module")
def _auth(_issuer, serve_module):
    server = 'shape = "forward_auth"'
    return serve_module(config_text(_issuer, None, server=server, top='trusted_proxies = ["127.0.0.1"]'))


@pytest.fixture
def auth(_auth, issuer):
    _auth.forget()
    return _auth


def question(method: str = "GET", uri: str = "/orders/7", token: str | None = None, **more: str) -> bytes:
    return request("GET", "/.gatehouse/auth", token=token, X_Original_Method=method, X_Original_URI=uri, **more)


def told(answer) -> tuple[int, str | None]:
    return answer.status, answer.header("x-gatehouse-status")


def test_yes_is_200_and_says_who(auth, token):
    answer = auth.ask(question(token=token))
    assert told(answer) == (200, "200")
    assert [answer.header(name) for name in IDENTITY] == ["0190-alice", "web-app", "orders:read orders:write", "clerk"]
    assert answer.body == b""


@pytest.mark.parametrize(
    ("method", "uri", "claims", "expected"),
    [
        ("GET", "/orders/7", {"exp": 1}, (401, "401")),
        ("GET", "/orders/7", {"scope": ""}, (403, "403")),
        ("GET", "/nowhere", {}, (403, "403")),
        ("DELETE", "/orders/7", {}, (403, "405")),
        ("TRACE", "/orders/7", {}, (403, "405")),
        ("GET", "/orders/../7", {}, (403, "400")),
        ("GET", "http://evil.example/orders/7", {}, (403, "400")),
        ("GET", "/orders/7#x", {}, (403, "400")),
    ],
)
def test_no_is_401_or_403_with_the_true_status_beside_it(method, uri, claims, expected, auth, issuer):
    answer = auth.ask(question(method, uri, issuer.token(**claims)))
    assert told(answer) == expected
    assert [answer.header(name) for name in IDENTITY] == [""] * 4
    assert answer.body == b""
    assert answer.header("cache-control") == "no-store"


@pytest.mark.spec("RFC 6750 section 3")
def test_the_challenge_is_passed_on(auth, issuer):
    assert auth.ask(question()).header("www-authenticate") == "Bearer"
    assert 'scope="orders:read"' in auth.ask(question(token=issuer.token(scope=""))).header("www-authenticate")
    assert auth.ask(question("DELETE", token=issuer.token())).header("allow") == "GET, HEAD, POST, PUT"


@pytest.mark.parametrize(
    "lines",
    [
        {},
        {"X_Original_Method": "GET"},
        {"X_Original_URI": "/orders/7"},
        {"X_Original_Method": "", "X_Original_URI": "/orders/7"},
        {"X_Forwarded_Method": "GET", "X_Forwarded_Uri": "/orders/7"},
        {"X_Original_Method": "G T", "X_Original_URI": "/orders/7"},
    ],
)
def test_a_question_that_breaks_the_contract_is_refused_not_guessed(lines, auth, token):
    assert told(auth.ask(request("GET", "/.gatehouse/auth", token=token, **lines))) == (403, "400")


@pytest.mark.attack("GW9")
@pytest.mark.parametrize("name", ["X-Original-URI", "X-Original-Method"])
def test_saying_it_twice_is_refused(name, auth, token):
    data = question(token=token)[:-2] + f"{name}: GET\r\n\r\n".encode()
    assert told(auth.ask(data)) == (403, "400")


@pytest.mark.attack("GW9")
def test_an_untrusted_peer_may_not_ask(serve, issuer, token):
    auth = serve(config_text(issuer, None, server='shape = "forward_auth"', top='trusted_proxies = ["10.0.0.0/8"]'))
    answer = auth.ask(question(token=token))
    assert told(answer) == (403, "403")
    assert [answer.header(name) for name in IDENTITY] == [""] * 4
    assert auth.lines() == []


@pytest.mark.attack("GW9")
def test_without_trusted_peers_nobody_may_ask(serve, issuer, token):
    auth = serve(config_text(issuer, None, server='shape = "forward_auth"'))
    assert told(auth.ask(question(token=token))) == (403, "403")


def test_whoever_may_write_to_the_socket_may_ask(serve, issuer, token, tmp_path):
    text = config_text(issuer, None, server='shape = "forward_auth"')
    auth = serve(text.replace("127.0.0.1:0", f"unix:{tmp_path}/gateway.sock"))
    assert told(ask(f"{tmp_path}/gateway.sock", question(token=token))) == (200, "200")
    assert auth.lines()[0]["peer"] == ""


@pytest.mark.attack("GW9")
@pytest.mark.parametrize(("before", "after"), [(None, 0o660), (0o600, 0o600), (0o666, 0o666)])
def test_that_is_its_owner_and_group_unless_somebody_has_made_it_for_others(before, after, serve, issuer, tmp_path):
    place = tmp_path / "gateway.sock"
    if before is not None:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(place))
        place.chmod(before)
    text = config_text(issuer, None, server='shape = "forward_auth"')
    serve(text.replace("127.0.0.1:0", f"unix:{place}"))
    assert place.stat().st_mode & 0o777 == after


@pytest.mark.attack("GW18")
def test_503_is_told_beside_403(serve, issuer, monkeypatch):
    monkeypatch.setattr("idp.gateway.serve._FIRST_KEYS_SECONDS", 0.05)
    issuer.status = 500
    auth = serve(config_text(issuer, None, server='shape = "forward_auth"', top='trusted_proxies = ["127.0.0.1"]'))
    answer = auth.ask(question(token=issuer.token()))
    assert told(answer) == (403, "503")
    assert answer.header("retry-after") == "5"


@pytest.mark.attack("GW19")
def test_newer_keys_are_waited_for_here_too(serve, issuer):
    text = config_text(
        issuer,
        None,
        server='shape = "forward_auth"',
        top='trusted_proxies = ["127.0.0.1"]',
        jwks='refresh = "5m", kid_cooldown = "1ms"',
    )
    auth = serve(text)
    issuer.keys = [a_key(number=3)]
    assert told(auth.ask(question(token=issuer.token()))) == (200, "200")


def test_its_own_addresses_answer_too(auth):
    assert auth.ask(request(target="/.gatehouse/healthz")).status == 200
    assert auth.ask(request(target="/orders/7")).status == 404


@pytest.mark.attack("GW16")
def test_two_credentials_are_refused_here_too(auth, token):
    data = question(token=token)[:-2] + b"Authorization: Bearer x\r\n\r\n"
    assert told(auth.ask(data)) == (403, "400")
