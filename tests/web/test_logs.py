"""Logs without secrets, one record an event."""

from __future__ import annotations

import io
import json
import logging

import pytest

from idp.web import logs

SECRETS = {
    "access_token": "canary-a",
    "client_secret": "canary-b",
    "password": "canary-c",
    "Authorization": "Bearer canary-d",
    "cookie": "canary-e",
    "code": "canary-f",
    "code_verifier": "canary-g",
    "refresh_token": "canary-h",
    "id_token_hint": "canary-i",
    "otp": "123456",
}
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"


@pytest.fixture
def stream():
    """What the process writes."""
    kept = logging.getLogger().handlers, logging.getLogger().level
    written = io.StringIO()
    logs.configure("debug", written)
    yield written
    logging.getLogger().handlers, level = kept
    logging.getLogger().setLevel(level)


def records(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.attack("LO1")
@pytest.mark.parametrize("name", SECRETS)
def test_masks_what_is_secret_by_name(stream, name):
    logs.log.info("event", **{name: SECRETS[name]})
    logs.log.info("event", detail={name: SECRETS[name]})
    assert SECRETS[name] not in stream.getvalue()
    assert records(stream)[0][name] == logs.MASK


@pytest.mark.attack("LO1")
@pytest.mark.parametrize("secret", [JWT, "A" * 43, "x" * 43])
def test_masks_what_is_shaped_like_a_secret_wherever_it_stands(stream, secret):
    logs.log.info("event", url=f"/cb?x={secret}", listed=["fine", secret], nested={"deep": {"er": secret}})
    logging.getLogger("some.library").warning("sent %s to %r", secret, {"token": secret})
    assert secret not in stream.getvalue()
    assert len(records(stream)) == 2


@pytest.mark.attack("LO1")
def test_masks_what_an_exception_says(stream):
    try:
        json.loads(JWT)
    except ValueError as error:
        error.add_note(f"could not parse {JWT}")
        logs.log.error("fault", exc_info=error)
        logging.getLogger("some.library").exception("it broke")
    assert JWT not in stream.getvalue()
    assert all("JSONDecodeError" in record["exception"] for record in records(stream))


@pytest.mark.attack("LO2")
@pytest.mark.parametrize("text", ["a\r\nb", "\x1b[2J", '{"event":"forged"}', "\u2028", '"}\n{"event":"forged"}'])
def test_hostile_text_stays_inside_its_record(stream, text):
    logs.log.info("event", user_agent=text)
    (record,) = records(stream)
    assert record["user_agent"] == text
    assert stream.getvalue().isascii()
    assert "\x1b" not in stream.getvalue()


def test_ids_are_told(stream):
    logs.log.info("event", client_id="web-app", account_id="01a20a5a-d594-7e79-bd31-7c77d345934b", error_code="x")
    (record,) = records(stream)
    assert (record["client_id"], record["account_id"]) == ("web-app", "01a20a5a-d594-7e79-bd31-7c77d345934b")


def test_stateless_tokens_are_told_together(http, service, services, clock, stream):
    for _ in range(3):
        http.post("/token", data={"grant_type": "client_credentials"}, headers=service.basic)
    services.tally.tell(clock())
    services.tally.tell(clock())
    (record,) = records(stream)
    told = {name: record[name] for name in ("event", "client_id", "audience", "count")}
    assert told == {
        "event": "tokens.issued",
        "client_id": "service",
        "audience": "https://orders.example",
        "count": 3,
    }


@pytest.mark.attack("LO1")
def test_a_whole_sign_in_leaves_no_secret_in_the_log(browser, web_app, alice, stream):
    code = browser.code(web_app, alice, scope="openid offline_access", prompt="consent")
    tokens = browser.redeem(web_app, code).json
    browser.redeem(web_app, code)
    browser.refresh(web_app, tokens["refresh_token"])
    browser.http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    browser.http.get(f"/nowhere?code={code}")
    written = stream.getvalue()
    for secret in (code, alice.password, web_app.secret, *(str(tokens[name]) for name in tokens if "token" in name)):
        if secret != "Bearer":
            assert secret not in written
    assert written
