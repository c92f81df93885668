"""Tokens that are bound to a key (RFC 9449): who gets them, and who can use them."""

from __future__ import annotations

import pytest

from idp.jose.sign import sign
from idp.store import client
from tests.endpoints.token.conftest import ACCESS_TOKEN, EXCHANGE, ORDERS, STOCK, allow, exchange
from tests.fixtures.browser import claims
from tests.fixtures.clients import register
from tests.fixtures.dpop import Prover
from tests.fixtures.provider import ISSUER
from tests.fixtures.race import at_once

TOKEN, USERINFO = f"{ISSUER}/token", f"{ISSUER}/userinfo"
ALGS = "ES256 RS256 EdDSA PS256"
OFFLINE = {"scope": "openid offline_access", "prompt": "consent"}


class Key(Prover):
    """A key whose holder lives in the time of the provider."""

    def __init__(self, clock, alg="ES256"):
        super().__init__(alg)
        self._clock = clock

    def claims(self, method, address, token=None, **changed):
        return super().claims(method, address, token, **{"iat": int(self._clock.timestamp), **changed})

    def at_token(self, **changed):
        return {"DPoP": self.proof("POST", TOKEN, **changed)}

    def at_userinfo(self, token, **changed):
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof("GET", USERINFO, token, **changed)}


@pytest.fixture
def key(clock):
    return Key(clock)


@pytest.fixture
def ask(http):
    """Ask the token endpoint with headers of one's own."""

    def ask(app, headers, **form):
        data = {name: value for name, value in form.items() if value is not None}
        if app.secret is None:
            return http.post("/token", data={"client_id": app.client_id, **data}, headers=headers)
        return http.post("/token", data=data, headers={**app.basic, **headers})

    return ask


@pytest.fixture
def redeem(ask):
    """Redeem a code with headers of one's own."""

    def redeem(app, code, headers):
        usual = {
            "redirect_uri": app.redirect_uri,
            "code_verifier": "a-verifier-of-at-least-forty-three-characters-0123",
        }
        return ask(app, headers, grant_type="authorization_code", code=code, **usual)

    return redeem


@pytest.fixture
def own(ask, service):
    """Ask for a token of the service's own."""

    def own(headers, **form):
        return ask(service, headers, grant_type="client_credentials", resource=ORDERS, **form)

    return own


@pytest.fixture
def tokens(browser, web_app, alice, redeem, key):
    """Alice's tokens, bound to the key."""
    answer = redeem(web_app, browser.code(web_app, alice, **OFFLINE), key.at_token())
    assert answer.status_code == 200, answer.text
    return answer.json


@pytest.mark.spec("RFC 9449 section 5", "RFC 9449 section 6.1")
def test_a_proof_binds_the_access_token_to_its_key(own, key):
    told = own(key.at_token()).json
    assert told["token_type"] == "DPoP"
    assert claims(told["access_token"])["cnf"] == {"jkt": key.jkt}


def test_without_a_proof_the_token_is_a_bearer_token_as_before(own):
    told = own({}).json
    assert told["token_type"] == "Bearer"
    assert "cnf" not in claims(told["access_token"])


@pytest.mark.parametrize("alg", ["RS256", "EdDSA", "PS256"])
def test_every_algorithm_that_discovery_names_will_do(own, http, clock, alg):
    assert alg in http.get("/.well-known/openid-configuration").json["dpop_signing_alg_values_supported"]
    assert own(Key(clock, alg).at_token()).json["token_type"] == "DPoP"


@pytest.mark.attack("TK30")
@pytest.mark.spec("RFC 9449 section 5")
@pytest.mark.parametrize(
    "changed",
    [
        {"htm": "GET"},
        {"htu": USERINFO},
        {"htu": "https://evil.example/token"},
        {"jti": None},
        {"iat": 1},
        {"htu": None},
        {"iat": None},
    ],
)
def test_a_wrong_proof_is_refused_and_costs_no_code(browser, web_app, alice, redeem, key, changed):
    code = browser.code(web_app, alice)
    refused = redeem(web_app, code, key.at_token(**changed))
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_dpop_proof")
    assert refused.headers["Cache-Control"] == "no-store"
    assert redeem(web_app, code, key.at_token()).status_code == 200


@pytest.mark.attack("TK30")
@pytest.mark.parametrize("seconds", [-61, 61])
def test_a_proof_of_another_minute_is_refused(own, key, clock, seconds):
    headers = key.at_token()
    clock.advance(seconds)
    assert own(headers).json["error"] == "invalid_dpop_proof"


@pytest.mark.attack("TK30")
def test_query_and_fragment_of_the_address_are_ignored(own, key):
    assert own(key.at_token(htu=f"{TOKEN}?tenant=7#top")).status_code == 200


@pytest.mark.attack("TK30")
@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"typ": "JWT"}, {"jwk": None}])
def test_another_kind_of_token_is_no_proof(own, key, header):
    proof = key.signed(key.header(**header), key.claims("POST", TOKEN))
    assert own({"DPoP": proof}).json["error"] == "invalid_dpop_proof"


@pytest.mark.attack("TK30")
def test_a_private_key_in_a_proof_is_refused(own, key):
    proof = key.signed(key.header(jwk={**key.jwk, "d": "AAAA"}), key.claims("POST", TOKEN))
    assert own({"DPoP": proof}).json["error"] == "invalid_dpop_proof"


@pytest.mark.attack("TK30")
def test_two_proofs_are_refused(http, service, key):
    headers = [("DPoP", key.at_token()["DPoP"]), ("DPoP", key.at_token()["DPoP"]), *service.basic.items()]
    answer = http.post("/token", data={"grant_type": "client_credentials"}, headers=headers)
    assert answer.json["error"] == "invalid_dpop_proof"


@pytest.mark.attack("TK30")
@pytest.mark.spec("RFC 9449 section 5.2")
def test_a_client_that_must_prove_a_key_gets_nothing_without(services, service, own, key, clock):
    with services.db.write() as tx:
        client.change(tx, service.client_id, clock(), {"dpop_bound": True})
    services.clients.forget()
    assert own({}).json["error"] == "invalid_dpop_proof"
    assert own(key.at_token()).status_code == 200


@pytest.mark.attack("TK31")
@pytest.mark.spec("RFC 9449 section 11.1")
def test_a_proof_is_good_once(own, key):
    headers = key.at_token()
    assert own(headers).status_code == 200
    again = own(headers)
    assert (again.status_code, again.json["error"]) == (400, "invalid_dpop_proof")


@pytest.mark.attack("TK31")
def test_a_used_proof_costs_no_code(browser, web_app, alice, own, redeem, key):
    headers, code = key.at_token(), browser.code(web_app, alice)
    own(headers)
    assert redeem(web_app, code, headers).json["error"] == "invalid_dpop_proof"
    assert redeem(web_app, code, key.at_token()).status_code == 200


@pytest.mark.attack("TK31")
def test_of_fifty_at_once_one_gets_a_token(app, service, key):
    headers = {**service.basic, **key.at_token()}
    form = {"grant_type": "client_credentials", "resource": ORDERS}
    answers = at_once(50, lambda: app.test_client().post("/token", data=form, headers=headers).status_code)
    assert sorted(answers) == [200] + [400] * 49


@pytest.mark.attack("TK31")
def test_the_id_of_another_key_is_another_id(own, key, clock):
    assert own(key.at_token(jti="same")).status_code == 200
    assert own(Key(clock).at_token(jti="same")).status_code == 200


class TestWithNonce:
    @pytest.fixture
    def settings(self, settings):
        return settings.model_copy(update={"dpop_nonce": True})

    @pytest.mark.attack("TK32")
    @pytest.mark.spec("RFC 9449 section 8")
    @pytest.mark.parametrize("nonce", [None, "guess"])
    def test_a_proof_without_the_nonce_is_told_it(self, own, key, nonce):
        first = own(key.at_token(nonce=nonce))
        assert (first.status_code, first.json["error"]) == (400, "use_dpop_nonce")
        second = own(key.at_token(nonce=first.headers["DPoP-Nonce"]))
        assert (second.status_code, second.json["token_type"]) == (200, "DPoP")

    @pytest.mark.attack("TK32")
    @pytest.mark.spec("RFC 9449 section 8.2")
    def test_a_nonce_grows_old_and_every_answer_brings_the_next(self, own, key, clock):
        nonce = own(key.at_token()).headers["DPoP-Nonce"]
        clock.advance(60)
        fresh = own(key.at_token(nonce=nonce)).headers["DPoP-Nonce"]
        assert fresh != nonce
        clock.advance(61)
        assert own(key.at_token(nonce=nonce)).json["error"] == "use_dpop_nonce"
        assert own(key.at_token(nonce=fresh)).status_code == 200

    @pytest.mark.attack("TK32")
    @pytest.mark.spec("RFC 9449 section 9")
    def test_userinfo_tells_it_in_a_challenge(self, http, browser, web_app, alice, redeem, key):
        nonce = redeem(web_app, "no code", key.at_token()).headers["DPoP-Nonce"]
        token = redeem(web_app, browser.code(web_app, alice), key.at_token(nonce=nonce)).json["access_token"]
        first = http.get("/userinfo", headers=key.at_userinfo(token))
        assert first.status_code == 401
        assert first.headers["WWW-Authenticate"].startswith('DPoP realm="gatehouse"')
        assert 'error="use_dpop_nonce"' in first.headers["WWW-Authenticate"]
        second = http.get("/userinfo", headers=key.at_userinfo(token, nonce=first.headers["DPoP-Nonce"]))
        assert (second.status_code, "DPoP-Nonce" in second.headers) == (200, True)

    def test_who_proves_nothing_is_asked_for_no_nonce(self, own):
        answer = own({})
        assert (answer.status_code, "DPoP-Nonce" in answer.headers) == (200, False)


@pytest.mark.attack("TK34")
@pytest.mark.spec("RFC 9449 section 10")
def test_a_code_that_was_asked_with_a_key_is_for_its_holder(browser, web_app, alice, redeem, key, clock):
    asked = {"dpop_jkt": key.jkt}
    for headers, error in ((Key(clock).at_token(), "invalid_grant"), ({}, "invalid_dpop_proof")):
        refused = redeem(web_app, browser.code(web_app, alice, **asked), headers)
        assert (refused.status_code, refused.json["error"]) == (400, error)
    assert redeem(web_app, browser.code(web_app, alice, **asked), key.at_token()).status_code == 200


@pytest.mark.attack("TK34")
def test_a_code_tried_with_another_key_is_spent(browser, web_app, alice, redeem, key, clock):
    code = browser.code(web_app, alice, dpop_jkt=key.jkt)
    redeem(web_app, code, Key(clock).at_token())
    assert redeem(web_app, code, key.at_token()).json["error"] == "invalid_grant"


@pytest.mark.attack("TK34")
@pytest.mark.parametrize("jkt", ["short", "a" * 44])
def test_what_is_no_thumbprint_is_told_to_the_app(browser, web_app, alice, jkt):
    assert browser.answer(web_app, alice, dpop_jkt=jkt)["error"] == "invalid_request"


@pytest.mark.attack("TK33")
@pytest.mark.spec("RFC 9449 section 5")
def test_the_refresh_token_of_a_public_client_is_for_the_holder_of_its_key(
    browser, public_app, alice, redeem, ask, key, clock
):
    told = redeem(public_app, browser.code(public_app, alice, **OFFLINE), key.at_token()).json
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    assert ask(public_app, {}, **form).json["error"] == "invalid_dpop_proof"
    assert ask(public_app, Key(clock).at_token(), **form).json["error"] == "invalid_grant"
    fresh = ask(public_app, key.at_token(), **form).json  # the others have cost the family nothing
    assert claims(fresh["access_token"])["cnf"] == {"jkt": key.jkt}
    successor = {**form, "refresh_token": fresh["refresh_token"]}
    assert ask(public_app, {}, **successor).json["error"] == "invalid_dpop_proof"
    assert ask(public_app, key.at_token(), **successor).status_code == 200


@pytest.mark.attack("TK18")
def test_a_public_client_that_proves_its_key_may_repeat_a_refresh_whose_answer_was_lost(
    browser, public_app, alice, redeem, ask, key
):
    told = redeem(public_app, browser.code(public_app, alice, **OFFLINE), key.at_token()).json
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    first, again = (ask(public_app, key.at_token(), **form).json["refresh_token"] for _ in range(2))
    assert first == again


def test_a_public_client_that_begins_to_prove_a_key_is_bound_to_it(browser, public_app, alice, redeem, ask, key):
    told = redeem(public_app, browser.code(public_app, alice, **OFFLINE), {}).json
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    fresh = ask(public_app, key.at_token(), **form).json["refresh_token"]
    assert ask(public_app, {}, **{**form, "refresh_token": fresh}).json["error"] == "invalid_dpop_proof"


def test_a_client_that_authenticates_may_change_its_key(tokens, web_app, ask, clock):
    other = Key(clock)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    told = ask(web_app, other.at_token(), **form).json
    assert claims(told["access_token"])["cnf"] == {"jkt": other.jkt}


@pytest.mark.spec("RFC 9449 section 6.2")
def test_introspection_tells_the_key_and_the_type(http, tokens, web_app, key):
    told = http.post("/introspect", data={"token": tokens["access_token"]}, headers=web_app.basic).json
    assert (told["active"], told["token_type"], told["cnf"]) == (True, "DPoP", {"jkt": key.jkt})


@pytest.mark.spec("RFC 9449 section 6.2")
def test_a_reference_is_bound_as_a_jwt_is(http, services, orders_api, ask, key):
    app = register(
        services,
        "opaque",
        grant_types=["client_credentials"],
        scopes=orders_api.scopes,
        access_token_format="reference",
    )
    told = ask(app, key.at_token(), grant_type="client_credentials", resource=ORDERS).json
    state = http.post("/introspect", data={"token": told["access_token"]}, headers=app.basic).json
    assert (told["token_type"], state["cnf"]) == ("DPoP", {"jkt": key.jkt})


@pytest.mark.spec("RFC 9449 section 7.1")
def test_userinfo_answers_the_holder_of_the_key(http, tokens, alice, key):
    answer = http.get("/userinfo", headers=key.at_userinfo(tokens["access_token"]))
    assert answer.json == {"sub": alice.id}


@pytest.mark.attack("TK33")
@pytest.mark.spec("RFC 9449 section 7.2")
def test_a_bound_token_sent_as_bearer_is_refused(http, tokens, key):
    token = tokens["access_token"]
    proof = key.at_userinfo(token)["DPoP"]
    for headers in ({}, {"DPoP": proof}):
        answer = http.get("/userinfo", headers={"Authorization": f"Bearer {token}", **headers})
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith("DPoP ")
        assert f'algs="{ALGS}"' in answer.headers["WWW-Authenticate"]
    assert http.post("/userinfo", data={"access_token": token}).json["error"] == "invalid_token"


@pytest.mark.attack("TK33")
@pytest.mark.spec("RFC 9449 section 7.1")
def test_a_bound_token_with_another_key_is_refused(http, tokens, clock):
    answer = http.get("/userinfo", headers=Key(clock).at_userinfo(tokens["access_token"]))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"].startswith("DPoP ")


@pytest.mark.attack("TK30")
@pytest.mark.parametrize("changed", [{"htm": "POST"}, {"htu": TOKEN}, {"ath": None}, {"ath": "another"}])
def test_a_wrong_proof_opens_nothing_at_userinfo(http, tokens, key, changed):
    answer = http.get("/userinfo", headers=key.at_userinfo(tokens["access_token"], **changed))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_dpop_proof")
    assert f'algs="{ALGS}"' in answer.headers["WWW-Authenticate"]


@pytest.mark.attack("TK30")
def test_no_proof_opens_nothing_at_userinfo(http, tokens):
    answer = http.get("/userinfo", headers={"Authorization": f"DPoP {tokens['access_token']}"})
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_dpop_proof")


@pytest.mark.attack("TK31")
def test_a_proof_opens_userinfo_once(http, tokens, key):
    headers = key.at_userinfo(tokens["access_token"])
    assert http.get("/userinfo", headers=headers).status_code == 200
    assert http.get("/userinfo", headers=headers).json["error"] == "invalid_dpop_proof"


def test_a_bearer_token_does_not_pass_for_a_bound_one(http, browser, web_app, alice, key):
    token = browser.tokens(web_app, alice)["access_token"]
    answer = http.get("/userinfo", headers=key.at_userinfo(token))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


@pytest.mark.attack("TK33")
def test_a_token_that_is_bound_to_something_unknown_opens_nothing(http, services, browser, web_app, alice, clock):
    held = claims(browser.tokens(web_app, alice)["access_token"]) | {"cnf": {"kid": "1"}}
    token = sign(held, services.keyring.signing("ES256", clock()), typ="at+jwt")
    answer = http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


@pytest.mark.spec("RFC 9700 section 4.10")
def test_a_bound_token_is_exchanged_by_its_own_client_with_its_own_key_alone(
    http, services, stock_api, browser, alice, redeem, key, clock
):
    app = register(
        services,
        "agent",
        scopes=("openid", *stock_api.scopes),
        grant_types=["authorization_code", EXCHANGE],
        redirect_uris=["https://agent.example/cb"],
    )
    allow(services, app.client_id, STOCK)
    code = browser.code(app, alice, scope="openid orders:read", resource=ORDERS)
    subject = redeem(app, code, key.at_token()).json["access_token"]
    assert exchange(http, app, subject).json["error"] == "invalid_request"
    form = {"grant_type": EXCHANGE, "subject_token": subject, "audience": STOCK}
    form |= {"subject_token_type": ACCESS_TOKEN}
    other = http.post("/token", data=form, headers={**app.basic, **Key(clock).at_token()})
    assert other.json["error"] == "invalid_request"
    told = http.post("/token", data=form, headers={**app.basic, **key.at_token()}).json
    assert told["token_type"] == "DPoP"
    assert claims(told["access_token"])["cnf"] == {"jkt": key.jkt}


def test_an_exchange_binds_a_bearer_token_to_the_key_that_asks(http, gateway, subject, key):
    form = {"grant_type": EXCHANGE, "subject_token": subject, "audience": STOCK}
    form |= {"subject_token_type": ACCESS_TOKEN}
    told = http.post("/token", data=form, headers={**gateway.basic, **key.at_token()}).json
    assert (told["token_type"], claims(told["access_token"])["cnf"]) == ("DPoP", {"jkt": key.jkt})
