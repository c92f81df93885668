"""Somebody of a real LDAP directory: in with a second step and roles from their groups, or refused in calm words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser

from idp.store import api, audit, role
from tests.fixtures.browser import CHALLENGE, VERIFIER, claims
from tests.fixtures.clients import register
from tests.journeys.walker import Walker
from tests.services.authority import Authority
from tests.services.provider import Provider, session
from tests.services.slapd import PASSWORD, PEOPLE, READER, Slapd, group

ORDERS = "https://orders.example"
APP = "http://127.0.0.1:9/cb"  # nobody listens there: the browser stops with the address in its bar
VIEWS: tuple[tuple[int, Any], ...] = ((390, "light"), (390, "dark"), (1280, "light"), (1280, "dark"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, slapd: Slapd, authority: Authority) -> Iterator[Provider]:
    """A provider that its operator has connected to the directory."""
    folder = tmp_path_factory.mktemp("house")
    made = Provider(folder / "provider")
    facts = {
        "kind": "ldap",
        "label": "Example Ltd",
        "servers": [slapd.ldaps],
        "ca_file": str(authority.file),
        "bind_dn": READER[0],
        "bind_password": READER[1],
        "user_base": PEOPLE,
        "timeout": 10,
        "group_timeout": 10,
    }
    (folder / "example.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in facts.items()))
    made.connect("example", folder / "example.toml")
    with made.db.write() as tx:
        orders = api.create(tx, audience=ORDERS, name="Orders", now=made.clock())
        clerk = role.create(tx, api_id=orders.id, name="clerk")
        role.add_scope(tx, clerk.id, api.add_scope(tx, orders.id, "orders:read", "See orders").id)
    made.idp("connector", "map", "example", f"group:{group('outer')}", ORDERS, "clerk")
    app: dict[str, Any] = {"redirect_uris": [APP], "application_type": "native", "grant_types": ["authorization_code"]}
    register(made.services, "desk", auth_method="none", scopes=("openid", "orders:read"), mfa="required", **app)
    with made:
        yield made


@pytest.fixture
def walker(chromium: Browser, artifacts: Path, request: pytest.FixtureRequest) -> Iterator[Walker]:
    """A browser nobody has used before."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    yield Walker(context.new_page(), artifacts / "journey" / request.node.name.removeprefix("test_"))
    context.close()


def arrive(walker: Walker, house: Provider) -> None:
    """Come from the app."""
    asked = {
        "client_id": "desk",
        "redirect_uri": APP,
        "response_type": "code",
        "scope": "openid orders:read",
        "resource": ORDERS,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    walker.tab.goto(f"{house.url('/authorize')}?{urlencode(asked)}")


def tokens(house: Provider, back: str) -> dict[str, Any]:
    """What the app gets for the answer that came back."""
    form = {
        "grant_type": "authorization_code",
        "client_id": "desk",
        "redirect_uri": APP,
        "code": parse_qs(urlsplit(back).query)["code"][0],
        "code_verifier": VERIFIER,
    }
    answer = session().post(house.url("/token"), data=form, timeout=10)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_directorys_groups_and_a_second_step_reach_the_app(walker: Walker, house: Provider) -> None:
    arrive(walker, house)
    walker.sign_in("alice", PASSWORD)
    walker.enrol()
    walker.picture("consent")
    with walker.tab.expect_request(lambda asked: asked.url.startswith(APP)) as answer:
        walker.tab.click("#consent-allow")
    told = claims(tokens(house, answer.value.url)["access_token"])
    # Alice is in `inner`, which is in `middle`, which is in `outer`: the rule names `outer` alone.
    assert (told["roles"], told["scope"], told["acr"]) == (["clerk"], "orders:read", "aal2")
    assert {"pwd", "otp"} <= set(told["amr"])
    assert walker.complaints == []


def refusal(walker: Walker) -> tuple[str, str]:
    """What a refused person reads, and the number they are to tell."""
    text = walker.text("#problem")
    found = re.search(r"number: ([0-9a-f]{12})", text)
    assert found is not None, text
    return text.replace(found[1], ""), found[1]


@pytest.mark.attack("FD6")
def test_wrong_and_closed_read_alike_and_the_number_tells_the_operator_which(walker: Walker, house: Provider) -> None:
    arrive(walker, house)
    told = []
    for name, password in (("user000015", "not this one"), ("locked", PASSWORD)):
        with walker.tab.expect_navigation():
            walker.sign_in(name, password)
        told.append(refusal(walker))
    for width, scheme in VIEWS:
        walker.tab.emulate_media(color_scheme=scheme)
        walker.tab.set_viewport_size({"width": width, "height": 800})
        walker.picture(f"refused {width} {scheme}")
    assert told[0][0] == told[1][0]
    assert "Check the user name and the password" in told[0][0]
    with house.db.read() as tx:
        why = {
            row.support_id: row.detail["reason"] for row in audit.recent(tx, limit=20) if row.event == "signin.refused"
        }
    assert [why[number] for _, number in told] == ["no_match", "locked"]
