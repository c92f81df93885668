"""What a running provider writes down, at its most talkative."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.cli.serving.visitor import Visitor
from tests.fixtures import clients, people
from tests.fixtures.clients import App
from tests.fixtures.people import PASSWORD, Person
from tests.services.provider import Provider, session

# One process of the tests for all: another would start the same servers again.
pytestmark = pytest.mark.xdist_group("serving-logs")

SECRET = "not-the-secret-of-anybody-0123456789"
GARBAGE = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.fixture(scope="module")
def said(measured: Provider) -> tuple[list[str], list[str]]:
    """Let a person sign in and several things go wrong; return the lines of the log, and every secret."""
    app, person = web_app(measured), somebody(measured)
    visitor = Visitor(measured, person)
    code = visitor.code(app)
    tokens: dict[str, Any] = visitor.redeem(app, code).json()
    visitor.redeem(app, code)
    caller = session()
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    caller.post(measured.url("/token"), data=refresh, headers=app.basic, timeout=20)
    caller.post(
        measured.url("/token"), data=refresh | {"client_id": app.client_id, "client_secret": SECRET}, timeout=20
    )
    caller.get(measured.url("/userinfo"), headers={"Authorization": f"Bearer {GARBAGE}"}, timeout=20)
    caller.get(measured.url(f"/userinfo?access_token={GARBAGE}"), timeout=20)
    caller.get(measured.url(f"/end_session?id_token_hint={GARBAGE}&post_logout_redirect_uri=https://x"), timeout=20)
    misspoken(measured, f"GET /userinfo?access_token={GARBAGE} HTTP/9.9\r\nCookie: {GARBAGE}\r\n\r\n")
    misspoken(measured, f"{GARBAGE}\r\n\r\n")
    assert measured.program is not None
    secrets = [code, PASSWORD, SECRET, GARBAGE, str(app.secret), app.basic["Authorization"]]
    secrets += [tokens["access_token"], tokens["refresh_token"], tokens["id_token"], *visitor.cookies.values()]
    return measured.program.output().splitlines(), secrets


def somebody(provider: Provider) -> Person:
    with provider.db.write() as tx:
        return people.register(tx, "alice", provider.services)


def web_app(provider: Provider) -> App:
    return clients.register(
        provider.services,
        "web-app",
        scopes=("openid", "offline_access"),
        grant_types=clients.CODE_AND_REFRESH,
        redirect_uris=["https://app.example/cb"],
    )


def misspoken(provider: Provider, text: str) -> None:
    with socket.create_connection(("127.0.0.1", provider.port), timeout=10) as connection:
        connection.sendall(text.encode())
        connection.recv(1000)


@pytest.mark.attack("LO2")
def test_every_line_is_one_json_object(said: tuple[list[str], list[str]]) -> None:
    events = [json.loads(line) for line in said[0]]
    assert {"event", "level", "timestamp"} <= set.intersection(*(set(event) for event in events))
    assert {"server.begins", "refused"} <= {event["event"] for event in events}


@pytest.mark.attack("LO1")
def test_no_line_holds_a_secret(said: tuple[list[str], list[str]]) -> None:
    lines, secrets = said
    assert all(len(secret) > 10 for secret in secrets)
    assert not [(line, secret) for line in lines for secret in secrets if secret in line]
