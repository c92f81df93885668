from __future__ import annotations

import asyncio
import io
import json

import pytest

from idp.gateway import asgi, wsgi
from idp.gateway.policy import metadata
from tests.gateway.policy.ground import ISSUER, Ground, challenge, file, route
from tests.gateway.policy.reference import Ask
from tests.gateway.raw import request

HERE = "https://api.example"
URL = f"{HERE}/.well-known/oauth-protected-resource"
NAMED = '[server]\nhosts = ["api.example"]\n'
TEXT = file(
    route('require = { scope = ["b:read"] }'),
    route('when = [{ not = { scope = "a:read" } }]', name="s", path="/s"),
    route('require = { acr = "aal2" }', name="t", path="/t").replace(HERE, f"{HERE}/deep/"),
    route(name="u", path="/u").replace(HERE, "https://elsewhere.example"),
    route(name="v", path="/v").replace(HERE, "urn:orders"),
    NAMED,
)


@pytest.mark.spec("RFC 9728 section 2")
@pytest.mark.spec("RFC 9728 section 3.1")
def test_every_audience_that_is_ours_is_described():
    documents = Ground(TEXT).gate.rules.documents
    assert {audience: document.url for audience, document in documents.items()} == {
        HERE: URL,
        f"{HERE}/deep/": f"{URL}/deep",
    }
    assert json.loads(documents[HERE].body) == {
        "resource": HERE,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["a:read", "b:read"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "RS256", "EdDSA", "PS256"],
        "dpop_bound_access_tokens_required": False,
        "tls_client_certificate_bound_access_tokens": False,
    }


@pytest.mark.spec("RFC 9728 section 2")
@pytest.mark.parametrize(
    ("binds", "dpop", "mtls"),
    [
        (("dpop", "dpop"), True, False),
        (("dpop", None), False, False),
        (("mtls", None), False, True),
        (("mtls", "dpop"), False, True),
    ],
)
def test_whether_every_token_has_to_be_bound_is_said(binds, dpop, mtls):
    routes = [
        route(f'bind = {{ {bind} = "required" }}' if bind else "", name=f"r{number}", path=f"/{number}")
        for number, bind in enumerate(binds)
    ]
    certificate = '[headers]\nclient_certificate = "ClientCert"\n'
    text = file(*routes, NAMED, certificate, top='trusted_proxies = ["10.0.0.0/8"]')
    said = json.loads(Ground(text).gate.rules.documents[HERE].body)
    assert said["dpop_bound_access_tokens_required"] is dpop
    assert said["tls_client_certificate_bound_access_tokens"] is mtls


@pytest.mark.attack("GW17")
@pytest.mark.spec("RFC 9728 section 5.1")
@pytest.mark.parametrize(
    ("path", "claims", "url"),
    [
        ("/users/a", {"exp": 1}, URL),
        ("/users/a", {"aud": "https://other.example"}, URL),
        ("/users/a", {}, URL),
        ("/t", {"aud": f"{HERE}/deep/"}, f"{URL}/deep"),
        ("/u", {"exp": 1}, None),
        ("/v", {"exp": 1}, None),
    ],
)
def test_every_challenge_says_where(path, claims, url):
    ground = Ground(TEXT)
    said = challenge(ground.ask(Ask(path=path, now=ground.wall.now), **claims))
    assert said.startswith("Bearer")
    assert ("resource_metadata=" in said) is (url is not None)
    assert url is None or f'resource_metadata="{url}"' in said


@pytest.mark.attack("GW17")
def test_no_credential_is_told_where_and_no_error(serve, issuer, upstream):
    text = TEXT.replace(ISSUER + "/jwks", issuer.issuer + "/jwks").replace(ISSUER, issuer.issuer)
    proxy = serve(text.replace("[server]\n", '[server]\nlisten = "127.0.0.1:0"\ndrain = "1s"\n'))
    assert proxy.ask(request(target="/users/a")).header("www-authenticate") == f'Bearer resource_metadata="{URL}"'
    answer = proxy.ask(request(target="/.well-known/oauth-protected-resource?x"))
    assert (answer.status, answer.header("content-type"), answer.json()["resource"]) == (200, "application/json", HERE)
    assert proxy.ask(request("HEAD", "/.well-known/oauth-protected-resource"), head_only=True).status == 200
    for method, target in (("GET", "/.well-known/oauth-protected-resource/none"), ("GET", "/.well-known/openid"),
                           ("POST", "/.well-known/oauth-protected-resource")):  # fmt: skip
        assert proxy.ask(request(method, target, Content_Length="0")).status == 403


def test_beside_a_front_the_gateway_describes_too(serve, issuer):
    text = TEXT.replace(ISSUER + "/jwks", issuer.issuer + "/jwks").replace(ISSUER, issuer.issuer)
    front = serve(
        text.replace("[server]\n", '[server]\nshape = "forward_auth"\nlisten = "127.0.0.1:0"\ndrain = "1s"\n')
    )
    assert front.ask(request(target="/.well-known/oauth-protected-resource")).json()["resource"] == HERE
    assert front.ask(request(target="/.well-known/oauth-protected-resource/none")).status == 404


def test_a_name_is_described_at_every_port_and_a_port_at_its_own():
    found = Ground(TEXT).gate.rules.documents
    for host in (b"api.example", b"API.example", b"api.example:8088"):
        assert metadata.answer(found, "GET", host, metadata.PREFIX) is not None, host
    there = TEXT.replace(HERE, f"{HERE}:8443").replace('hosts = ["api.example"]', 'hosts = ["api.example:8443"]')
    with_port = Ground(there).gate.rules.documents
    assert metadata.answer(with_port, "GET", b"api.example:8443", metadata.PREFIX) is not None
    for host in (b"api.example", b"api.example:8088"):
        assert metadata.answer(with_port, "GET", host, metadata.PREFIX) is None, host


@pytest.mark.parametrize(("method", "length"), [("GET", 150), ("HEAD", 0)])
def test_middleware_describes_too(method, length):
    gate = Ground(TEXT).gate
    told: list[object] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": "/.well-known/oauth-protected-resource",
        "HTTP_HOST": "api.example",
        "wsgi.input": io.BytesIO(),
    }
    gate.start = lambda: None
    body = b"".join(wsgi.Guarded(None, gate)(environ, lambda *head: told.append(head)))
    assert told[0][0] == "200 OK"
    assert len(body) >= length
    assert bool(body) is (method == "GET")


def test_asgi_middleware_describes_too():
    gate = Ground(TEXT).gate
    gate.start = lambda: None
    told: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        told.append(message)

    scope = {"type": "http", "method": "GET", "path": "/.well-known/oauth-protected-resource", "query_string": b"",
             "headers": [(b"host", b"api.example")], "client": None}  # fmt: skip
    asyncio.run(asgi.Guarded(None, gate)(scope, None, send))
    assert (told[0]["status"], json.loads(told[1]["body"])["resource"]) == (200, HERE)
