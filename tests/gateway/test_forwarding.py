"""With what a request goes on, in every shape of the gateway: another token, a statement, never the caller's token."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from idp.gateway import asgi, wsgi
from idp.gateway.contracts import FRONTS
from idp.gateway.forward_auth import ForwardAuth
from idp.gateway.forwarding import Forwarding, complete
from idp.gateway.load import parse
from tests.gateway.exchange.ground import Ground
from tests.gateway.exchanging import STOCK, a_token
from tests.gateway.issuer import a_key

SIGNED = """
trusted_proxies = ["127.0.0.1/32"]
[headers]
identity = "signed_jwt"
forward_authorization = true
[assertion]
issuer = "https://gateway.example"
key_files = ["{folder}/gateway.pem"]
"""
FILE_KEY = 0o600


@pytest.fixture
def ground(tmp_path):
    (tmp_path / "gateway.pem").touch(FILE_KEY)
    made = Ground(tmp_path, top=SIGNED.format(folder=tmp_path))
    yield made
    made.exchanger.stop()


def exchanged(value):
    """Whether this is the one header with the token for the server behind."""
    assert value.startswith("Bearer ")
    payload = value.removeprefix("Bearer ").split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["aud"] == STOCK


def test_a_wsgi_application_sees_the_new_token_alone(ground):
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [])
        return [b"ok"]

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/stock",
        "HTTP_HOST": "api.example",
        "HTTP_AUTHORIZATION": "Bearer " + a_token(),
        "HTTP_X_AUTH_ASSERTION": "forged",
    }
    guarded = wsgi.Guarded(app, ground.gate)
    ground.gate._started_in = None
    assert b"".join(guarded(dict(environ), lambda *_: None)) == b"ok"
    assert exchanged(seen["HTTP_AUTHORIZATION"])
    assert seen["HTTP_X_AUTH_ASSERTION"] not in {"forged", ""}
    assert a_token() not in str({name: value for name, value in seen.items() if name.startswith("HTTP_")})
    seen.clear()
    ground.provider.refusal = (400, "invalid_request")
    ground.exchanger.cache.__init__()
    said = []
    guarded(dict(environ), lambda status, _headers: said.append(status))
    assert said == ["401 Refused"]
    assert seen == {}
    ground.gate.stop()


def test_an_asgi_application_sees_the_new_token_alone(ground):
    seen = {}

    async def app(scope, _receive, send):
        seen["headers"] = scope["headers"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def ask():
        said = []

        async def send(message):
            said.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/stock",
            "raw_path": b"/stock",
            "query_string": b"",
            "headers": [(b"host", b"api.example"), (b"authorization", b"Bearer " + a_token().encode())],
        }
        await asgi.Guarded(app, ground.gate)(scope, None, send)
        return said

    ground.gate.start = lambda: None
    assert asyncio.run(ask())[0]["status"] == 200
    names = [name for name, _ in seen["headers"]]
    assert names.count(b"authorization") == names.count(b"x-auth-assertion") == 1
    assert exchanged(dict(seen["headers"])[b"authorization"].decode())
    assert not any(a_token().encode() in value for _, value in seen["headers"])


def test_a_front_hears_every_header_and_empty_ones_where_there_is_nothing(ground):
    front = ForwardAuth(ground.gate, FRONTS["nginx"], log=ground.log)
    passed = dict(front._answer(ground.ask())[1])
    assert exchanged(passed[b"authorization"].decode())
    assert passed[b"x-auth-assertion"]
    refused = dict(front._answer(ground.ask(a_token(aud="https://other.example")))[1])
    assert b"Bearer ey" not in b"".join(refused.values())
    nothing = ((b"authorization", b""), (b"dpop", b""), (b"x-auth-assertion", b""))
    assert complete(()) == nothing
    assert complete(((b"authorization", b"Bearer x"),)) == ((b"authorization", b"Bearer x"), *nothing[1:])


def test_a_route_without_any_of_it_has_no_stages(ground, tmp_path):
    config = parse(ground.text)
    (tmp_path / "gateway.pem").write_bytes(a_key("ES256", 7).private_pem())
    forwarding = Forwarding(config)
    assert forwarding.jwks is not None
    with pytest.raises(AssertionError, match="an exchange without a key"):
        forwarding.stages(config.routes[0], None)
    forwarding._signer = None
    assert forwarding.jwks is None
    with pytest.raises(AssertionError, match="an assertion without a key"):
        forwarding.stages(config.routes[0], ground.exchanger)
