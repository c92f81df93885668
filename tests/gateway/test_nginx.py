"""The snippet in docs/deploy/nginx, in a real nginx, in front of a real gateway."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gateway.conftest import config_text
from tests.gateway.issuer import AUDIENCE
from tests.gateway.raw import ask, request
from tests.services.program import Program, free_port

LIMITED = f"""
[[routes]]
id = "limited"
match = {{ host = "api.example", method = ["GET"], path = "/limited/{{rest...}}" }}
audience = "{AUDIENCE}"
limit = [{{ by = "ip", rate = "3/h" }}, {{ by = "client", rate = "2/h" }}]
"""
SNIPPET = Path(__file__).resolve().parents[2] / "docs/deploy/nginx/gatehouse.conf"


@pytest.fixture(scope="module")
def _nginx(_issuer, _upstream, serve_module, tmp_path_factory):
    """nginx, then the gateway on a unix socket, then the API."""
    box = tmp_path_factory.mktemp("nginx")
    text = config_text(_issuer, None, server='shape = "forward_auth"') + LIMITED
    gateway = serve_module(text.replace("127.0.0.1:0", f"unix:{box}/gateway.sock"))
    port = free_port()
    (box / "gatehouse.conf").write_text(
        SNIPPET.read_text()
        .replace("unix:/run/gatehouse/gateway.sock", f"unix:{box}/gateway.sock")
        .replace("127.0.0.1:8090", f"127.0.0.1:{_upstream.port}")
        .replace("127.0.0.1:8088", f"127.0.0.1:{port}")
    )
    temp = "".join(f"{kind}_temp_path {box}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (box / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {box}/pid; error_log {box}/error.log warn; user root;\n"
        f"events {{ worker_connections 128; }}\nhttp {{ access_log off; {temp} include {box}/gatehouse.conf; }}\n"
    )
    (box / "gateway.sock").chmod(0o666)
    command = ["/usr/sbin/nginx", "-c", f"{box}/nginx.conf", "-e", f"{box}/error.log", "-p", str(box)]
    with Program(command, log=box / "nginx.log") as program:
        program.wait_for_port(port)
        yield gateway, ("127.0.0.1", port)


@pytest.fixture
def gateway(_nginx):
    return _nginx[0]


@pytest.fixture
def nginx(_nginx, issuer, upstream):
    _nginx[0].forget()
    return _nginx[1]


def test_a_good_token_reaches_the_api_under_its_name(nginx, upstream, token):
    assert ask(nginx, request(token=token, target="/orders/7?x=%2f")).status == 200
    seen = upstream.last
    assert seen.line == b"GET /orders/7?x=%2f HTTP/1.1"
    assert seen.header(b"x-auth-subject") == b"0190-alice"
    assert seen.header(b"x-auth-roles") == b"clerk"
    assert seen.header(b"x-auth-scopes") == b"orders:read orders:write"
    assert seen.header(b"authorization") is None
    assert seen.header(b"x-forwarded-for") == b"127.0.0.1"


@pytest.mark.attack("GW1", "GW2", "GW9")
@pytest.mark.parametrize(
    "name", ["X-Auth-Subject", "X_Auth_Subject", "x-auth-roles", "X-Original-URI", "X-Forwarded-For"]
)
def test_what_the_caller_says_about_itself_is_replaced(name, nginx, upstream, token):
    data = request(token=token)[:-2] + f"{name}: /orders/mallory\r\n\r\n".encode()
    assert ask(nginx, data).status == 200
    if name.startswith(("X-Auth", "x-auth", "X_Auth", "X-Forwarded")):
        assert b"mallory" not in upstream.last.head


@pytest.mark.attack("GW1")
def test_an_empty_identity_header_removes_the_callers(nginx, upstream, issuer):
    data = request(token=issuer.token(roles=None), target="/files/x")[:-2] + b"X-Auth-Roles: boss\r\n\r\n"
    assert ask(nginx, data).status == 200
    assert upstream.last.header(b"x-auth-roles") is None


@pytest.mark.attack("GW9")
def test_the_caller_cannot_choose_what_is_asked(nginx, upstream, token):
    data = request(token=token, target="/orders/admin")[:-2] + b"X-Original-URI: /orders/7\r\n\r\n"
    assert ask(nginx, data).status == 403
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("method", "target", "claims", "status"),
    [
        ("GET", "/orders/7", {"exp": 1}, 401),
        ("GET", "/orders/7", {"scope": ""}, 403),
        ("GET", "/nowhere", {}, 403),
        ("DELETE", "/orders/7", {}, 405),
        ("GET", "/orders/%2e%2e/x", {}, 400),
        ("GET", "/orders//7", {}, 400),
        ("GET", "/a/../orders/7", {}, 400),
        ("GET", "/orders%2f7", {}, 400),
        ("GET", "/orders;x/7", {}, 400),
    ],
)
def test_the_true_status_reaches_the_caller(method, target, claims, status, nginx, upstream, issuer):
    answer = ask(nginx, request(method, target, token=issuer.token(**claims)))
    assert answer.status == status
    assert answer.header("x-gatehouse-decision") or status == 401
    assert upstream.seen == []


def test_the_challenge_reaches_the_caller_once(nginx, issuer):
    assert ask(nginx, request()).header("www-authenticate") == "Bearer"
    challenge = ask(nginx, request(token=issuer.token(scope=""))).header("www-authenticate")
    assert re.fullmatch(r'Bearer scope="orders:read", error="insufficient_scope", error_description="[^"]+"', challenge)
    assert ask(nginx, request("DELETE", token=issuer.token())).header("allow") == "GET, HEAD, POST, PUT"


def test_whoever_asks_too_often_is_told_429_and_when_to_come_back(nginx, upstream, token):
    passed = ask(nginx, request(token=token, target="/limited/1"))
    assert (passed.status, rounded(passed.header("ratelimit"))) == (200, '"ip";r=2;t=1200, "client";r=1;t=1800')
    assert ask(nginx, request(token=token, target="/limited/1")).status == 200
    upstream.seen.clear()
    refused = ask(nginx, request(token=token, target="/limited/1"))
    assert (refused.status, rounded(refused.header("retry-after")), upstream.seen) == (429, "1800", [])
    assert refused.header("ratelimit-policy") == '"ip";q=3;w=3600, "client";q=2;w=3600'
    assert rounded(refused.header("ratelimit")) == '"ip";r=0;t=1200, "client";r=0;t=1800'
    assert refused.header("x-gatehouse-decision")
    unnamed = ask(nginx, request(target="/limited/1"))
    assert (unnamed.status, rounded(unnamed.header("retry-after"))) == (429, "1200")


def rounded(told: str | None) -> str:
    """Round spans up to whole minutes: some seconds of them may have passed."""
    assert told is not None
    return re.sub(r"\d{4}", lambda span: str(-(-int(span[0]) // 60) * 60), told)


@pytest.mark.attack("GW18")
def test_503_reaches_the_caller_with_its_wait(gateway, nginx, token):
    source = gateway.server._gate.sources["main"]
    snapshot, source.snapshot = source.snapshot, None
    try:
        answer = ask(nginx, request(token=token))
    finally:
        source.snapshot = snapshot
    assert (answer.status, answer.header("retry-after")) == (503, "5")


@pytest.mark.parametrize("target", ["/.gatehouse/auth", "/.gatehouse/healthz", "/.gatehouse/readyz"])
def test_the_gateways_own_addresses_are_not_for_callers(target, nginx, upstream, token):
    assert ask(nginx, request(target=target, token=token)).status == 404
    assert upstream.seen == []


def test_a_body_goes_to_the_api_and_not_to_the_gateway(nginx, upstream, token):
    assert ask(nginx, request("POST", token=token, Content_Length="5") + b"hello").status == 200
    assert upstream.last.body == b"hello"
