"""What a browser keeps for us."""

from __future__ import annotations

import datetime as dt

import pytest
from flask import Response, request

from idp.web import cookies


@pytest.mark.attack("LG20")
def test_a_cookie_and_its_tossed_twin_count_as_none(app):
    twins = f"{cookies.SESSION}=mine; {cookies.SESSION}=planted"
    with app.test_request_context("/login", base_url="https://localhost", headers={"Cookie": twins}):
        assert cookies.session_secret(request) is None
    with app.test_request_context(
        "/login", base_url="https://localhost", headers={"Cookie": f"{cookies.SESSION}=mine"}
    ):
        assert cookies.session_secret(request) == "mine"
        assert cookies.device_secret(request) is None


@pytest.mark.attack("LG20")
@pytest.mark.spec("RFC 6265bis section 4.1.3.2")
def test_every_cookie_is_bound_to_this_host_and_closed_to_scripts():
    response = Response()
    cookies.set_session(response, "secret")
    cookies.set_device(response, "secret", dt.timedelta(days=365))
    cookies.clear_session(response)
    for cookie in response.headers.getlist("Set-Cookie"):
        assert cookie.startswith("__Host-")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


@pytest.mark.attack("AZ32")
def test_a_forged_flow_is_no_flow(app):
    with app.test_request_context(
        "/login", base_url="https://localhost", headers={"Cookie": f"{cookies.FLOW}=e30.x.y"}
    ):
        assert cookies.known_flow() is None


def test_a_flow_stays_the_same_until_it_is_renewed(app):
    with app.test_request_context("/login", base_url="https://localhost"):
        first = cookies.flow()
        assert cookies.flow() == first == cookies.known_flow()
        assert cookies.new_flow() != first
        assert len(first) == 43
