from __future__ import annotations

import json
import time

import pytest

from idp.gateway.principal import Principal
from idp.gateway.token_cache import TokenCache
from tests.gateway.conftest import config_text
from tests.gateway.issuer import AUDIENCE, a_key
from tests.gateway.raw import request
from tests.gateway.websocket.peer import wait_until


def with_lines(*lines: str, target: str = "/orders/7") -> bytes:
    return request(target=target)[:-2] + "".join(line + "\r\n" for line in lines).encode("latin-1") + b"\r\n"


@pytest.mark.spec("RFC 6750 section 3.1")
@pytest.mark.parametrize(
    "lines", [(), ("Authorization: Basic YTpi",), ("Authorization: Bearer",), ("Cookie: token=x",)]
)
def test_no_credential_is_asked_for_one_and_told_no_error(lines, proxy):
    answer = proxy.ask(with_lines(*lines))
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
    assert "error" not in answer.json()


@pytest.mark.spec("RFC 6750 section 3.1")
@pytest.mark.parametrize("value", ["garbage", "a.b.c", "a.b", "é", "a b", ".", "a" * 16_385])
def test_a_token_that_is_none_is_invalid_token(value, proxy, upstream):
    answer = proxy.ask(with_lines(f"Authorization: Bearer {value}"))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.header("www-authenticate")
    assert value not in answer.body.decode() + str(answer.headers) or value == "."
    assert upstream.seen == []


@pytest.mark.attack("GW16")
@pytest.mark.spec("RFC 6750 section 2")
@pytest.mark.parametrize("second", ["Bearer {token}", "Bearer other", "Basic YTpi", ""])
def test_two_authorization_headers_are_400(second, proxy, upstream, token):
    lines = (f"Authorization: Bearer {token}", f"Authorization: {second.format(token=token)}")
    for order in (lines, lines[::-1]):
        answer = proxy.ask(with_lines(*order))
        assert answer.status == 400
        assert answer.json()["error"] == "invalid_request"
        assert 'error="invalid_request"' in answer.header("www-authenticate")
    assert upstream.seen == []


@pytest.mark.attack("GW16")
@pytest.mark.parametrize("query", ["access_token=x", "a=1&access_token=", "%61ccess_token=x", "access%5Ftoken=x"])
def test_a_token_in_header_and_query_is_400_and_in_the_query_alone_none(query, proxy, token):
    assert proxy.ask(request(token=token, target=f"/orders/7?{query}")).status == 400
    assert proxy.ask(request(target=f"/orders/7?{query}")).header("www-authenticate") == "Bearer"


@pytest.mark.attack("GW16")
def test_headers_that_somebody_joined_are_still_two(proxy, token):
    assert proxy.ask(with_lines(f"Authorization: Bearer {token}, Bearer {token}")).status == 400


@pytest.mark.parametrize("query", ["access=1", "my_access_token=x", "x=access_token", "%zz=1", "a=%41"])
def test_other_parameters_are_no_credential(query, proxy, token):
    assert proxy.ask(request(token=token, target=f"/orders/7?{query}")).status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_has_no_case(scheme, proxy, token):
    assert proxy.ask(with_lines(f"Authorization: {scheme} {token}")).status == 200


@pytest.mark.spec("RFC 9068 section 4")
@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "https://other.example"},
        {"aud": None},
        {"aud": []},
        {"exp": 1},
        {"exp": None},
        {"exp": "9999999999"},
        {"nbf": 9_999_999_999},
        {"iat": 9_999_999_999},
        {"iat": None},
        {"sub": None},
        {"client_id": None},
        {"jti": None},
        {"scope": ["orders:read"]},
        {"typ": "JWT"},
        {"typ": "id+jwt"},
        {"key": a_key(number=1)},
        {"key": a_key("EdDSA")},
        {"aud": AUDIENCE + "/"},
        {"aud": AUDIENCE[:-1]},
    ],
)
def test_a_token_that_is_not_right_in_everything_is_invalid_token(changed, proxy, issuer, upstream):
    for _ in range(2):  # the second time from memory
        answer = proxy.ask(request(token=issuer.token(**changed)))
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.header("www-authenticate")
        assert answer.header("cache-control") == "no-store"
    assert upstream.seen == []


@pytest.mark.attack("GW26")
@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_clock_that_runs_half_a_minute_ahead_is_forgiven_and_more_than_a_minute_is_not(claim, proxy, issuer):
    for ahead, status in ((28, 200), (70, 401), (300, 401)):
        assert proxy.ask(request(token=issuer.token(**{claim: int(time.time()) + ahead}))).status == status


@pytest.mark.attack("GW26")
def test_a_token_from_just_ahead_is_accepted_once_its_time_has_come(serve, issuer, upstream):
    proxy = serve(config_text(issuer, upstream).replace("jwks =", 'leeway = "1s"\njwks ='))
    token = issuer.token(nbf=int(time.time()) + 4)
    assert proxy.ask(request(token=token)).status == 401
    assert wait_until(lambda: proxy.ask(request(token=token)).status == 200)


@pytest.mark.attack("GW17")
@pytest.mark.spec("RFC 6750 section 3.1")
def test_a_missing_scope_is_named_in_the_answer(proxy, issuer, upstream):
    answer = proxy.ask(request(token=issuer.token(scope="orders:write openid")))
    assert answer.status == 403
    assert answer.json()["error"] == "insufficient_scope"
    assert 'scope="orders:read"' in answer.header("www-authenticate")
    assert upstream.seen == []


@pytest.mark.parametrize("scope", [None, "", " ", "orders:rea", "orders:read2", "ORDERS:READ"])
def test_a_scope_is_a_whole_word(scope, proxy, issuer):
    assert proxy.ask(request(token=issuer.token(scope=scope))).status == 403


def test_a_missing_role_is_403(proxy, issuer):
    data = request("POST", token=issuer.token(roles=["guest"]), Content_Length="0")
    answer = proxy.ask(data)
    assert (answer.status, answer.json()["error"]) == (403, "insufficient_scope")
    assert "role" in answer.json()["error_description"]


def test_one_of_the_roles_is_enough(proxy, issuer):
    assert proxy.ask(request("POST", token=issuer.token(roles=["boss", "x"]), Content_Length="0")).status == 200


@pytest.mark.attack("GW21")
def test_a_remembered_token_is_still_for_its_audience_and_scopes_only(proxy, token):
    assert proxy.ask(request(token=token)).status == 200
    assert proxy.ask(request(token=token, target="/reports/2026")).status == 401
    assert proxy.ask(request(token=token, target="/orders/admin")).status == 403
    assert proxy.ask(request(token=token)).status == 200
    assert [line["cache"] for line in proxy.lines()][1:] == [True, True, True]


@pytest.mark.attack("GW21")
def test_a_remembered_token_means_nothing_to_another_issuer(serve, issuer, upstream, token):
    text = config_text(issuer, upstream).replace(
        'audience = "https://reports', 'issuer = "other"\naudience = "https://reports'
    )
    for audience in (f'audience = "{AUDIENCE}"',):
        text = text.replace(audience, 'issuer = "main"\n' + audience)
    text = text.replace(
        "[issuers.main]",
        f'[issuers.other]\nissuer = "http://localhost:1"\njwks.uri = "{issuer.issuer}/jwks"\n[issuers.main]',
    )
    text = text.replace("https://reports.example", AUDIENCE)
    proxy = serve(text)
    assert proxy.ask(request(token=token)).status == 200
    assert proxy.ask(request(token=token, target="/reports/x")).status == 401  # same keys, same audience, other issuer
    assert proxy.ask(request(token=token)).status == 200


@pytest.mark.attack("GW21")
def test_a_token_that_differs_in_one_character_is_another(proxy, token):
    assert proxy.ask(request(token=token)).status == 200
    last = "A" if token[-3] != "A" else "B"
    assert proxy.ask(request(token=token[:-3] + last + token[-2:])).status == 401


def claims(**changed):
    return {"sub": "a", "client_id": "c", "aud": "x", **changed}


def test_every_claim_can_be_read_again():
    principal = Principal(claims(scope=" b  a ", roles=["z"]), payload=b'{"sub":"a","x":[1]}')
    assert principal.claims == {"sub": "a", "x": [1]}
    assert (principal.scopes, principal.roles, principal.audiences) == ({"a", "b"}, {"z"}, {"x"})
    assert dict(principal.headers)[b"x-auth-scopes"] == b"a b"


def test_the_cache_forgets_the_token_not_used_longest():
    cache, someone = TokenCache(size=2), Principal(claims())
    for key in (b"1", b"2"):
        cache.put(key, 0, someone, now=0, end=100)
    assert cache.get(b"1", 0, 1)
    cache.put(b"3", 0, someone, now=1, end=100)
    assert [cache.get(key, 0, 1) is not None for key in (b"1", b"2", b"3")] == [True, False, True]
    assert len(cache) == 2


def test_the_cache_keeps_a_token_a_minute_and_never_past_its_end():
    cache, someone = TokenCache(), Principal(claims())
    cache.put(b"long", 0, someone, now=0, end=1_000)
    cache.put(b"short", 0, someone, now=0, end=10)
    assert [cache.get(b"long", 0, now) is not None for now in (59.9, 60)] == [True, False]
    assert [cache.get(b"short", 0, now) is not None for now in (9.9, 10)] == [True, False]


@pytest.mark.attack("GW20")
def test_the_cache_forgets_what_was_verified_before_a_key_went():
    cache, someone = TokenCache(), Principal(claims())
    cache.put(b"1", 7, someone, now=0, end=100)
    assert cache.get(b"1", 8, 1) is None
    assert cache.get(b"1", 7, 1) is None


def test_refusals_are_few_short_and_belong_to_one_set_of_keys():
    cache = TokenCache(refused=2)
    for key in (b"1", b"2", b"3"):
        cache.refuse(key, 0, "why", 0)
    assert [cache.refused(key, 0, 1) for key in (b"1", b"2", b"3")] == [None, "why", "why"]
    assert cache.refused(b"3", 1, 1) is None
    assert cache.refused(b"3", 0, 6) is None


class Vanishing(dict):
    """An entry that another thread takes away between two steps."""

    def move_to_end(self, key):
        raise KeyError(key)

    def popitem(self, **_):
        self.clear()
        raise KeyError


def test_the_cache_does_not_mind_other_threads():
    cache, someone = TokenCache(size=1), Principal(claims())
    cache._seen = Vanishing()
    cache.put(b"1", 0, someone, now=0, end=10)
    assert cache.get(b"1", 0, 1) is someone
    cache.put(b"2", 0, someone, now=0, end=10)
    assert len(cache) == 0


def test_the_log_has_no_secret_and_one_line_per_decision(proxy, token):
    data = with_lines(f"Authorization: Bearer {token}", 'User-Agent: a\x80"{}', target="/orders/7?code=secret-1&x=%0a")
    assert proxy.ask(data).status == 200
    written = proxy.stream.getvalue() if proxy.lines() else ""
    assert token.split(".")[2] not in written
    assert "secret-1" not in written
    assert "0190-alice" not in written
    (line,) = proxy.lines()
    assert (line["route"], line["why"], line["client"], line["raw_path"]) == (
        "order-read",
        "allowed",
        "web-app",
        "/orders/7",
    )


def test_a_refusal_gives_the_id_under_which_the_log_has_the_reason(proxy, issuer):
    answer = proxy.ask(request(token=issuer.token(exp=1)))
    (line,) = proxy.lines()
    assert json.loads(answer.body)["decision"] == line["id"]
    assert (line["status"], line["why"], line["route"]) == (401, "token has expired", "order-read")
