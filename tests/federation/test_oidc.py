"""An honest provider: what is asked, what is believed, what is taken over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from idp.federation import oidc
from idp.federation.connector import Identity, Made, Misconfigured, NotSignedIn, Outcome, RedirectConnector
from idp.federation.oidc import Oidc
from idp.jose import strict
from idp.jose.keys import SigningKey
from tests.fixtures.elsewhere import BACK, connected, pairs, sign_in
from tests.services.upstream import Upstream


def test_is_a_connector_of_the_kind_that_sends_browsers_away(upstream: Upstream) -> None:
    assert isinstance(connected(upstream), RedirectConnector)


def test_says_who_somebody_is(upstream: Upstream) -> None:
    who = sign_in(connected(upstream), upstream)

    assert (who.connector, who.external_id, who.username) == ("elsewhere", "u-1", "ada")
    assert (who.email, who.email_verified, who.claims["name"]) == ("ada@elsewhere.example", True, "Ada Lovelace")


@pytest.mark.spec("RFC 7636 section 4.3")
def test_asks_with_pkce_state_and_nonce_that_are_new_each_time(upstream: Upstream) -> None:
    connector = connected(upstream)

    first, second = (_asked(connector.begin(BACK).url) for _ in range(2))

    assert first["code_challenge_method"] == "S256"
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))
    assert "verifier" not in first


def test_asks_for_a_new_sign_in_and_when_it_was_where_the_app_wants_one(upstream: Upstream) -> None:
    asked = _asked(connected(upstream).begin(BACK, fresh=True).url)
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert "prompt" not in _asked(connected(upstream).begin(BACK).url)
    assert _asked(connected(upstream).begin(BACK, choose=True).url)["prompt"] == "select_account"


def come(connector: Oidc, upstream: Upstream, *, fresh: bool) -> Identity:
    handshake = connector.begin(BACK, fresh=fresh)
    return connector.finish(pairs(upstream.visit(handshake.url)), handshake.kept, BACK)


HOUR = 3600.0
UNFIT: dict[str, Callable[[], Any]] = {
    "of yesterday": lambda: time.time() - 24 * HOUR,
    "of two minutes before": lambda: time.time() - 120,
    "of tomorrow": lambda: time.time() + 24 * HOUR,
    "no moment": lambda: "yesterday",
    "true": lambda: True,
    "before all": lambda: 0,
    "absent": lambda: None,
}


@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
@pytest.mark.parametrize("unfit", UNFIT)
def test_refuses_a_sign_in_that_is_not_of_now_where_the_app_wants_one(upstream: Upstream, unfit: str) -> None:
    said = UNFIT[unfit]()
    upstream.answers.id_token = lambda claims: {
        name: value for name, value in {**claims, "auth_time": said}.items() if value is not None
    }

    with pytest.raises(NotSignedIn) as refused:
        come(connected(upstream), upstream, fresh=True)

    assert refused.value.outcome is Outcome.UNTRUSTED
    assert refused.value.code.startswith("auth_time is ")


def test_says_when_somebody_signed_in_there_as_far_as_it_is_told(upstream: Upstream) -> None:
    def ago(**more: Any) -> float | None:
        return come(connected(upstream, **more), upstream, fresh=False).proved_ago

    upstream.person["auth_time"] = time.time() - HOUR
    assert ago() == pytest.approx(HOUR, abs=60)
    assert ago(fresh="never") == pytest.approx(HOUR, abs=60)
    assert ago(fresh="believed") == 0
    upstream.person["auth_time"] = time.time() + 30  # their clock
    assert ago() == 0
    upstream.answers.id_token = lambda claims: {name: claims[name] for name in claims if name != "auth_time"}
    assert ago() is None
    assert ago(fresh="believed") == 0


def test_a_provider_that_says_nothing_may_be_known_to_ask_each_time(upstream: Upstream) -> None:
    connector = connected(upstream, fresh="believed")
    upstream.answers.id_token = lambda claims: {name: claims[name] for name in claims if name != "auth_time"}
    asked = _asked(connector.begin(BACK, fresh=True).url)
    assert (asked["prompt"], "max_age" in asked) == ("login", False)
    assert come(connector, upstream, fresh=True).proved_ago == 0


@pytest.mark.parametrize(("how", "can"), [({}, True), ({"fresh": "believed"}, True), ({"fresh": "never"}, False)])
def test_says_whether_it_can_be_asked_for_a_sign_in_of_now(upstream: Upstream, how: Any, *, can: bool) -> None:
    assert connected(upstream, **how).fresh is can


def test_a_no_of_the_person_is_told_apart(upstream: Upstream) -> None:
    upstream.answers.redirect = lambda params: {
        "error": "access_denied",
        "state": params["state"],
        "iss": params["iss"],
    }

    with pytest.raises(NotSignedIn) as refused:
        sign_in(connected(upstream), upstream)

    assert refused.value.outcome is Outcome.DENIED


@pytest.mark.attack("FD13")
def test_an_email_and_its_verification_come_from_one_document(upstream: Upstream) -> None:
    upstream.answers.id_token = lambda claims: {**claims, "email_verified": True}
    upstream.answers.userinfo = lambda claims: {"sub": claims["sub"], "email": "victim@elsewhere.example"}

    who = sign_in(connected(upstream), upstream)

    assert (who.email, who.email_verified) == ("victim@elsewhere.example", False)


def test_follows_a_new_key_of_the_provider(upstream: Upstream) -> None:
    connector = connected(upstream)
    sign_in(connector, upstream)
    upstream.keys.insert(0, SigningKey.generate("ES256"))
    connector._keys._tried = float("-inf")  # the cooldown is over

    assert sign_in(connector, upstream).external_id == "u-1"


@pytest.mark.attack("F15")
def test_keeps_the_keys_it_has_while_the_provider_is_broken(upstream: Upstream) -> None:
    connector = connected(upstream)
    sign_in(connector, upstream)
    upstream.answers.jwks = lambda _document: b"garbage"
    upstream.answers.discovery = lambda _document: {}

    assert sign_in(connector, upstream).external_id == "u-1"


@pytest.mark.spec("OpenID Connect Core section 9")
def test_proves_itself_by_a_signed_assertion(upstream: Upstream) -> None:
    key = SigningKey.generate("ES256")
    config = {"issuer": upstream.issuer, "client_id": "gatehouse"}
    connector = Oidc.make(Made(name="elsewhere", config=config, secrets={"private_key": key.private_pem().decode()}))

    sign_in(connector, upstream)

    form = next(form for path, form in upstream.asked if path == "/token")
    claims = strict.loads(strict.split(form["client_assertion"]).payload)
    assert claims["aud"] == f"{upstream.issuer}/token"
    assert claims["iss"] == claims["sub"] == "gatehouse"
    assert "client_secret" not in form


def test_makes_apples_secret_of_the_teams_key(upstream: Upstream) -> None:
    key = SigningKey.generate("ES256")
    config = {
        "preset": "apple",
        "issuer": upstream.issuer,
        "client_id": "gatehouse",
        "team_id": "TEAM",
        "key_id": "KEY",
    }
    connector = Oidc.make(Made(name="apple", config=config, secrets={"private_key": key.private_pem().decode()}))
    handshake = connector.begin(BACK)
    with pytest.raises(NotSignedIn):  # our upstream wants another secret
        connector.finish(pairs(upstream.visit(handshake.url)), handshake.kept, BACK)

    assert _asked(handshake.url)["response_mode"] == "form_post"
    form = next(form for path, form in upstream.asked if path == "/token")
    made = strict.split(form["client_secret"])
    claims = strict.loads(made.payload)
    assert (made.header["kid"], claims["iss"], claims["sub"]) == ("KEY", "TEAM", "gatehouse")
    assert claims["aud"] == "https://appleid.apple.com"


@pytest.mark.attack("FD21")
def test_the_strength_of_a_sign_in_elsewhere_counts_for_nothing_by_itself(upstream: Upstream) -> None:
    upstream.amr = ["mfa", "hwk"]
    upstream.answers.id_token = lambda claims: {**claims, "acr": "aal3"}

    who = sign_in(connected(upstream), upstream)

    assert (who.acr, who.amr) == (None, ())


def test_the_strength_of_a_sign_in_elsewhere_counts_where_the_operator_says_so(upstream: Upstream) -> None:
    upstream.amr = ["pwd", "mfa"]

    who = sign_in(connected(upstream, trusted_amr=["mfa"]), upstream)

    assert (who.acr, who.amr) == ("aal2", ("mfa",))


def test_the_word_for_a_strength_is_the_operators(upstream: Upstream) -> None:
    upstream.answers.id_token = lambda claims: {**claims, "acr": "urn:strong"}

    assert sign_in(connected(upstream, trusted_acr={"urn:strong": "aal2"}), upstream).acr == "aal2"


WRONG: list[dict[str, Any]] = [
    {"issuer": "not an address"},
    {"issuer": "https://user@op.example"},
    {"issuer": "http://op.example"},
    {"issuer": "https://op.example?x=1"},
    {"scope": ["email"]},
    {"algs": ["HS256"]},
    {"trusted_acr": {"x": "aal9"}},
    {"auth_method": "magic"},
    {"preset": "myspace"},
    {"preset": "github"},
    {"preset": "entra", "tenant": "common", "issuer": None},
    {"clientid": "misspelt"},
    {"claims": {"username": "a..b["}},
    {"claims": {"username": 7}},
    {"ca_file": "/nowhere.pem"},
    {"key_id": 7},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_refuses_a_configuration_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    config = {"issuer": "https://op.example", "client_id": "gatehouse", **wrong}
    config = {name: value for name, value in config.items() if value is not None}

    with pytest.raises(Misconfigured):
        Oidc.make(Made(name="elsewhere", config=config, secrets={"client_secret": "s"}))


def test_entra_is_one_tenant() -> None:
    tenant = "00000000-1111-2222-3333-444444444444"
    config = {"preset": "entra", "client_id": "gatehouse", "tenant": tenant}

    made = Oidc.make(Made(name="work", config=config, secrets={"client_secret": "s"}))

    assert made.issuer == f"https://login.microsoftonline.com/{tenant}/v2.0"


def test_a_test_walks_what_can_be_walked_without_a_person(upstream: Upstream) -> None:
    found = list(connected(upstream).examine("ada"))

    assert [each.step for each in found] == ["discovery", "keys", "client", "person"]
    assert all(each.passed for each in found)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks"])
def test_a_test_says_what_failed(upstream: Upstream, path: str) -> None:
    upstream.answers.status = {path: 503}

    *_, last = connected(upstream).examine(None)

    assert not last.passed
    assert "another status" in last.words


@pytest.mark.attack("F15")
def test_a_provider_that_hangs_holds_few_threads(upstream: Upstream) -> None:
    connector = connected(upstream)
    for _ in range(4):
        connector._slots._free.acquire()

    with pytest.raises(NotSignedIn) as refused:
        connector.begin(BACK)

    assert refused.value.code == "too many at once"


def test_secrets_are_named_so_that_they_are_sealed() -> None:
    assert {"client_secret", "private_key"} <= oidc.SECRETS


def _asked(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
