"""A foreign provider (panva's oidc-provider) as an upstream, a real browser between: first sign-in, link, refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page

from idp.accounts.passwords import Passwords
from idp.jose.encrypted import DecryptionKey
from idp.jose.keys import SigningKey
from idp.store import account as accounts
from idp.store import identity
from tests.fixtures.browser import CHALLENGE
from tests.services.authority import Authority, Certificate
from tests.services.program import Program, free_port
from tests.services.provider import Provider

HERE = Path(__file__).parent
SECRET = "a long secret of the tests, with spaces & signs"
PASSWORD = "seven purple herons walk"
APP = "http://127.0.0.1:9/cb"  # nobody listens there: the browser stops with the address in its bar
VIEWS: tuple[tuple[int, Any], ...] = ((390, "light"), (390, "dark"), (1280, "light"), (1280, "dark"))


class Ground:
    """Our provider, theirs, and the way between."""

    def __init__(self, folder: Path, authority: Authority, certificate: Certificate, node: Path) -> None:
        self.ours = Provider(folder / "ours")
        port = free_port()
        self.issuer = f"https://localhost:{port}"
        back = self.ours.url("/federation/callback/social")
        argv = [node, HERE / "upstream.mjs", str(port), certificate.key, certificate.chain, back]
        over = [self.ours.url("/logout/elsewhere"), self.ours.url("/federation/signed-out/social")]
        (folder / "opens.pem").write_bytes(SigningKey.generate("ES256").private_pem())
        jwks = folder / "opens.json"
        jwks.write_text(
            json.dumps({"keys": [DecryptionKey.read_pem((folder / "opens.pem").read_bytes()).public_jwk()]})
        )
        over += [self.ours.url("/federation/callback/sealed"), str(jwks)]
        self.theirs = Program([*argv, *over], log=folder / "theirs.log", cwd=HERE)
        self.theirs.wait_for_port(port, seconds=30)
        facts = {
            "kind": "oidc",
            "label": "Social",
            "issuer": self.issuer,
            "client_id": "gatehouse",
            "client_secret": SECRET,
            "ca_file": str(authority.file),
        }
        sealed = {"label": "Sealed", "client_id": "sealed", "decryption_key_file": "opens.pem", "signed_userinfo": True}
        self._add(folder, "social", facts)
        self._add(folder, "sealed", {**facts, **sealed, "encrypted": ["id_token", "userinfo"]})
        self.findings = self.ours.idp("connector", "test", "social")
        self.ours.idp("client", "create", "desk", "--redirect-uri", APP, "--public", "--native")
        with self.ours.db.write() as tx:
            accounts.create(
                tx,
                username="grace",
                email="grace@social.test",
                email_verified=True,
                password_hash=Passwords().hash(PASSWORD),
                now=self.ours.clock(),
            )
        self.ours.start()

    def _add(self, folder: Path, name: str, facts: dict[str, Any]) -> None:
        toml = folder / f"{name}.toml"
        lines = (f"{key} = {json.dumps(value)}\n" for key, value in facts.items())
        toml.write_text("".join(lines))
        self.ours.connect(name, toml)

    def stop(self) -> None:
        """End both."""
        self.ours.stop()
        self.theirs.stop()


@pytest.fixture(scope="module")
def ground(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, certificate: Certificate, node: Path
) -> Iterator[Ground]:
    """Both providers, running."""
    made = Ground(tmp_path_factory.mktemp("upstream"), authority, certificate, node)
    yield made
    made.stop()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A browser nobody has used before; whose certificate the other provider shows is not its question here."""
    context = chromium.new_context(ignore_https_errors=True, reduced_motion="reduce")
    yield context.new_page()
    context.close()


@pytest.fixture
def shots(artifacts: Path) -> Path:
    """Where pictures are kept, to be looked at."""
    folder = artifacts / "elsewhere"
    folder.mkdir(exist_ok=True, parents=True)
    return folder


def arrive(tab: Page, ground: Ground) -> None:
    """Come from the app."""
    asked = {
        "client_id": "desk",
        "redirect_uri": APP,
        "response_type": "code",
        "scope": "openid email",
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    tab.goto(f"{ground.ours.url('/authorize')}?{urlencode(asked)}")


def there(tab: Page, login: str, button: str = "#with-social") -> None:
    """Press the button and sign in over there."""
    press(tab, button)
    tab.fill("#login", login)
    tab.fill("#password", "pw")
    press(tab, "#go")


def press(tab: Page, button: str) -> None:
    """Press a button and arrive where it leads."""
    with tab.expect_navigation():
        tab.click(button)


def pictures(tab: Page, shots: Path, name: str) -> None:
    """Keep what is seen on phone and desktop, light and dark."""
    for width, scheme in VIEWS:
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 800})
        tab.screenshot(path=shots / f"{name}-{width}-{scheme}.png", full_page=True)


def external_ids(ground: Ground, username: str) -> list[str]:
    """By which names of elsewhere an account is known."""
    with ground.ours.db.read() as tx:
        found = accounts.find_by_login(tx, username)
        return [] if found is None else [each.external_id for each in identity.of_account(tx, found.id)]


def test_the_test_command_finds_it_in_order(ground: Ground) -> None:
    assert ground.findings["passed"], ground.findings


def test_somebody_new_comes_in(tab: Page, ground: Ground, shots: Path) -> None:
    arrive(tab, ground)
    pictures(tab, shots, "1-sign-in")

    there(tab, "ada")
    pictures(tab, shots, "2-consent")
    with tab.expect_request(lambda asked: asked.url.startswith(APP)) as answer:
        tab.click("#consent-allow")

    assert "code=" in answer.value.url
    assert external_ids(ground, "ada") == ["ada"]


@pytest.mark.attack("FD12")
def test_an_account_with_that_email_is_linked_by_its_owner_alone(tab: Page, ground: Ground, shots: Path) -> None:
    arrive(tab, ground)
    there(tab, "grace")
    assert tab.inner_text("h1") == "You have an account here already"
    pictures(tab, shots, "3-link-first")
    assert external_ids(ground, "grace") == []

    press(tab, "#elsewhere-onward")
    tab.fill("#username", "grace")
    tab.fill("#password", PASSWORD)
    press(tab, "#login-submit")
    assert tab.inner_text("h1") == "Link Social?"
    pictures(tab, shots, "4-link")
    press(tab, "#link-allow")

    tab.wait_for_selector("#consent-allow")
    assert external_ids(ground, "grace") == ["grace"]
    tab.goto(ground.ours.url("/account/ways-in"))
    pictures(tab, shots, "5-ways-in")
    assert "Password" in tab.inner_text("#ways-in")
    assert "grace@social.test" in tab.inner_text("#ways-in")


@pytest.mark.attack("FD12")
@pytest.mark.spec("OpenID Connect Core section 10.2")
def test_another_way_in_is_added_while_signed_in_by_answers_that_come_encrypted(
    tab: Page, ground: Ground, shots: Path
) -> None:
    arrive(tab, ground)
    tab.fill("#username", "grace")
    tab.fill("#password", PASSWORD)
    press(tab, "#login-submit")
    tab.goto(ground.ours.url("/account/ways-in"))
    pictures(tab, shots, "7-add")

    there(tab, "grace-at-home", "#add-sealed")
    assert "grace-at-home@social.test" in tab.inner_text("#ways-in")
    pictures(tab, shots, "8-ask")
    press(tab, "#link-allow")

    assert "Sealed" in tab.inner_text("#ways-in")
    assert "grace-at-home" in external_ids(ground, "grace")


def test_a_no_over_there_is_told_and_leads_back(tab: Page, ground: Ground, shots: Path) -> None:
    arrive(tab, ground)
    there(tab, "deny")

    assert tab.inner_text("h1") == "You are not signed in"
    pictures(tab, shots, "6-refusal")
    press(tab, "#elsewhere-onward")
    assert tab.is_visible("#with-social")
