"""A provider without ID tokens: what its API says of somebody, for a code of this browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from idp.federation.code_flow import Fresh
from idp.federation.connector import Identity, Made, Misconfigured, NotSignedIn, Outcome, RedirectConnector
from idp.federation.oauth2 import OAuth2
from tests.fixtures.elsewhere import BACK, pairs
from tests.services.upstream import CLIENT_ID, CLIENT_SECRET, Upstream

EMAILS = [
    {"email": "old@x.example", "primary": False, "verified": True},
    {"email": "octocat@x.example", "primary": True, "verified": True},
]


@pytest.fixture
def github(upstream: Upstream) -> OAuth2:
    """The preset, at the upstream of the tests."""
    upstream.person = {"id": 583231, "login": "octocat", "name": "The Octocat", "email": "public@x.example"}
    upstream.answers.token = lambda answer: {"access_token": answer["access_token"], "token_type": "bearer"}
    upstream.answers.id_token = lambda claims: {"iss": claims["iss"]}
    upstream.pages["/emails"] = EMAILS
    at = upstream.issuer
    config = {
        "preset": "github",
        "client_id": CLIENT_ID,
        "authorization_endpoint": f"{at}/authorize",
        "token_endpoint": f"{at}/token",
        "userinfo_endpoint": f"{at}/userinfo",
        "documents": {"emails": f"{at}/emails"},
    }
    return OAuth2.make(Made(name="github", config=config, secrets={"client_secret": CLIENT_SECRET}))


def sign_in(connector: OAuth2, upstream: Upstream) -> Identity:
    handshake = connector.begin(BACK)
    return connector.finish(pairs(upstream.visit(handshake.url)), handshake.kept, BACK)


def test_is_a_connector_of_the_kind_that_sends_browsers_away(github: OAuth2) -> None:
    assert isinstance(github, RedirectConnector)
    assert github.brand == "github"


def test_takes_the_verified_primary_email_and_the_number_that_never_changes(github: OAuth2, upstream: Upstream) -> None:
    who = sign_in(github, upstream)

    assert (who.external_id, who.username) == ("583231", "octocat")
    assert (who.email, who.email_verified) == ("octocat@x.example", True)


@pytest.mark.attack("FD12")
def test_a_primary_email_that_is_not_verified_is_none(github: OAuth2, upstream: Upstream) -> None:
    upstream.pages["/emails"] = [{"email": "victim@x.example", "primary": True, "verified": False}]

    who = sign_in(github, upstream)

    assert (who.email, who.email_verified) == (None, False)


@pytest.mark.spec("RFC 7636 section 4.3")
def test_asks_with_pkce_and_state(github: OAuth2) -> None:
    asked = parse_qs(urlsplit(github.begin(BACK, fresh=True).url).query)

    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["state"][0]) >= 43
    assert "nonce" not in asked
    assert "prompt" not in asked


def test_nobody_knows_when_somebody_signed_in_unless_the_operator_does(github: OAuth2, upstream: Upstream) -> None:
    assert not github.fresh
    assert sign_in(github, upstream).proved_ago is None
    asking = replace(github, common=replace(github.common, fresh=Fresh.BELIEVED))
    assert asking.fresh
    assert sign_in(asking, upstream).proved_ago == 0


WRONG: dict[str, Callable[[Upstream], Any]] = {
    "no such person": lambda up: up.person.pop("id"),
    "an id that is a list": lambda up: up.person.update(id=[1]),
}


@pytest.mark.attack("FD17")
@pytest.mark.parametrize("wrong", WRONG)
def test_refuses_user_info_that_names_nobody(github: OAuth2, upstream: Upstream, wrong: str) -> None:
    WRONG[wrong](upstream)

    with pytest.raises(NotSignedIn) as refused:
        sign_in(github, upstream)

    assert refused.value.outcome is Outcome.UNTRUSTED


@pytest.mark.attack("F15")
@pytest.mark.parametrize("path", ["/token", "/userinfo", "/emails"])
def test_a_provider_that_fails_signs_nobody_in(github: OAuth2, upstream: Upstream, path: str) -> None:
    upstream.answers.status = {path: 500}

    with pytest.raises(NotSignedIn) as refused:
        sign_in(github, upstream)

    assert refused.value.outcome is Outcome.UNAVAILABLE


@pytest.mark.attack("FD17")
@pytest.mark.parametrize("wrong", [{"access_token": 7}, {"token_type": "mac"}, {"access_token": None}], ids=str)
def test_refuses_a_token_that_is_none(github: OAuth2, upstream: Upstream, wrong: dict[str, object]) -> None:
    upstream.answers.token = lambda honest: {**honest, **wrong}

    with pytest.raises(NotSignedIn) as refused:
        sign_in(github, upstream)

    assert refused.value.code == "token endpoint gave no access token"


@pytest.mark.attack("FD15")
def test_refuses_an_answer_with_another_state(github: OAuth2, upstream: Upstream) -> None:
    upstream.answers.redirect = lambda params: {**params, "state": "another"}

    with pytest.raises(NotSignedIn):
        sign_in(github, upstream)


@pytest.mark.parametrize("preset", ["github", "facebook", "linkedin", "discord"])
def test_a_preset_needs_an_id_and_a_secret_alone(preset: str) -> None:
    config = {"preset": preset, "client_id": "x"}

    made = OAuth2.make(Made(name=preset, config=config, secrets={"client_secret": "s"}))

    assert made.begin(BACK).url.startswith("https://")
    with pytest.raises(Misconfigured):
        OAuth2.make(Made(name=preset, config=config, secrets={}))


@pytest.mark.parametrize(
    "wrong", [{"token_endpoint": "http://x.example/"}, {"documents": {"a": "ftp://x"}}, {"misspelt": 1}], ids=str
)
def test_refuses_a_configuration_that_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(Misconfigured):
        OAuth2.make(
            Made(
                name="x",
                config={"preset": "github", "client_id": "x", **wrong},
                secrets={"client_secret": "s"},
            )
        )


def test_a_test_says_whether_the_provider_can_be_reached(github: OAuth2, upstream: Upstream) -> None:
    assert [each.passed for each in github.examine("octocat")] == [True, True]
    upstream.answers.status = {"/token": 302}
    assert [each.passed for each in github.examine(None)] == [False]
