"""The ground itself: what every other test leans on."""

from __future__ import annotations

import socket

import pytest

from tests.fixtures.browser import claims
from tests.fixtures.network import BeyondLoopback


def test_a_person_gets_tokens_for_an_app(browser, alice, web_app):
    tokens = browser.tokens(web_app, alice, scope="openid offline_access")
    assert claims(tokens["id_token"])["sub"] == alice.id
    assert browser.refresh(web_app, tokens["refresh_token"]).status_code == 200


def test_a_person_with_a_second_factor_is_asked_for_it(browser, alice, web_app, authenticator):
    answer = browser.answer(web_app, alice, authenticator)
    tokens = browser.redeem(web_app, answer["code"]).get_json()
    assert claims(tokens["id_token"])["acr"] == "aal2"


def test_a_service_gets_a_token_for_itself(browser, service, orders_api):
    response = browser.token(service, grant_type="client_credentials", audience=orders_api.audience)
    assert claims(response.get_json()["access_token"])["aud"] == orders_api.audience


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 80)])
def test_nothing_reaches_beyond_loopback(address):
    with pytest.raises(BeyondLoopback):
        socket.create_connection(address, timeout=1)
