"""A form counts only from the browser that was given it."""

from __future__ import annotations

import pytest

from idp.web import csrf


@pytest.mark.attack("LG21")
@pytest.mark.parametrize("path", ["/login", "/mfa", "/mfa/enrol", "/mfa/recovery", "/consent", "/logout"])
def test_refuses_a_form_without_the_token(http, path):
    answer = http.post(path, data={"username": "alice", "password": "x"})
    assert answer.status_code == 403
    assert "This form is no longer valid" in answer.text


@pytest.mark.attack("LG21")
def test_refuses_the_token_of_another_browser(browser, web_app, alice):
    page, theirs = browser.authorize(web_app), browser.another()
    own = theirs.authorize(web_app)
    stolen = theirs.form(own).fields["csrf_token"]
    assert browser.submit(page, "login-submit", csrf_token=stolen, username="alice", password="x").status_code == 403


@pytest.mark.attack("LG21")
def test_protects_a_page_that_nobody_thought_of(app, http):
    @app.post("/some/new/page")
    def page():
        return "done"

    assert http.post("/some/new/page").status_code == 403


def test_exempts_protocol_endpoints_alone(app):
    posts = {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    assert posts >= csrf.EXEMPT
    assert sorted(csrf.EXEMPT) == [
        "/authorize",
        "/end_session",
        "/events",
        "/introspect",
        "/revoke",
        "/token",
        "/userinfo",
    ]
