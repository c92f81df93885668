"""A provider elsewhere, on loopback, that says whatever a test wants it to: the honest one and every hostile one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from idp.jose.hashes import half_hash
from idp.jose.keys import SigningKey
from idp.jose.strict import b64encode

CLIENT_ID, CLIENT_SECRET = "gatehouse", "a secret / with % and +"
Claims = dict[str, Any]


@dataclass
class Grant:
    """What one code stands for."""

    nonce: str | None
    challenge: str | None
    redirect_uri: str
    person: Claims


@dataclass
class Answers:
    """What a test may bend. Each takes what an honest provider would say and returns what this one says."""

    id_token: Callable[[Claims], Claims] = lambda claims: claims
    sign: Callable[[Claims], str] | None = None
    userinfo: Callable[[Claims], object] = lambda claims: claims
    discovery: Callable[[Claims], Claims] = lambda document: document
    jwks: Callable[[Claims], object] = lambda document: document
    token: Callable[[Claims], object] = lambda answer: answer
    redirect: Callable[[dict[str, str]], dict[str, str]] = lambda params: params
    before: Callable[[str], None] = lambda _path: None
    status: dict[str, int] = field(default_factory=dict)
    drip: dict[str, float] = field(default_factory=dict)


class Upstream:
    """One provider. `person` is who signs in next."""

    def __init__(self) -> None:
        self.keys = [SigningKey.generate("ES256")]
        self.person: Claims = {
            "sub": "u-1",
            "preferred_username": "ada",
            "name": "Ada Lovelace",
            "email": "ada@elsewhere.example",
            "email_verified": True,
        }
        self.answers = Answers()
        self.amr: list[str] = []
        self.pages: dict[str, object] = {}
        self.grants: dict[str, Grant] = {}
        self.tokens: dict[str, Claims] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def issuer(self) -> str:
        """Who it says it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def settings(self, **more: Any) -> dict[str, Any]:
        """What an operator writes to connect it."""
        return {"kind": "oidc", "issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **more}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def visit(self, url: str) -> str:
        """Be the browser of somebody who is signed in there: return the address it is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return self.leave(asked)

    def leave(self, asked: dict[str, str]) -> str:
        """Write the way back."""
        self.asked.append(("/authorize", asked))
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(
            nonce=asked.get("nonce"),
            challenge=asked.get("code_challenge"),
            redirect_uri=asked["redirect_uri"],
            person=dict(self.person),
        )
        params = self.answers.redirect({"code": code, "state": asked["state"], "iss": self.issuer})
        return f"{asked['redirect_uri']}?{urlencode(params)}"

    def jwk_set(self) -> Claims:
        """Its public keys."""
        return {"keys": [key.public_jwk() for key in self.keys]}

    def document(self) -> Claims:
        """What it says of itself."""
        at = self.issuer
        return {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/jwks",
            "userinfo_endpoint": f"{at}/userinfo",
            "end_session_endpoint": f"{at}/end_session",
            "authorization_response_iss_parameter_supported": True,
        }

    def redeem(self, headers: Any, form: dict[str, str]) -> tuple[int, object]:
        """Exchange a code as RFC 6749 wants it, PKCE and all."""
        self.asked.append(("/token", form))
        grant = self.grants.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "")
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        proven = headers.get("Authorization", "") == basic() or form.get("client_secret") == CLIENT_SECRET
        proven = proven or "client_assertion" in form
        if grant is None or not proven or form.get("redirect_uri") != grant.redirect_uri:
            return 400, {"error": "invalid_grant"}
        if grant.challenge is not None and hashed != grant.challenge:
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        self.tokens[access_token] = grant.person
        honest = {"access_token": access_token, "token_type": "Bearer", "id_token": self._id_token(grant, access_token)}
        return 200, self.answers.token(honest)

    def sign(self, claims: Claims, *, typ: str | None = "JWT", **header: Any) -> str:
        """Sign with its first key; a header of None is left out."""
        key = self.keys[0]
        whole = {"alg": key.alg, "kid": key.kid, "typ": typ, **header}
        return compact({name: value for name, value in whole.items() if value is not None}, claims, key.sign)

    def _id_token(self, grant: Grant, access_token: str) -> str:
        now = int(time.time())
        honest = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "at_hash": half_hash(access_token, "ES256"),
            **({"nonce": grant.nonce} if grant.nonce else {}),
            **({"amr": self.amr} if self.amr else {}),
            **grant.person,
        }
        return (self.answers.sign or self.sign)(self.answers.id_token(honest))


def basic() -> str:
    """The header that proves the client (RFC 6749 section 2.3.1)."""
    pair = urlencode({"a": CLIENT_ID, "b": CLIENT_SECRET}).replace("+", "%20")
    user, password = (each.partition("=")[2] for each in pair.split("&"))
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def compact(header: Claims, claims: Claims, sign: Callable[[bytes], bytes]) -> str:
    """Put a token together, whatever it says."""
    head, body = (b64encode(json.dumps(part).encode()) for part in (header, claims))
    return b".".join((head, body, b64encode(sign(head + b"." + body)))).decode()


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one method a verb, one line a path
    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            upstream.answers.before(url.path)
            if url.path in upstream.answers.status:
                self._send(upstream.answers.status[url.path], b"broken on purpose")
            elif url.path == "/authorize":
                self._page(asked)
            elif url.path == "/end_session":
                self._send(200, b"<!doctype html><title>Elsewhere</title><h1>Signed out elsewhere</h1>", "text/html")
            elif url.path == "/.well-known/openid-configuration":
                self._json(upstream.answers.discovery(upstream.document()))
            elif url.path in upstream.pages:
                self._json(upstream.pages[url.path])
            elif url.path == "/jwks":
                self._json(upstream.answers.jwks(upstream.jwk_set()))
            elif url.path == "/userinfo":
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                person = upstream.tokens.get(token)
                self._json(upstream.answers.userinfo(dict(person))) if person else self._send(401, b"{}")
            else:
                self._send(404, b"{}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            path = urlsplit(self.path).path
            upstream.answers.before(path)
            if path in upstream.answers.status:
                self._send(upstream.answers.status[path], b"broken on purpose")
                return
            if path == "/agree":
                self.send_response(303)
                self.send_header("Location", upstream.leave(form))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            status, answer = upstream.redeem(self.headers, form)
            self._json(answer, status)

        def _page(self, asked: dict[str, str]) -> None:
            hidden = "".join(
                f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
                for name, value in asked.items()
            )
            page = (
                '<!doctype html><html lang="en"><title>Elsewhere</title><h1>Elsewhere</h1>'
                f'<form method="post" action="/agree">{hidden}<button id="agree">Continue</button></form>'
            )
            self._send(200, page.encode(), "text/html")

        def _json(self, answer: object, status: int = 200) -> None:
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self._send(status, body)

        def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            pause = upstream.answers.drip.get(urlsplit(self.path).path)
            with contextlib.suppress(OSError):  # whoever asked may have had enough
                if pause is None:
                    self.wfile.write(body)
                    return
                for each in body:
                    self.wfile.write(bytes([each]))
                    time.sleep(pause)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
