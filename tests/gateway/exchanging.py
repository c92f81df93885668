"""A provider that exchanges and introspects, without a network; it can lie, hang, refuse and be away."""

from __future__ import annotations

import json
import threading
import time
from functools import lru_cache
from itertools import count
from urllib.parse import parse_qs

from idp.gateway.call import Said, Stale
from idp.gateway.exchange.believe import ACCESS_TOKEN
from idp.gateway.fetch import FetchError
from idp.jose.dpop import Proof, verify_proof
from idp.jose.sign import sign
from idp.jose.strict import loads, split
from tests.gateway.issuer import a_key

ISSUER = "https://id.example"
ORDERS, STOCK = "https://orders.example", "https://stock.example"
GATEWAY = "gateway"
NOW = 1_800_000_000.0


class Provider:
    """Answers what it is told to, by default as a good one would."""

    def __init__(self, *, wall=lambda: NOW) -> None:
        self.wall = wall
        self.key = a_key()
        self.away = False
        self.stale = 0  # so many connections turn out to be dead
        self.hang: threading.Event | None = None
        self.refusal: tuple[int, object] | None = None
        self.headers: dict[str, str] = {}
        self.changed: dict[str, object] = {}  # claims of what is issued
        self.said: dict[str, object] = {}  # members of the answer
        self.body: bytes | None = None
        self.asked: list[dict[str, str]] = []
        self.urls: list[str] = []
        self.sent: list[dict[str, str]] = []
        self.inactive = False
        self.state: dict[str, object] = {}
        self.outer: dict[str, object] = {}
        self.nonce: str | None = None  # what proofs must hold
        self.offered: str | None = None  # instead of it
        self.proof: Proof | None = None
        self.typ = "token-introspection+jwt"
        self._ids = count(1)

    def send(self, url: str, body: bytes, headers: dict[str, str]) -> Said:
        """Answer the gateway."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.proof = self._proof(url, headers)
        self.asked.append(form)
        self.urls.append(url)
        self.sent.append(headers)
        if self.hang is not None:
            self.hang.wait(10)
        if self.stale:
            self.stale -= 1
            raise Stale("issuer cannot be reached")
        if self.away:
            raise FetchError("issuer cannot be reached")
        if self.body is not None:
            return Said(status=200, headers=self.headers, body=self.body)
        if self.refusal is not None:
            status, error = self.refusal
            told = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
            return Said(status=status, headers=self.headers, body=told)
        if url.endswith("/introspect"):
            return self._introspected(form)
        if self.proof is not None and self.nonce is not None and self.proof.nonce != self.nonce:
            told = json.dumps({"error": "use_dpop_nonce"}).encode()
            return Said(status=400, headers={"dpop-nonce": self.offered or self.nonce}, body=told)
        return self._exchanged(form)

    def _proof(self, url: str, headers: dict[str, str]) -> Proof | None:
        if "DPoP" not in headers:
            return None
        return verify_proof(headers["DPoP"], method="POST", addresses=(url,), now=self.wall())

    def _exchanged(self, form: dict[str, str]) -> Said:
        now = int(self.wall())
        subject = loads(split(form["subject_token"]).payload) if "." in form["subject_token"] else self._state(form)
        issued = {
            "iss": ISSUER,
            "sub": subject["sub"],
            "aud": form["audience"],
            "client_id": GATEWAY,
            "iat": now,
            "exp": min(int(str(subject["exp"])), now + 60),
            "jti": f"issued-{next(self._ids)}",
            "scope": form.get("scope", subject["scope"]),
            "act": {"sub": GATEWAY, "iss": ISSUER},
            "parents": [{"jti": subject["jti"], "client_id": subject["client_id"]}],
            "cnf": None if self.proof is None else {"jkt": self.proof.jkt},
            **self.changed,
        }
        claims = {name: value for name, value in issued.items() if value is not None}
        answer = {
            "access_token": sign(claims, self.key, typ="at+jwt"),
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer" if self.proof is None else "DPoP",
            "expires_in": 60,
            **self.said,
        }
        return Said(status=200, headers={}, body=json.dumps(answer).encode())

    def _state(self, form: dict[str, str]) -> dict[str, object]:
        now = int(self.wall())
        token = form.get("token") or form["subject_token"]
        return {
            "active": True, "token_type": "Bearer", "iss": ISSUER, "sub": "alice", "aud": ORDERS, "client_id": "shop",
            "iat": now, "exp": now + 600, "jti": "of " + token, "scope": "orders:read", "sid": "sid-1", **self.state,
        }  # fmt: skip

    def _introspected(self, form: dict[str, str]) -> Said:
        now, active = int(self.wall()), self._state(form)
        state = (
            {"active": False} if self.inactive else {name: each for name, each in active.items() if each is not None}
        )
        told = {"iss": ISSUER, "aud": GATEWAY, "iat": now, "token_introspection": state, **self.outer}
        claims = {name: value for name, value in told.items() if value is not None}
        return Said(status=200, headers={}, body=sign(claims, self.key, typ=self.typ).encode())


def inbound_claims(*, now: float = NOW, **changed: object) -> dict[str, object]:
    """What the caller's token says; None leaves a claim out."""
    told = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": ORDERS,
        "client_id": "web-app",
        "iat": int(now),
        "exp": int(now) + 600,
        "jti": "jti-1",
        "sid": "sid-1",
        "scope": "orders:read orders:write",
        "roles": ["clerk"],
        "acr": "aal1",
        **changed,
    }
    return {name: value for name, value in told.items() if value is not None}


@lru_cache
def a_token(**changed: object) -> str:
    """The caller's token: the same bytes for the same claims."""
    return sign(inbound_claims(**changed), a_key(), typ="at+jwt")


def until(met, seconds: float = 5.0) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.002)
