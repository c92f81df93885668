"""The wiring: what holds for every address."""

from __future__ import annotations

import logging

import pytest

from idp.app import create_app
from idp.protocol.errors import TemporarilyUnavailable
from idp.settings import Settings
from idp.store.database import StoreUnavailable
from idp.store.sealed import create_master_key
from idp.web import cookies, logs
from idp.web.machines import MACHINES


@pytest.fixture(params=["sqlite"])
def database_url(request, sqlite_url):
    """One kind of database: nothing here is about the store."""
    return sqlite_url


@pytest.mark.attack("GW8", "LG25")
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "", "LOCALHOSTX"])
@pytest.mark.parametrize("path", ["/token", "/authorize", "/.well-known/openid-configuration", "/nowhere"])
def test_refuses_a_foreign_host(http, host, path):
    answer = http.get(path, headers={"Host": host})
    assert answer.status_code == 400
    if host:
        assert host not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8443", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_takes_the_issuers_host_and_loopback(http, host):
    assert http.get("/jwks", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Forwarded-Prefix"])
def test_no_forwarded_header_changes_an_address(http, header):
    answer = http.get("/.well-known/openid-configuration", headers={header: "evil.example"})
    assert "evil" not in answer.text
    assert answer.json["token_endpoint"] == "https://localhost/token"


@pytest.mark.attack("GW11")
@pytest.mark.parametrize("path", ["/token", "/userinfo", "/jwks", "/authorize", "/login", "/healthz", "/introspect"])
@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
def test_answers_no_strange_method(http, path, method):
    answer = http.open(path, method=method)
    assert answer.status_code in {403, 405}


@pytest.mark.attack("GW11")
def test_no_header_overrides_the_method(http):
    assert http.get("/token", headers={"X-HTTP-Method-Override": "POST"}).status_code == 405


@pytest.mark.attack("LO3")
def test_a_page_that_is_not_there_says_so_kindly(http):
    answer = http.get("/nowhere/<script>")
    assert answer.status_code == 404
    assert "script" not in answer.text
    assert "There is no page here" in answer.text


@pytest.mark.attack("LO3")
@pytest.mark.parametrize("path", ["/.well-known/nothing", "/token/x"])
def test_a_program_gets_its_404_as_json(http, path):
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.json["error"] == "invalid_request"


@pytest.mark.attack("LO3")
@pytest.mark.parametrize("path", ["/token/broken", "/broken"])
def test_a_fault_shows_no_detail(app, http, path):
    @app.get(path)
    def broken():
        raise RuntimeError("canary-7f3a at line 12")

    answer = http.get(path)
    assert answer.status_code == 500
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text
    if path.startswith("/token"):
        assert answer.json == {"error": "server_error", "error_description": "something broke on our side"}
    else:
        assert "Something broke on our side" in answer.text


@pytest.mark.parametrize("path", ["/token/busy", "/busy"])
@pytest.mark.parametrize("refusal", [StoreUnavailable("the store is not available"), TemporarilyUnavailable("busy")])
def test_who_is_too_early_is_told_when_to_come_back(app, http, path, refusal):
    @app.get(path)
    def busy():
        raise refusal

    answer = http.get(path)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_the_debugger_is_off(app):
    assert not app.debug
    assert not app.testing
    assert app.config["PROPAGATE_EXCEPTIONS"] is False


@pytest.mark.attack("LG20")
@pytest.mark.parametrize("path", [*MACHINES, "/authorize?x=1"])
def test_sets_no_cookie_for_a_program_or_a_refusal(http, path):
    answer = http.get(path, headers={"Cookie": f"{cookies.FLOW}=forged"})
    assert "Set-Cookie" not in answer.headers


@pytest.mark.attack("LG20")
def test_the_flow_cookie_is_as_closed_as_can_be(browser, web_app):
    answer = browser.http.get("/authorize", query_string=browser.request(web_app))
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-gh_flow=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


@pytest.mark.parametrize("name", ["authlib", "authlib.oauth2.rfc6749", "sqlalchemy.engine"])
def test_libraries_do_not_print_secrets_even_at_debug(settings, clock, name):
    logging.getLogger(name.partition(".")[0]).setLevel(logging.NOTSET)
    logs.configure("debug")
    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
    logs.configure("info")


def test_http_on_loopback_needs_no_switch_in_the_environment(monkeypatch, tmp_path, sqlite_url, clock):
    monkeypatch.delenv("AUTHLIB_INSECURE_TRANSPORT", raising=False)
    create_master_key(tmp_path / "loopback.key")
    settings = Settings.load(
        None, issuer="http://localhost:8000", database_url=sqlite_url, master_key_file=tmp_path / "loopback.key"
    )
    app = create_app(settings, clock=clock)
    answer = app.test_client().post("/token", data={"grant_type": "none"}, base_url="http://localhost:8000")
    assert answer.json["error"] == "unsupported_grant_type"
    assert "Strict-Transport-Security" not in answer.headers
    app.extensions["idp"].db.close()


@pytest.mark.spec("RFC 6797 section 7.2")
@pytest.mark.parametrize("path", ["/jwks", "/nowhere", "/token"])
def test_an_https_issuer_asks_for_https_ever_after(http, path):
    assert http.get(path).headers["Strict-Transport-Security"] == "max-age=63072000"
