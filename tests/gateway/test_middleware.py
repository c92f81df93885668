"""WSGI and ASGI: the same decision, inside somebody else's server."""

from __future__ import annotations

import asyncio
import time
from io import BytesIO
from typing import Any

import pytest

from idp.gateway import asgi, wsgi
from idp.gateway.decide import Gate
from idp.gateway.load import parse
from tests.gateway.conftest import config_text
from tests.gateway.fakes import Fetcher, Log
from tests.gateway.issuer import AUDIENCE, Issuer, a_key

JWKS = "https://idp.example/jwks"


@pytest.fixture
def provider() -> Issuer:
    issuer = Issuer()
    issuer.issuer = "https://idp.example"
    return issuer


@pytest.fixture
def gate(provider):
    text = config_text(
        provider, None, jwks=f'uri = "{JWKS}", kid_cooldown = "1ms"', top='headers = { strip = ["x-user"] }'
    )
    gate = Gate(parse(text), log=Log(), fetch=Fetcher({JWKS: provider.jwks()}))
    gate.sources["main"].refresh()
    yield gate
    gate.stop()


def environ(
    path: str = "/orders/7", *, token: str | None = None, raw: str | None = None, **more: Any
) -> dict[str, Any]:
    built = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "HTTP_HOST": "api.example",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.input": BytesIO(),
        **more,
    }
    if token is not None:
        built["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    if raw is not None:
        built["RAW_URI"] = raw
    return built


class Wsgi:
    """Calls the guarded application and keeps what it saw."""

    def __init__(self, gate: Gate) -> None:
        self.seen: dict[str, Any] | None = None
        self.guarded = wsgi.Guarded(self.application, gate)

    def application(self, environ, start_response):
        self.seen = environ
        start_response("200 OK", [])
        return [b"ok"]

    def __call__(self, environ) -> tuple[int, dict[str, str], bytes]:
        said: list[Any] = []
        body = b"".join(self.guarded(environ, lambda status, headers: said.append((status, headers))))
        return int(said[0][0][:3]), dict(said[0][1]), body


class Asgi:
    """The same for ASGI."""

    def __init__(self, gate: Gate) -> None:
        self.seen: dict[str, Any] | None = None
        self.guarded = asgi.Guarded(self.application, gate)

    async def application(self, scope, _receive, send):
        self.seen = scope
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def __call__(self, scope) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message):
            sent.append(message)

        asyncio.run(self.guarded(scope, None, send))
        return sent


def scope(
    path: str = "/orders/7", *, token: str | None = None, raw: bytes | None = None, headers: Any = (), **more: Any
):
    listed = [(b"host", b"api.example"), *headers]
    if token is not None:
        listed.append((b"authorization", f"Bearer {token}".encode()))
    built = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": listed,
        "client": ("192.0.2.1", 1),
    }
    return {**built, "raw_path": raw if raw is not None else path.encode(), **more}


def test_wsgi_lets_a_good_token_through_under_its_name(gate, provider):
    app = Wsgi(gate)
    assert app(environ(token=provider.token()))[0] == 200
    assert app.seen["HTTP_X_AUTH_SUBJECT"] == "0190-alice"
    assert app.seen["gatehouse.principal"].roles == {"clerk"}
    assert "HTTP_AUTHORIZATION" not in app.seen
    assert app.seen["HTTP_HOST"] == "api.example"


@pytest.mark.parametrize(
    ("changed", "claims", "status"),
    [
        ({}, None, 401),
        ({}, {"exp": 1}, 401),
        ({}, {"scope": ""}, 403),
        ({"PATH_INFO": "/nowhere"}, {}, 403),
        ({"REQUEST_METHOD": "DELETE"}, {}, 405),
        ({"HTTP_HOST": "evil.example"}, {}, 400),
        ({"HTTP_HOST": ""}, {}, 400),
        ({"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE"}, {}, 405),
        ({"QUERY_STRING": "access_token=x"}, {}, 400),
        ({"HTTP_AUTHORIZATION": "Bearer a, Bearer b"}, None, 400),
    ],
)
@pytest.mark.attack("GW8", "GW11", "GW16")
def test_wsgi_refuses_what_every_shape_refuses(changed, claims, status, gate, provider):
    app = Wsgi(gate)
    token = None if claims is None else provider.token(**claims)
    answer = app({**environ(token=token), **changed})
    assert answer[0] == status
    assert answer[1]["Content-Type"] == "application/json"
    assert app.seen is None


@pytest.mark.attack("GW5")
@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("/orders/7", "/orders/8"),
        ("/orders/a/b", "/orders/a%2fb"),
        ("/orders/7", "//orders/7"),
        ("/orders/7", "/x/../orders/7"),
        ("/orders//7", None),
        ("/orders/../7", None),
        ("/orders/7;x", None),
        ("/orders/\xff", None),
        ("/orders/7", "/orders/%37%00"),
    ],
)
def test_wsgi_refuses_a_path_that_the_application_would_read_otherwise(path, raw, gate, provider):
    app = Wsgi(gate)
    assert app(environ(path, token=provider.token(), raw=raw))[0] == 400
    assert app.seen is None


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("/orders/7", "/orders/%37?x=1"),
        ("/orders/caf\xc3\xa9", "/orders/caf%C3%A9"),
        ("/orders/a b", None),
        ("/orders/7", "http://api.example/orders/7"),
    ],
)
def test_wsgi_takes_a_path_that_both_read_alike(path, raw, gate, provider):
    assert Wsgi(gate)(environ(path, token=provider.token(), raw=raw))[0] == 200


def test_wsgi_sees_the_whole_path_below_a_mount(gate, provider):
    app = Wsgi(gate)
    assert app(environ("/7", token=provider.token(), SCRIPT_NAME="/orders", QUERY_STRING="a=1"))[0] == 200
    assert app.seen["SCRIPT_NAME"] == "/orders"


@pytest.mark.attack("GW1", "GW2", "GW9")
@pytest.mark.parametrize(
    "key",
    [
        "HTTP_X_AUTH_SUBJECT",
        "HTTP_X_AUTH_ANYTHING",
        "HTTP_X.AUTH.ROLES",
        "HTTP_X_USER",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_GATEHOUSE_STATUS",
        "HTTP_X-AUTH-CLIENT",
    ],
)
def test_wsgi_removes_every_spelling_of_our_headers(key, gate, provider):
    app = Wsgi(gate)
    app({**environ(token=provider.token()), key: "mallory"})
    assert "mallory" not in app.seen.values()


def test_wsgi_answers_head_without_a_body(gate):
    assert Wsgi(gate)(environ(REQUEST_METHOD="HEAD"))[2] == b""


@pytest.mark.attack("GW19")
def test_wsgi_waits_for_newer_keys(gate, provider):
    gate.start()
    provider.keys = [a_key(number=1)]
    gate.sources["main"]._fetch.answers[JWKS] = provider.jwks()
    gate.sources["main"]._last = float("-inf")
    assert Wsgi(gate)(environ(token=provider.token()))[0] == 200


def test_a_guard_asks_for_audience_scope_and_role(gate, provider):
    here: dict[str, Any] = {}
    guard = wsgi.Guard(gate, lambda: here)

    @guard.require(audience=AUDIENCE, scope=["orders:read"], role_any=["clerk"])
    def view(number: int) -> str:
        """Say a number."""
        return f"order {number}"

    assert (view.__name__, view.__doc__) == ("view", "Say a number.")
    statuses = []
    for claims in ({}, {"scope": ""}, {"roles": ["guest"]}, {"aud": "other"}, {"exp": 1}):
        here.clear()
        here.update(environ("/anything", token=provider.token(**claims)))
        answer = view(7)
        statuses.append(answer if isinstance(answer, str) else answer[1])
        assert ("gatehouse.principal" in here) == (claims == {})
    assert statuses == ["order 7", 403, 403, 401, 401]
    here.pop("HTTP_AUTHORIZATION")
    body, status, headers = view(7)
    assert (status, dict(headers)["Www-Authenticate"]) == (401, "Bearer")
    assert b"access token" in body


@pytest.mark.spec("RFC 9470 section 3")
@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"acr": "aal2", "auth_time": -60}, 200),
        ({"acr": "aal3", "auth_time": -60}, 200),
        ({"acr": "aal1", "auth_time": -60}, 401),
        ({"acr": "aal2", "auth_time": -1000}, 401),
        ({"auth_time": -60}, 401),
        ({"acr": "aal2", "auth_time": -60, "roles": ["clerk"]}, 403),
    ],
)
def test_a_guard_asks_for_a_strong_and_recent_sign_in_and_all_roles(gate, provider, claims, status):
    now = int(time.time())
    timed = {name: now + value if name == "auth_time" else value for name, value in claims.items()}
    here = environ(token=provider.token(**{"roles": ["clerk", "auditor"], **timed}))
    guard = wsgi.Guard(gate, lambda: here)

    @guard.require(audience=AUDIENCE, role_all=["clerk", "auditor"], acr="aal2", max_age="15m")
    def view() -> str:
        return "approved"

    answer = view()
    assert (200 if isinstance(answer, str) else answer[1]) == status
    if status == 401:
        challenge = dict(answer[2])["Www-Authenticate"]
        assert 'error="insufficient_user_authentication"' in challenge
        assert 'acr_values="aal2"' in challenge
        assert 'max_age="900"' in challenge


@pytest.mark.parametrize("odd", [{"acr": "a b"}, {"acr": 5}, {"max_age": "soon"}, {"max_age": 900}])
def test_a_guard_that_asks_for_something_odd_is_refused_when_it_is_made(gate, odd):
    with pytest.raises(ValueError, match="must"):
        wsgi.Guard(gate, dict).require(audience=AUDIENCE, **odd)


def test_asgi_lets_a_good_token_through_under_its_name(gate, provider):
    app = Asgi(gate)
    app(scope(token=provider.token()))
    headers = dict(app.seen["headers"])
    assert headers[b"x-auth-subject"] == b"0190-alice"
    assert b"authorization" not in headers
    assert headers[b"host"] == b"api.example"
    assert app.seen["gatehouse.principal"].client_id == "web-app"


@pytest.mark.attack("GW5", "GW8", "GW16")
@pytest.mark.parametrize(
    ("built", "status"),
    [
        ({}, 200),
        ({"raw": None}, 200),
        ({"raw": b"/orders/%37"}, 200),
        ({"raw": b"/orders/8"}, 400),
        ({"raw": b"//orders/7"}, 400),
        ({"path": "/orders/a/b", "raw": b"/orders/a%2fb"}, 400),
        ({"headers": [(b"host", b"api.example")]}, 400),
        ({"headers": [(b"authorization", b"Bearer x")]}, 400),
        ({"query_string": b"access_token=x"}, 400),
        ({"path": "/nowhere"}, 403),
        ({"client": None}, 200),
    ],
)
def test_asgi_decides_on_what_the_application_sees(built, status, gate, provider):
    app = Asgi(gate)
    if "raw" in built and built["raw"] is None:
        given = scope(token=provider.token())
        del given["raw_path"]
    else:
        given = scope(token=provider.token(), **built)
    assert app(given)[0]["status"] == status
    assert (app.seen is not None) == (status == 200)


@pytest.mark.attack("GW1", "GW2")
def test_asgi_removes_every_spelling_of_our_headers(gate, provider):
    app = Asgi(gate)
    spoofs = [(name, b"mallory") for name in (b"x-auth-subject", b"x_auth_roles", b"x.user", b"x-forwarded-for")]
    app(scope(token=provider.token(), headers=spoofs))
    assert b"mallory" not in dict(app.seen["headers"]).values()


def test_asgi_passes_the_servers_lifespan_and_no_websocket(gate):
    app = Asgi(gate)
    app({"type": "lifespan"})
    assert app.seen["type"] == "lifespan"
    assert app({"type": "websocket"}) == [{"type": "websocket.close", "code": 1008}]


def test_asgi_says_no_as_json(gate):
    start, body = Asgi(gate)(scope())
    assert start["status"] == 401
    assert (b"www-authenticate", b"Bearer") in start["headers"]
    assert b"access token" in body["body"]
