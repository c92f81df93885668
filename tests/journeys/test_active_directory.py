"""Somebody whose domain wants a new password: from the app, through the change, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser

from idp.store import audit
from tests.fixtures.browser import CHALLENGE
from tests.fixtures.clients import register
from tests.journeys.walker import Walker
from tests.services.authority import Authority
from tests.services.provider import Provider
from tests.services.samba import DOMAIN, PASSWORD, Samba

pytestmark = pytest.mark.xdist_group("samba")
APP = "http://127.0.0.1:9/cb"  # nobody listens there: the browser stops with the address in its bar
NEW = "Wholly-New-77"
VIEWS: tuple[tuple[int, Any], ...] = ((390, "light"), (390, "dark"), (1280, "light"), (1280, "dark"))


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, samba: Samba, reader: str, authority: Authority
) -> Iterator[Provider]:
    """A provider that its operator has connected to the domain."""
    folder = tmp_path_factory.mktemp("house")
    made = Provider(folder / "provider")
    facts = {
        "kind": "active_directory",
        "label": "Corp",
        "servers": [samba.ldaps],
        "ca_file": str(authority.file),
        "domain": DOMAIN,
        "bind_dn": reader,
        "bind_password": PASSWORD,
        "timeout": 10,
    }
    (folder / "corp.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in facts.items()))
    made.connect("corp", folder / "corp.toml")
    register(
        made.services,
        "desk",
        auth_method="none",
        scopes=("openid",),
        redirect_uris=[APP],
        application_type="native",
        grant_types=["authorization_code"],
    )
    with made:
        yield made


@pytest.fixture
def walker(chromium: Browser, artifacts: Path, request: pytest.FixtureRequest) -> Iterator[Walker]:
    """A browser nobody has used before."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    yield Walker(context.new_page(), artifacts / "journey" / request.node.name.removeprefix("test_"))
    context.close()


def pictures(walker: Walker, name: str) -> None:
    for width, scheme in VIEWS:
        walker.tab.emulate_media(color_scheme=scheme)
        walker.tab.set_viewport_size({"width": width, "height": 900})
        walker.picture(f"{name} {width} {scheme}")


def choose(walker: Walker, new: str) -> None:
    walker.tab.fill("#password", PASSWORD)
    walker.tab.fill("#new-password", new)
    walker.tab.fill("#new-password-again", new)
    with walker.tab.expect_navigation():
        walker.tab.click("#new-password-submit")


def test_who_must_change_the_password_reads_the_rules_changes_it_and_arrives(
    walker: Walker, house: Provider, someone: Callable[..., str]
) -> None:
    name = someone(pwdLastSet=0)
    asked = {
        "client_id": "desk",
        "redirect_uri": APP,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    walker.tab.goto(f"{house.url('/authorize')}?{urlencode(asked)}")
    with walker.tab.expect_navigation():
        walker.sign_in(f"CORP\\{name}", PASSWORD)
    assert walker.text("h1") == "Choose a new password"
    assert "At least 7 characters" in walker.text("#rules")
    pictures(walker, "a new password")

    choose(walker, "short")
    assert "It has fewer than 7 characters." in walker.text("#problem")
    pictures(walker, "not taken")

    choose(walker, NEW)
    with walker.tab.expect_request(lambda asked: asked.url.startswith(APP)) as answer:
        walker.tab.click("#consent-allow")
    assert "code=" in answer.value.url
    assert walker.complaints == []
    assert house.program is not None
    with house.db.read() as tx:
        written = "".join(str(vars(row)) for row in audit.recent(tx, limit=100))
    for record in (written, house.program.output(), answer.value.url):
        assert PASSWORD not in record
        assert NEW not in record
