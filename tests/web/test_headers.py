"""What a browser may do with our pages."""

from __future__ import annotations

import pytest

from idp.web.headers import content_security_policy, source


@pytest.mark.attack("AZ33")
def test_nobody_may_frame_a_page(browser, web_app):
    answer = browser.authorize(web_app)
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.attack("AZ33")
@pytest.mark.parametrize("path", ["/nowhere", "/authorize", "/login"])
def test_nobody_may_frame_an_error(http, path):
    assert "frame-ancestors 'none'" in http.get(path).headers["Content-Security-Policy"]


@pytest.mark.attack("AZ36")
def test_addresses_stay_in_the_house(browser, web_app):
    assert browser.authorize(web_app).headers["Referrer-Policy"] == "same-origin"


@pytest.mark.attack("LG29")
def test_no_page_is_kept(browser, web_app, http):
    assert browser.authorize(web_app).headers["Cache-Control"] == "no-store"
    assert http.get("/nowhere").headers["Cache-Control"] == "no-store"


def test_a_page_runs_nothing_that_stands_in_it(browser, web_app):
    policy = browser.authorize(web_app).headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_the_form_of_a_page_may_end_at_the_app(browser, web_app):
    policy = browser.authorize(web_app).headers["Content-Security-Policy"]
    assert "form-action 'self' https:;" in policy
    assert "form-action 'self' https: com.example.app:;" in content_security_policy("com.example.app:/cb")
    assert "form-action 'self' https: http://127.0.0.1:4711;" in content_security_policy("http://127.0.0.1:4711/cb")


def test_the_form_of_any_other_page_ends_here():
    assert "form-action 'self';" in content_security_policy()


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("https://app.example/cb?x=1", "https://app.example"),
        ("https://app.example:8443/cb", "https://app.example:8443"),
        ("http://127.0.0.1:4711/cb", "http://127.0.0.1:4711"),
        ("http://[::1]:4711/cb", "http:"),
        ("com.example.app:/cb", "com.example.app:"),
    ],
)
def test_names_where_an_answer_goes(uri, named):
    assert source(uri) == named


@pytest.mark.attack("AZ35")
def test_no_page_of_another_origin_reads_the_sign_in(browser, web_app):
    answer = browser.http.get(
        "/authorize", query_string=browser.request(web_app), headers={"Origin": "https://x.example"}
    )
    assert "Access-Control-Allow-Origin" not in answer.headers
