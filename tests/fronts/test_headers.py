"""What a caller says about itself, about its path and about its method counts for nothing, through every front."""

from __future__ import annotations

import pytest

from tests.gateway.raw import request

IDENTITY = {
    b"x-auth-subject": b"0190-alice",
    b"x-auth-client": b"web-app",
    b"x-auth-scopes": b"orders:read orders:write",
    b"x-auth-roles": b"clerk",
}
SPELLINGS = [
    "X-Auth-Subject", "x-auth-subject", "X_Auth_Subject", "X.Auth.Subject", "X-Auth_Subject", "x_auth-subject",
    "X-Auth.Subject", "X!Auth!Subject", "X~Auth~Subject", "X+Auth+Subject", "X|Auth|Subject", "X^Auth^Subject",
    "X-Auth-Roles", "X_Auth_Roles", "X.Auth.Roles", "X-Auth-Scopes", "X_Auth_Scopes", "X-Auth-Client",
    "X-Auth-Assertion", "X_Auth_Assertion", "X-Auth-Admin", "X-Gatehouse-Decision", "X_Gatehouse_Decision",
    "X-Gatehouse-Status", "X-User", "X_User", "X.User", "x!user", "X-Roles", "X_Roles",
]  # fmt: skip


def with_lines(*lines: str, token: str, target: str = "/orders/7", method: str = "GET") -> bytes:
    return request(method, target, token=token)[:-2] + "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


@pytest.mark.attack("GW1", "GW2")
@pytest.mark.parametrize("name", SPELLINGS)
def test_no_spelling_of_our_headers_gets_through(name, front):
    answer = front.ask(with_lines(f"{name}: mallory", token=front.token()))
    if answer.status != 200:
        assert 400 <= answer.status < 500
        assert front.api.seen == []
        return
    assert b"mallory" not in front.api.last.head
    for header, value in IDENTITY.items():
        assert front.api.last.header(header) == value


@pytest.mark.attack("GW1")
def test_where_there_is_nothing_to_say_the_callers_word_does_not_fill_the_gap(front):
    lines = [f"{name.decode()}: mallory" for name in IDENTITY]
    answer = front.ask(with_lines(*lines, token=front.token(roles=None, scope=""), target="/files/x"))
    assert answer.status == 200
    assert b"mallory" not in front.api.last.head
    assert not front.api.last.header(b"x-auth-roles")
    assert not front.api.last.header(b"x-auth-scopes")


@pytest.mark.attack("GW3")
@pytest.mark.parametrize(
    "named",
    ["X-Auth-Subject", "X-Auth-Subject, X-Auth-Roles, X-Auth-Client, X-Auth-Scopes, X-Forwarded-For",
     "close, x-auth-roles", "Authorization", "X-Forwarded-Uri, X-Forwarded-Method, X-Original-URI"],
)  # fmt: skip
def test_connection_does_not_remove_what_the_gateway_says(named, front):
    answer = front.ask(with_lines(f"Connection: {named}", token=front.token()))
    if answer.status != 200:
        assert 400 <= answer.status < 500
        assert front.api.seen == []
        return
    for header, value in IDENTITY.items():
        assert front.api.last.header(header) == value


@pytest.mark.attack("GW9")
@pytest.mark.parametrize(
    "line",
    ["X-Forwarded-Uri: /orders/7", "X-Original-URI: /orders/7", "X-Original-URL: /orders/7",
     "X-Rewrite-URL: /orders/7", "X-Forwarded-Method: OPTIONS", "X-Original-Method: OPTIONS",
     "X-Forwarded-Prefix: /files", "X_Forwarded_Uri: /orders/7", "X.Original.URI: /orders/7",
     "X-Forwarded-Host: other.example", "X-Forwarded-Proto: https", "X-Envoy-Original-Path: /orders/7",
     "Forwarded: host=other.example;proto=https"],
)  # fmt: skip
def test_the_caller_cannot_say_what_is_asked(line, front):
    assert front.ask(with_lines(line, token=front.token(), target="/orders/admin")).status in {400, 403}
    assert front.api.seen == []
    answer = front.ask(with_lines(line, token=front.token()))
    value = line.partition(": ")[2].encode()
    if answer.status == 200:  # ignored, and not told to the API as if it were true
        name = line.partition(":")[0].lower().encode()
        heard = front.api.last.header(name)
        assert heard is None or heard != value or name not in {b"x-forwarded-host", b"x-forwarded-proto", b"forwarded"}
        assert front.decided()[-1]["raw_path"] == "/orders/7"
    else:
        assert answer.status == 400
        assert front.api.seen == []


@pytest.mark.attack("GW10")
@pytest.mark.parametrize("agent", ["kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Prometheus", ""])
def test_no_user_agent_opens_a_door(agent, front):
    assert front.ask(request(User_Agent=agent)).status == 401
    assert front.ask(request(target="/", User_Agent=agent)).status in {401, 403}
    assert front.ask(request(target="/healthz", User_Agent=agent)).status in {401, 403}
    assert front.api.seen == []


@pytest.mark.attack("GW11")
@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_override_is_refused_and_not_told_to_the_api(name, front):
    assert front.ask(with_lines(f"{name}: DELETE", token=front.token())).status == 405
    assert front.api.seen == []


@pytest.mark.attack("GW11")
@pytest.mark.parametrize("method", ["TRACE", "TRACK", "DEBUG", "PROPFIND", "get"])
def test_methods_that_no_route_names_are_refused(method, front):
    assert 400 <= front.ask(request(method, token=front.token())).status < 502
    assert front.api.seen == []


@pytest.mark.attack("GW11")
@pytest.mark.parametrize("target", ["api.example:443", "/orders/7", "127.0.0.1:80"])
def test_connect_is_refused(target, front):
    assert 400 <= front.ask(request("CONNECT", target, token=front.token())).status < 502
    assert front.api.seen == []


@pytest.mark.attack("GW16")
@pytest.mark.parametrize("second", ["Bearer x", "Basic eDp5", "Bearer {0}", "DPoP {0}"])
def test_two_authorization_headers_are_refused(second, front):
    token = front.token()
    assert front.ask(with_lines("Authorization: " + second.format(token), token=token)).status == 400
    assert front.api.seen == []


@pytest.mark.attack("GW16")
def test_a_token_in_header_and_query_is_refused(front):
    token = front.token()
    assert front.ask(request(target=f"/orders/7?access_token={token}", token=token)).status == 400
    assert front.ask(request(target=f"/orders/7?access_token={token}")).status == 401
    assert front.api.seen == []


@pytest.mark.attack("GW8")
@pytest.mark.parametrize(
    "head",
    [
        "GET /orders/7 HTTP/1.1\r\n",
        "GET /orders/7 HTTP/1.1\r\nHost: api.example\r\nHost: api.example\r\n",
        "GET /orders/7 HTTP/1.1\r\nHost: api.example\r\nHost: other.example\r\n",
        "GET /orders/7 HTTP/1.1\r\nHost: \r\n",
        "GET /orders/7 HTTP/1.1\r\nHost: api.example, other.example\r\n",
        "GET /orders/7 HTTP/1.1\r\nHost: mallory@api.example\r\n",
        "GET /orders/7 HTTP/1.1\r\nHost: api.example/x\r\n",
        "GET /orders/7 HTTP/1.1\r\nHost: other.example\r\n",
        "GET /orders/7 HTTP/1.1\r\nHost: API.example.\r\n",
        "GET http://other.example/orders/7 HTTP/1.1\r\nHost: api.example\r\n",
    ],
)
def test_a_request_has_one_host_and_it_is_ours(head, front):
    answer = front.ask(f"{head}Authorization: Bearer {front.token()}\r\n\r\n".encode())
    assert 400 <= answer.status < 500
    assert front.api.seen == []


@pytest.mark.attack("GW8")
@pytest.mark.parametrize(("authority", "host"), [("api.example", "other.example"), ("", "api.example")])
def test_the_host_decided_on_is_the_one_that_the_api_reads(authority, host, front):
    head = f"GET http://{authority}/orders/7 HTTP/1.1\r\nHost: {host}\r\n"
    answer = front.ask(f"{head}Authorization: Bearer {front.token()}\r\n\r\n".encode())
    if answer.status == 200:
        assert front.api.last.header(b"host") == b"api.example"
        assert front.decided()[0]["host"] == "api.example"
    else:
        assert answer.status in {400, 404}
        assert front.api.seen == []
