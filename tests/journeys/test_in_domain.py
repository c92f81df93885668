"""A browser of the domain: in by its ticket without a question; where it has none, the page that everybody knows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page

from tests.fixtures.browser import CHALLENGE
from tests.fixtures.clients import register
from tests.services.authority import Authority
from tests.services.chromium import ARGUMENTS
from tests.services.provider import Provider
from tests.services.samba import DOMAIN, PASSWORD, Samba
from tests.services.tickets import SERVICE, Tickets

pytestmark = pytest.mark.xdist_group("samba")
APP = "http://127.0.0.1:9/cb"  # nobody listens there: the browser stops with the address in its bar
Someone = Callable[..., str]


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, samba: Samba, reader: str, authority: Authority, machine: Tickets
) -> Iterator[Provider]:
    """A provider that its operator has connected to the domain, tickets included."""
    folder = tmp_path_factory.mktemp("in-domain")
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
    kerberos = {"keytab": str(machine.keytab), "service": SERVICE, "addresses": ["127.0.0.0/8"]}
    lines = [f"{name} = {json.dumps(value)}" for name, value in facts.items()]
    lines += ["[kerberos]", *(f"{name} = {json.dumps(value)}" for name, value in kerberos.items())]
    (folder / "corp.toml").write_text("\n".join(lines))
    made.connect("corp", folder / "corp.toml")
    app: dict[str, Any] = {"redirect_uris": [APP], "application_type": "native", "grant_types": ["authorization_code"]}
    register(made.services, "desk", auth_method="none", scopes=("openid",), **app)
    with made:
        yield made


def address(house: Provider) -> str:
    """Where the app sends somebody."""
    asked = {
        "client_id": "desk",
        "redirect_uri": APP,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"{house.url('/authorize')}?{urlencode(asked)}"


@contextmanager
def browser_of(chromium: Browser, machine: Tickets, name: str) -> Iterator[Page]:
    """Chromium at the machine, with somebody's tickets and its administrator's leave to show them here."""
    told = {**os.environ, "KRB5_CONFIG": str(machine.conf), "KRB5CCNAME": f"FILE:{machine.cache(name)}"}
    arguments = [*ARGUMENTS, "--auth-server-allowlist=localhost"]
    program = shutil.which("chromium")
    browser = chromium.browser_type.launch(executable_path=program, args=arguments, env=dict(told))
    try:
        page = browser.new_page()
        page.set_default_timeout(15_000)
        yield page
    finally:
        browser.close()


def test_who_signed_in_at_the_machine_types_nothing(
    chromium: Browser, house: Provider, machine: Tickets, someone: Someone, artifacts: Path
) -> None:
    name = someone()
    machine.sign_in(name)
    with browser_of(chromium, machine, name) as page:
        # On Linux the first question of all makes Chromium load the library; it answers once that is there.
        for _ in range(10):
            page.goto(address(house))
            page.wait_for_selector("#login-submit, #consent-allow")
            if page.locator("#consent-allow").count():
                break
            time.sleep(0.2)
        page.wait_for_selector("#consent-allow")
        page.screenshot(path=artifacts / "journey" / "in the domain.png")
        assert name in page.inner_text("main")


def test_a_browser_without_tickets_shows_the_page_that_everybody_knows(
    chromium: Browser, house: Provider, someone: Someone
) -> None:
    name = someone()
    for scripts in (True, False):
        context = chromium.new_context(java_script_enabled=scripts)
        page = context.new_page()
        answer = page.goto(address(house))
        assert answer is not None
        assert answer.status == 401
        page.fill("#username", name)
        page.fill("#password", PASSWORD)
        page.click("#login-submit")
        page.wait_for_selector("#consent-allow")
        context.close()


def test_curl_walks_the_same_way(house: Provider, machine: Tickets, someone: Someone, tmp_path: Path) -> None:
    name = someone()
    machine.sign_in(name)
    curl = shutil.which("curl")
    assert curl is not None
    walked = subprocess.run(
        [
            curl,
            "--silent",
            "--negotiate",
            "--user",
            ":",
            "--location",
            "--cookie-jar",
            tmp_path / "jar",
            address(house),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "KRB5_CONFIG": str(machine.conf), "KRB5CCNAME": f"FILE:{machine.cache(name)}"},
    )
    assert "consent-allow" in walked.stdout
