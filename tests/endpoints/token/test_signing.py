"""What is spent buys something: a key that cannot sign is noticed while all can still be undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from idp.app import create_app
from tests.fixtures.browser import Browser
from tests.fixtures.clients import App
from tests.fixtures.provider import Http


@pytest.fixture
def without_rs256(app: Flask, settings, clock) -> Iterator[Browser]:
    """The same provider, started again by an operator who took an algorithm away that clients still use."""
    started_again = create_app(settings.model_copy(update={"signing_algs": ("ES256",)}), clock=clock)
    started_again.test_client_class = Http
    yield Browser(started_again)
    started_again.extensions["idp"].db.close()


def is_a_fault(answer):
    assert (answer.status_code, answer.json["error"]) == (500, "server_error"), answer.text
    return True


@pytest.mark.parametrize("scope", ["openid profile", "openid orders:read"])
def test_a_code_outlives_an_algorithm_that_was_taken_away(browser, without_rs256, web_app: App, alice, scope):
    code = browser.code(web_app, alice, scope=scope)
    assert is_a_fault(without_rs256.redeem(web_app, code))
    answer = browser.redeem(web_app, code)
    assert answer.status_code == 200, answer.text


def test_a_refresh_token_outlives_an_algorithm_that_was_taken_away(browser, without_rs256, web_app: App, alice, clock):
    kept = browser.tokens(web_app, alice, scope="openid offline_access")["refresh_token"]
    assert is_a_fault(without_rs256.refresh(web_app, kept))
    clock.advance(60)  # beyond the grace, so that a token that was claimed after all would end the family
    answer = browser.refresh(web_app, kept)
    assert answer.status_code == 200, answer.text
