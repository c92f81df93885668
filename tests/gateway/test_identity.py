from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.gateway.headers import identity_value, normalised
from tests.gateway.conftest import config_text
from tests.gateway.raw import request

SPOOFS = [
    "X-Auth-Subject",
    "x-auth-subject",
    "X_Auth_Subject",
    "X.Auth.Subject",
    "X-AUTH_subject",
    "X-Auth-Roles",
    "X_Auth-Roles",
    "X-Auth-Anything",
    "X-Gatehouse-Decision",
    "X_Gatehouse_Status",
    "X!Auth!Subject",
    "X|Auth|Subject",
    "X~Auth~Scopes",
]


def with_lines(token: str, *lines: str) -> bytes:
    return request(token=token)[:-2] + "".join(line + "\r\n" for line in lines).encode("latin-1") + b"\r\n"


@pytest.mark.attack("GW1", "GW2")
@pytest.mark.parametrize("name", SPOOFS)
def test_no_spelling_of_an_identity_header_gets_through(name, proxy, upstream, token):
    assert proxy.ask(with_lines(token, f"{name}: mallory", f"{name}: root")).status == 200
    assert b"mallory" not in upstream.last.head
    assert b"root" not in upstream.last.head
    assert upstream.last.header(b"x-auth-subject") == b"0190-alice"
    assert upstream.last.header(b"x-auth-roles") == b"clerk"


@pytest.mark.attack("GW1", "GW2")
@pytest.mark.parametrize("name", ["X-User", "X_User", "x.user", "X-Roles", "x_roles"])
def test_names_from_the_file_are_stripped_likewise(name, serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, top='headers = { strip = ["x-user", "X_Roles"] }'))
    assert proxy.ask(with_lines(token, f"{name}: mallory")).status == 200
    assert b"mallory" not in upstream.last.head


@pytest.mark.attack("GW1")
def test_a_trailer_cannot_bring_an_identity(proxy, upstream, token):
    head = request("POST", token=token, Transfer_Encoding="chunked", Trailer="X-Auth-Subject")
    assert proxy.ask(head + b"1\r\na\r\n0\r\nX-Auth-Subject: mallory\r\n\r\n").status == 200
    assert b"mallory" not in upstream.last.head + upstream.last.body


@pytest.mark.attack("GW3")
@pytest.mark.parametrize(
    "value", ["X-Auth-Subject", "x-auth-roles, x-auth-subject", "close, X-Auth-Subject", "X-Gatehouse-Decision", "host"]
)
def test_connection_cannot_remove_what_the_gateway_says(value, proxy, upstream, token):
    assert proxy.ask(with_lines(token, f"Connection: {value}")).status == 200
    seen = upstream.last
    assert seen.header(b"x-auth-subject") == b"0190-alice"
    assert seen.header(b"x-auth-roles") == b"clerk"
    assert seen.header(b"x-gatehouse-decision")
    assert seen.header(b"host") == b"api.example"
    assert seen.header(b"x-forwarded-for") == b"127.0.0.1"


@pytest.mark.attack("GW3")
def test_connection_cannot_change_the_framing(proxy, upstream, token):
    data = request("POST", token=token, Content_Length="3", Connection="content-length")
    assert proxy.ask(data + b"abc").status == 200
    assert upstream.last.body == b"abc"
    assert upstream.last.header(b"content-length") == b"3"


@pytest.mark.spec("RFC 9110 section 7.6.1")
@pytest.mark.parametrize("name", ["Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Upgrade", "X-Mine"])
def test_headers_of_one_connection_stay_on_it(name, proxy, upstream, token):
    assert proxy.ask(with_lines(token, f"{name}: private", "Connection: x-mine")).status == 200
    assert b"private" not in upstream.last.head


@pytest.mark.attack("GW9")
@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "X_Forwarded_For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Uri",
        "X-Forwarded-Prefix",
        "X-Original-URI",
        "X_Original_URL",
        "X-Rewrite-URL",
        "X-Real-IP",
        "Forwarded",
    ],
)
def test_an_untrusted_peer_says_nothing_about_origin(name, proxy, upstream, token):
    assert proxy.ask(with_lines(token, f"{name}: /orders/admin-9.9.9.9")).status == 200
    assert b"9.9.9.9" not in upstream.last.head
    assert upstream.last.header(b"x-forwarded-for") == b"127.0.0.1"
    assert upstream.last.header(b"x-forwarded-proto") == b"http"
    assert upstream.last.header(b"x-forwarded-host") == b"api.example"


@pytest.mark.attack("GW9")
@pytest.mark.parametrize("name", ["X-Original-URI", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Original-Method"])
def test_a_header_never_chooses_the_route_in_the_proxy(name, proxy, token):
    assert proxy.ask(with_lines(token, f"{name}: /orders/7").replace(b"/orders/7 ", b"/orders/admin ", 1)).status == 403


@pytest.mark.attack("GW9")
def test_a_trusted_peer_is_quoted_but_only_about_address_and_scheme(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, top='trusted_proxies = ["127.0.0.0/8"]'))
    lines = ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /x", "X-Original-URI: /y"]
    assert proxy.ask(with_lines(token, *lines)).status == 200
    assert upstream.last.header(b"x-forwarded-for") == b"192.0.2.7, 127.0.0.1"
    assert upstream.last.header(b"x-forwarded-proto") == b"https"
    assert upstream.last.header(b"x-forwarded-prefix") is None
    assert upstream.last.header(b"x-original-uri") is None


@pytest.mark.attack("GW10")
@pytest.mark.parametrize("agent", ["kube-probe/1.30", "ELB-HealthChecker/2.0", "GoogleHC/1.0", "Prometheus/3"])
def test_no_user_agent_opens_a_door(agent, proxy, upstream):
    assert proxy.ask(request(User_Agent=agent)).status == 401
    assert proxy.ask(request(target="/healthz", User_Agent=agent)).status == 403
    assert upstream.seen == []


def test_the_token_stays_at_the_gateway(proxy, upstream, token):
    assert proxy.ask(request(token=token)).status == 200
    assert token.encode() not in upstream.last.head


def test_the_token_travels_on_where_the_file_says_so(serve, issuer, upstream, token):
    proxy = serve(config_text(issuer, upstream, top="headers = { forward_authorization = true }"))
    assert proxy.ask(request(token=token)).status == 200
    assert upstream.last.header(b"authorization") == b"Bearer " + token.encode()


def test_every_identity_header_is_there_even_when_empty(proxy, issuer, upstream):
    assert proxy.ask(request(token=issuer.token(roles=None), target="/files/x")).status == 200
    assert upstream.last.header(b"x-auth-roles") == b""


@pytest.mark.attack("GW1")
def test_a_role_with_a_separator_in_its_name_stays_one_role(proxy, issuer, upstream):
    token = issuer.token(roles=["clerk boss", "a,b", "é%"], sub="a b")
    assert proxy.ask(request(token=token)).status == 200
    assert upstream.last.header(b"x-auth-roles") == b"a%2Cb clerk%20boss %C3%A9%25"
    assert upstream.last.header(b"x-auth-subject") == b"a%20b"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "a\r\nx-auth-roles: boss"},
        {"sub": ""},
        {"client_id": "a\0"},
        {"roles": "boss"},
        {"roles": [7]},
        {"roles": ["a\nb"]},
        {"roles": [""]},
    ],
)
def test_claims_that_cannot_be_written_into_a_header_are_refused(claims, proxy, issuer, upstream):
    assert proxy.ask(request(token=issuer.token(**claims))).status == 401
    assert upstream.seen == []


@given(st.text(max_size=40))
def test_an_identity_value_is_one_visible_word(text):
    value = identity_value(text)
    assert all(0x21 <= byte <= 0x7E and byte not in b"," for byte in value)


@given(st.binary(max_size=40))
def test_folding_a_name_twice_changes_nothing_more(name):
    assert normalised(normalised(name)) == normalised(name)
    assert normalised(name.upper()) == normalised(name.lower())
