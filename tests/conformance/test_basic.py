"""What OpenID's Config and Basic profiles examine of a provider, behaviour by behaviour, by their names."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from tests.fixtures import clients as registry
from tests.fixtures.browser import NONCE, STATE, Browser, claims, parameters
from tests.fixtures.clients import CODE_AND_REFRESH, OIDC, App
from tests.fixtures.clock import FakeClock
from tests.fixtures.markup import Page
from tests.fixtures.people import Api, Person
from tests.fixtures.provider import ISSUER, Http

if TYPE_CHECKING:
    from idp.web.services import Services

NO_PKCE = {"code_challenge": None, "code_challenge_method": None}
PROFILE = {
    "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
    "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
}  # fmt: skip
BY_SCOPE = {
    "profile": PROFILE,
    "email": {"email", "email_verified"},
    "address": {"address"},
    "phone": {"phone_number", "phone_number_verified"},
}


def basic(name: str) -> Any:
    """Mark a behaviour of the Basic profile."""
    return pytest.mark.spec(f"OpenID Basic {name}")


@pytest.fixture
def suite(services: Services, orders_api: Api) -> App:
    """The static client of the certification suite."""
    return registry.register(
        services,
        "suite-1",
        scopes=(*OIDC, *orders_api.scopes),
        grant_types=CODE_AND_REFRESH,
        redirect_uris=["https://suite.example/callback"],
        require_pkce=False,
    )


@pytest.fixture
def second_suite(services: Services, orders_api: Api) -> App:
    """Its second client, which authenticates by the body."""
    return registry.register(
        services,
        "suite-2",
        auth_method="client_secret_post",
        scopes=(*OIDC, *orders_api.scopes),
        grant_types=CODE_AND_REFRESH,
        redirect_uris=["https://suite.example/callback"],
        require_pkce=False,
    )


def tokens(browser: Browser, app: App, person: Person, **wishes: Any) -> dict[str, Any]:
    """Walk the whole way without a proof key, as the suite does."""
    answer = browser.answer(app, person, **{**NO_PKCE, **wishes})
    assert answer["state"] == wishes.get("state", STATE)
    assert answer["iss"] == ISSUER
    response = browser.redeem(app, answer["code"], code_verifier=None)
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = response.get_json()
    return found


def userinfo(http: Http, token: str) -> dict[str, Any]:
    response = http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    found: dict[str, Any] = response.get_json()
    return found


def error(browser: Browser, app: App, **wishes: Any) -> str:
    return parameters(browser.authorize(app, **{**NO_PKCE, **wishes}))["error"]


@pytest.mark.spec("OpenID Config oidcc-discovery-endpoint-verification")
def test_discovery_tells_what_there_is(http: Http) -> None:
    response = http.get("/.well-known/openid-configuration")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    document = response.get_json()
    assert document["issuer"] == ISSUER
    addresses = [value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(addresses) == 8
    assert all(address.startswith(f"{ISSUER}/") for address in addresses)
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert {"openid", *BY_SCOPE} <= set(document["scopes_supported"])
    assert document["claims_supported"]
    assert document["request_uri_parameter_supported"] is False


@pytest.mark.spec("OpenID Config oidcc-discovery-endpoint-verification")
def test_the_keys_are_public_and_each_has_its_own_name(http: Http) -> None:
    keys = http.get("/jwks").get_json()["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & {name for key in keys for name in key}
    assert {"use", "alg"} <= set.intersection(*(set(key) for key in keys))


@basic("oidcc-server")
def test_the_happy_flow(browser: Browser, suite: App, alice: Person, http: Http) -> None:
    got = tokens(browser, suite, alice)
    told = claims(got["id_token"])
    assert got["token_type"] == "Bearer"
    assert got["expires_in"] > 0
    assert (told["iss"], told["aud"], told["nonce"], told["sub"]) == (ISSUER, suite.client_id, NONCE, alice.id)
    assert told["exp"] > told["iat"]
    half = hashlib.sha256(got["access_token"].encode()).digest()[:16]
    assert told["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert userinfo(http, got["access_token"])["sub"] == told["sub"]


@basic("oidcc-server")
def test_an_id_token_tells_nothing_nobody_asked_for(browser: Browser, suite: App, alice: Person) -> None:
    told = claims(tokens(browser, suite, alice, scope="openid profile email address phone")["id_token"])
    assert not set().union(*BY_SCOPE.values()) & set(told)


@basic("oidcc-server-client-secret-post")
def test_a_secret_in_the_body(browser: Browser, second_suite: App, alice: Person) -> None:
    code = browser.code(second_suite, alice, **NO_PKCE)
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": second_suite.redirect_uri,
        "client_id": second_suite.client_id, "client_secret": second_suite.secret,
    }  # fmt: skip
    assert "id_token" in browser.http.post("/token", data=form).get_json()


@basic("oidcc-response-type-missing")
def test_a_missing_response_type(browser: Browser, suite: App) -> None:
    assert error(browser, suite, response_type=None) == "invalid_request"


@basic("oidcc-idtoken-signature")
def test_the_id_token_is_signed_by_a_published_key(browser: Browser, suite: App, alice: Person, http: Http) -> None:
    token = tokens(browser, suite, alice)["id_token"]
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "RS256"
    key = next(key for key in http.get("/jwks").get_json()["keys"] if key["kid"] == header["kid"])
    options = {"verify_exp": False, "verify_iat": False}
    believed = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], audience=suite.client_id, options=options)
    assert believed["sub"] == alice.id


@basic("oidcc-idtoken-unsigned")
def test_unsigned_id_tokens_are_not_offered(http: Http) -> None:
    document = http.get("/.well-known/openid-configuration").get_json()
    assert "none" not in document["id_token_signing_alg_values_supported"]


@pytest.mark.parametrize(
    "way",
    [
        pytest.param("get", marks=basic("oidcc-userinfo-get")),
        pytest.param("post-header", marks=basic("oidcc-userinfo-post-header")),
        pytest.param("post-body", marks=basic("oidcc-userinfo-post-body")),
    ],
)
def test_three_ways_to_ask_for_userinfo(browser: Browser, suite: App, alice: Person, http: Http, way: str) -> None:
    token = tokens(browser, suite, alice)["access_token"]
    header = {"Authorization": f"Bearer {token}"}
    response = {
        "get": lambda: http.get("/userinfo", headers=header),
        "post-header": lambda: http.post("/userinfo", headers=header),
        "post-body": lambda: http.post("/userinfo", data={"access_token": token}),
    }[way]()
    assert response.status_code == 200
    assert response.get_json()["sub"] == alice.id


@basic("oidcc-ensure-request-without-nonce-succeeds-for-code-flow")
def test_without_a_nonce_none_is_told(browser: Browser, suite: App, alice: Person) -> None:
    assert "nonce" not in claims(tokens(browser, suite, alice, nonce=None)["id_token"])


@basic("oidcc-server")
def test_a_long_nonce_comes_back_byte_for_byte(browser: Browser, suite: App, alice: Person) -> None:
    nonce = "N" * 43 + " ~é"
    assert claims(tokens(browser, suite, alice, nonce=nonce)["id_token"])["nonce"] == nonce


@pytest.mark.parametrize("scope", [pytest.param(scope, marks=basic(f"oidcc-scope-{scope}")) for scope in BY_SCOPE])
def test_a_scope_brings_every_claim_of_it(browser: Browser, suite: App, alice: Person, http: Http, scope: str) -> None:
    got = tokens(browser, suite, alice, scope=f"openid {scope}")
    assert set(userinfo(http, got["access_token"])) == {"sub", *BY_SCOPE[scope]}


@basic("oidcc-scope-all")
def test_all_scopes_bring_all_claims_in_their_types(browser: Browser, suite: App, alice: Person, http: Http) -> None:
    told = userinfo(http, tokens(browser, suite, alice, scope="openid profile email address phone")["access_token"])
    assert set(told) == {"sub"}.union(*BY_SCOPE.values())
    assert isinstance(told["updated_at"], int)
    assert (told["email_verified"], told["phone_number_verified"]) == (True, True)
    assert isinstance(told["address"], dict)
    assert told["birthdate"] == "1852-05-04"


@basic("oidcc-alternate-happy-flow")
def test_another_order_of_parameters_and_scopes(browser: Browser, suite: App, alice: Person, http: Http) -> None:
    asked = list(browser.request(suite, **NO_PKCE, scope="email openid").items())
    response = browser.follow(browser.http.get("/authorize", query_string=dict(reversed(asked))))
    code = parameters(browser.finish(response, alice))["code"]
    got = browser.redeem(suite, code, code_verifier=None).get_json()
    assert "email" in userinfo(http, got["access_token"])


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({"display": "page"}, marks=basic("oidcc-display-page")),
        pytest.param({"display": "popup"}, marks=basic("oidcc-display-popup")),
        pytest.param({"ui_locales": "se"}, marks=basic("oidcc-ui-locales")),
        pytest.param({"claims_locales": "se"}, marks=basic("oidcc-claims-locales")),
        pytest.param({"extra": "foobar"}, marks=basic("oidcc-ensure-request-with-unknown-parameter-succeeds")),
    ],
)
def test_a_wish_we_may_ignore_is_no_error(browser: Browser, suite: App, alice: Person, wish: dict[str, str]) -> None:
    assert "id_token" in tokens(browser, suite, alice, **wish)


@basic("oidcc-login-hint")
def test_a_login_hint_fills_in_the_name(browser: Browser, suite: App) -> None:
    page = browser.authorize(suite, **NO_PKCE, login_hint="alice")
    assert browser.form(page).fields["username"] == "alice"


@basic("oidcc-ensure-request-with-acr-values-succeeds")
@pytest.mark.parametrize("wish", ["1 2", "aal1", "aal1 aal2"])
def test_the_strength_told_is_one_that_was_asked_for_where_we_know_one(
    browser: Browser, suite: App, alice: Person, wish: str
) -> None:
    told = claims(tokens(browser, suite, alice, acr_values=wish)["id_token"])
    assert told["acr"] == "aal1"


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({"prompt": "login"}, marks=basic("oidcc-prompt-login")),
        pytest.param({"max_age": "1"}, marks=basic("oidcc-max-age-1")),
    ],
)
def test_a_second_request_asks_for_the_password_again(
    browser: Browser, suite: App, alice: Person, clock: FakeClock, wish: dict[str, str]
) -> None:
    before = claims(tokens(browser, suite, alice)["id_token"])
    clock.advance(2)
    assert "login-submit" in Page(browser.authorize(suite, **NO_PKCE, **wish).text).ids
    after = claims(tokens(browser, suite, alice, **wish)["id_token"])
    assert after["auth_time"] > before["auth_time"]


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({"prompt": "none"}, marks=basic("oidcc-prompt-none-logged-in")),
        pytest.param({"prompt": "none", "id_token_hint": "mine"}, marks=basic("oidcc-id-token-hint")),
        pytest.param({"max_age": "10000"}, marks=basic("oidcc-max-age-10000")),
    ],
)
def test_a_second_request_is_silent(
    browser: Browser, suite: App, alice: Person, clock: FakeClock, wish: dict[str, str]
) -> None:
    first = tokens(browser, suite, alice)
    clock.advance(2)
    asked = {**wish, **({"id_token_hint": first["id_token"]} if "id_token_hint" in wish else {})}
    answer = parameters(browser.authorize(suite, **NO_PKCE, **asked))
    second = claims(browser.redeem(suite, answer["code"], code_verifier=None).get_json()["id_token"])
    before = claims(first["id_token"])
    assert (second["sub"], second["auth_time"]) == (before["sub"], before["auth_time"])


@basic("oidcc-prompt-none-not-logged-in")
def test_prompt_none_without_anybody(browser: Browser, suite: App) -> None:
    assert error(browser, suite, prompt="none") == "login_required"


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(0, marks=basic("oidcc-codereuse")), pytest.param(30, marks=basic("oidcc-codereuse-30seconds"))],
)
def test_a_code_used_twice_takes_its_tokens_along(
    browser: Browser, suite: App, alice: Person, clock: FakeClock, seconds: int
) -> None:
    code = browser.code(suite, alice, **NO_PKCE)
    token = browser.redeem(suite, code, code_verifier=None).get_json()["access_token"]
    clock.advance(seconds)
    again = browser.redeem(suite, code, code_verifier=None)
    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")
    assert browser.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@basic("oidcc-ensure-registered-redirect-uri")
def test_an_unregistered_address_gets_a_page(browser: Browser, suite: App) -> None:
    response = browser.authorize(suite, **NO_PKCE, redirect_uri="https://suite.example/callback/other")
    assert response.status_code == 400
    assert "oauth-error" in Page(response.text).ids


@basic("oidcc-ensure-post-request-succeeds")
def test_a_request_by_post(browser: Browser, suite: App, alice: Person) -> None:
    response = browser.follow(browser.http.post("/authorize", data=browser.request(suite, **NO_PKCE)))
    assert "code" in parameters(browser.finish(response, alice))


@basic("oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported")
def test_request_uri_is_refused_by_its_own_error(browser: Browser, suite: App) -> None:
    assert error(browser, suite, request_uri="https://suite.example/r.jwt") == "request_uri_not_supported"


@basic("oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported")
def test_a_request_object_is_refused_by_its_own_error(browser: Browser, suite: App) -> None:
    assert error(browser, suite, request="eyJhbGciOiJub25lIn0.e30.") == "request_not_supported"


@basic("oidcc-ensure-request-object-with-redirect-uri")
def test_a_request_object_does_not_mend_a_wrong_address(browser: Browser, suite: App) -> None:
    wishes = {**NO_PKCE, "request": "eyJhbGciOiJub25lIn0.e30.", "redirect_uri": "https://suite.example/wrong"}
    assert browser.authorize(suite, **wishes).status_code == 400


@basic("oidcc-claims-essential")
def test_an_essential_claim_is_told(browser: Browser, suite: App, alice: Person, http: Http) -> None:
    wish = '{"userinfo":{"name":{"essential":true}},"id_token":{"email":null}}'
    got = tokens(browser, suite, alice, claims=wish)
    assert userinfo(http, got["access_token"]) == {"sub": alice.id, "name": "Alice Liddell"}
    assert claims(got["id_token"])["email"] == alice.email


@basic("oidcc-refresh-token")
def test_a_refresh_token_works_for_its_client_alone(
    browser: Browser, suite: App, second_suite: App, alice: Person, clock: FakeClock
) -> None:
    first = tokens(browser, suite, alice, scope="openid offline_access", prompt="consent")
    clock.advance(2)
    response = browser.refresh(suite, first["refresh_token"])
    assert response.headers["Cache-Control"] == "no-store"
    before, after = claims(first["id_token"]), claims(response.get_json()["id_token"])
    same = ("iss", "sub", "aud", "auth_time", "sid")
    assert [after[name] for name in same] == [before[name] for name in same]
    assert after["iat"] > before["iat"]
    form = {
        "grant_type": "refresh_token", "refresh_token": response.get_json()["refresh_token"],
        "client_id": second_suite.client_id, "client_secret": second_suite.secret,
    }  # fmt: skip
    foreign = browser.http.post("/token", data=form)
    assert (foreign.status_code, foreign.get_json()["error"]) == (400, "invalid_grant")


@basic("oidcc-ensure-request-with-valid-pkce-succeeds")
def test_a_proof_key_is_accepted(browser: Browser, suite: App, alice: Person) -> None:
    assert "id_token" in browser.tokens(suite, alice)
