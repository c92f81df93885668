"""The token endpoint before any grant: what comes in, and who is calling."""

from __future__ import annotations

import base64

import pytest

from idp.store import client as clients
from tests.fixtures.clients import register

CREDENTIALS = {"grant_type": "client_credentials"}


def basic(pair: bytes) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(pair).decode()}


@pytest.mark.attack("TK5")
@pytest.mark.spec("RFC 6749 section 2.3.1")
@pytest.mark.parametrize(
    "query", ["grant_type=client_credentials", "client_secret=x", "client_id=service", "code=x", "refresh_token=x"]
)
def test_refuses_what_belongs_in_the_body_when_it_comes_in_the_query(http, service, query):
    answer = http.post(f"/token?{query}", data=CREDENTIALS, headers=service.basic)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.attack("TK5")
def test_answers_no_get(http, service):
    answer = http.get("/token?grant_type=client_credentials", headers=service.basic)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "OPTIONS, POST"


@pytest.mark.attack("TK5")
def test_takes_no_json(http, service):
    assert http.post("/token", json=CREDENTIALS, headers=service.basic).status_code == 415


@pytest.mark.attack("TK5", "GW11")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_answers_no_other_method(http, service, method):
    answer = http.open("/token", method=method, data=CREDENTIALS, headers=service.basic)
    assert answer.status_code == 405


def test_ignores_unknown_parameters(http, service):
    answer = http.post("/token?trace=1", data={**CREDENTIALS, "unknown": "x"}, headers=service.basic)
    assert answer.status_code == 200


@pytest.mark.spec("RFC 6749 section 3.2")
def test_refuses_a_repeated_parameter(http, service):
    answer = http.post("/token", data={"grant_type": ["client_credentials"] * 2}, headers=service.basic)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.attack("TK38")
@pytest.mark.parametrize("value", ["\x00", "' OR 1=1 --", "a\x00b", "\udcff", "x" * 5000])
def test_answers_hostile_values_with_a_refusal(http, public_app, value):
    body = f"grant_type=refresh_token&client_id=public-app&refresh_token={value}".encode("utf-8", "surrogateescape")
    answer = http.post("/token", data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 400
    assert answer.json["error"] in {"invalid_request", "invalid_grant"}


@pytest.mark.parametrize("size", [70_000, 3_000_000])
def test_refuses_a_body_beyond_its_size(http, service, size):
    answer = http.post("/token", data={**CREDENTIALS, "scope": "x" * size}, headers=service.basic)
    assert answer.status_code == 413


@pytest.mark.attack("TK37")
@pytest.mark.spec("RFC 6749 section 5.1")
@pytest.mark.parametrize("form", [CREDENTIALS, {"grant_type": "password"}, {}])
def test_no_answer_may_be_kept(http, service, form):
    answer = http.post("/token", data=form, headers=service.basic)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.content_type == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.attack("TK27")
@pytest.mark.spec("RFC 9700 section 2.4")
@pytest.mark.parametrize("grant", ["password", "implicit", "urn:nobody", "<script>"])
def test_refuses_an_unknown_grant_without_quoting_it(http, service, grant):
    answer = http.post("/token", data={"grant_type": grant}, headers=service.basic)
    assert (answer.status_code, answer.json["error"]) == (400, "unsupported_grant_type")
    assert grant not in answer.text


@pytest.mark.attack("TK28")
@pytest.mark.spec("RFC 6749 section 5.2")
def test_refuses_a_grant_that_the_client_does_not_have(http, web_app):
    answer = http.post("/token", data=CREDENTIALS, headers=web_app.basic)
    assert (answer.status_code, answer.json["error"]) == (400, "unauthorized_client")


@pytest.mark.attack("TK1")
@pytest.mark.spec("RFC 6749 section 5.2")
@pytest.mark.parametrize("pair", [b"service:wrong", b"nobody:wrong", b"service:"])
def test_refuses_a_wrong_secret_like_an_unknown_client(http, service, pair):
    answer = http.post("/token", data=CREDENTIALS, headers=basic(pair))
    assert answer.status_code == 401
    assert answer.json == {"error": "invalid_client", "error_description": "client authentication failed"}
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.attack("TK1")
def test_asks_for_no_header_where_none_was_used(http, service):
    form = {**CREDENTIALS, "client_id": "service", "client_secret": "wrong"}
    answer = http.post("/token", data=form)
    assert answer.status_code == 401
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.attack("TK2")
@pytest.mark.spec("RFC 6749 section 2.3")
@pytest.mark.parametrize(
    "second",
    [
        {"client_secret": "x"},
        {"client_assertion": "x"},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
    ],
)
def test_refuses_two_methods_at_once(http, service, second):
    answer = http.post("/token", data={**CREDENTIALS, **second}, headers=service.basic)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.attack("TK2")
def test_a_client_id_beside_the_header_is_no_second_method(http, service):
    form = {**CREDENTIALS, "client_id": service.client_id}
    assert http.post("/token", data=form, headers=service.basic).status_code == 200


@pytest.mark.attack("TK3")
@pytest.mark.spec("RFC 6749 section 3.2.1")
def test_refuses_a_client_id_that_is_not_the_authenticated_one(http, service, web_app):
    form = {**CREDENTIALS, "client_id": web_app.client_id}
    answer = http.post("/token", data=form, headers=service.basic)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


@pytest.mark.attack("TK4")
@pytest.mark.spec("RFC 7591 section 2")
def test_refuses_a_method_other_than_the_registered_one(http, service):
    form = {**CREDENTIALS, "client_id": service.client_id, "client_secret": service.secret}
    answer = http.post("/token", data=form)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


@pytest.mark.attack("TK4")
def test_takes_a_secret_in_the_body_from_whoever_registered_it_so(http, services, orders_api):
    client = register(
        services,
        "poster",
        auth_method="client_secret_post",
        scopes=orders_api.scopes,
        grant_types=["client_credentials"],
    )
    form = {**CREDENTIALS, "client_id": client.client_id, "client_secret": client.secret}
    assert http.post("/token", data=form).status_code == 200
    assert http.post("/token", data=CREDENTIALS, headers=client.basic).status_code == 401


@pytest.mark.attack("TK4")
def test_a_confidential_client_is_nobody_without_its_secret(http, web_app):
    form = {"grant_type": "authorization_code", "code": "x", "client_id": web_app.client_id}
    answer = http.post("/token", data=form)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


@pytest.mark.attack("TK6")
@pytest.mark.spec("RFC 6749 section 2.3.1")
@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"service").decode(),
        "Basic " + base64.b64encode(b"service:%zz").decode(),
        "Basic " + base64.b64encode(b"service:%").decode(),
        "Basic " + base64.b64encode(b"service:\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"service:%ff").decode(),
        "Basic " + "A" * 1_000_000,
        "Bearer x",
        "Digest username=service",
        "",
    ],
)
def test_refuses_a_header_it_cannot_read(http, service, header):
    answer = http.post("/token", data=CREDENTIALS, headers={"Authorization": header})
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


@pytest.mark.spec("RFC 6749 section 2.3.1")
def test_reads_form_encoded_names_and_secrets(http, services, orders_api):
    client = register(services, "a b:c/ä", scopes=orders_api.scopes, grant_types=["client_credentials"])
    assert http.post("/token", data=CREDENTIALS, headers=client.basic).status_code == 200


@pytest.mark.attack("AZ7")
def test_a_disabled_client_is_refused_within_a_second(http, services, service, clock):
    assert http.post("/token", data=CREDENTIALS, headers=service.basic).status_code == 200

    with services.db.write() as tx:
        clients.disable(tx, service.client_id, clock())
    clock.advance(1)
    assert http.post("/token", data=CREDENTIALS, headers=service.basic).status_code == 401
