"""Requests at /authorize and /token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import errors
from idp.protocol.params import (
    AuthorizeRequest,
    AuthorizeTarget,
    ClientFacts,
    TokenRequest,
)

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CONFIDENTIAL = ClientFacts(may_use_code=True, require_pkce=False)
PUBLIC = ClientFacts(may_use_code=True, require_pkce=True)
GOOD = {
    "client_id": "web-app",
    "redirect_uri": "https://app.example/cb",
    "response_type": "code",
    "scope": "openid email",
    "state": "s t&=%\r\n<é>",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
NAMES = [
    *GOOD,
    "prompt",
    "max_age",
    "claims",
    "resource",
    "audience",
    "nonce",
    "request",
    "display",
    "other",
]


def parse(**changes: str | None) -> AuthorizeRequest:
    pairs = [(name, value) for name, value in {**GOOD, **changes}.items() if value is not None]
    return AuthorizeRequest.parse(pairs, PUBLIC)


def test_keeps_what_was_asked() -> None:
    request = parse(
        nonce="n", prompt="login", max_age="0", login_hint="ada", id_token_hint="x.y.z", acr_values="aal2 aal1 aal2",
        ui_locales="de en", display="popup", claims='{"userinfo":{"name":{"essential":true}}}', audience="https://a.example",
    )  # fmt: skip
    assert request.state == GOOD["state"]
    assert request.scope == ("openid", "email")
    assert request.acr_values == ("aal2", "aal1")
    assert request.ui_locales == ("de", "en")
    assert (request.prompt, request.max_age, request.display) == ({"login"}, 0, "popup")
    assert request.claims.userinfo["name"].essential
    assert request.targets() == {"https://a.example"}
    assert parse().targets() == frozenset()


@pytest.mark.spec("OpenID Connect Core section 15.1")
def test_unknown_parameters_and_display_values_are_no_reason_to_refuse() -> None:
    request = parse(display="hologram", claims_locales="xx", something="else", ui_locales="tlh")
    assert request.display is None


@pytest.mark.attack("AZ11")
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "state": st.text(
                st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
                max_size=30,
            ),
            "nonce": st.text("abc", max_size=60),
            "max_age": st.integers(0, 10**8).map(str),
            "prompt": st.sampled_from(["none", "login consent", "select_account"]),
            "claims": st.sampled_from(['{"id_token":{"sub":{"value":"x"},"acr":null}}', '{"userinfo":null}']),
            "resource": st.just("https://orders.example"),
        },
    )
)
def test_a_frozen_request_comes_back_as_it_was(changes: dict[str, str]) -> None:
    request = parse(**changes)
    assert AuthorizeRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.text(max_size=20) | st.sampled_from(list(GOOD.values())),
        )
    )
)
def test_any_parameters_are_a_request_or_a_refusal(
    pairs: list[tuple[str, str]],
) -> None:
    try:
        target = AuthorizeTarget.parse(pairs)
        request = AuthorizeRequest.parse(pairs, CONFIDENTIAL)
    except errors.ProtocolError:
        return
    assert (request.client_id, request.redirect_uri, request.state) == (
        target.client_id, target.redirect_uri, target.state,
    )  # fmt: skip


def test_a_hint_is_traded_for_the_person_it_names() -> None:
    request = parse(id_token_hint="x.y.z").naming("ada")
    assert (request.id_token_hint, request.subject) == (None, "ada")
    assert parse(subject="mallory").subject is None


@pytest.mark.attack("AZ5")
@pytest.mark.attack("AZ9")
@pytest.mark.parametrize(
    "pairs",
    [
        [], [("client_id", "a")], [("redirect_uri", "https://a")], [("client_id", ""), ("redirect_uri", "https://a")],
        [("client_id", "a"), ("client_id", "a"), ("redirect_uri", "https://a")],
        [("client_id", "a"), ("redirect_uri", "https://a"), ("redirect_uri", "https://b")],
        [("client_id", "a\0"), ("redirect_uri", "https://a")],
        [("client_id", "a"), ("redirect_uri", "https://" + "a" * 4096)],
    ],
)  # fmt: skip
def test_without_one_client_and_one_address_there_is_no_target(
    pairs: list[tuple[str, str]],
) -> None:
    with pytest.raises(errors.InvalidRequest):
        AuthorizeTarget.parse(pairs)


@pytest.mark.attack("AZ9")
@pytest.mark.parametrize("states", [["a", "b"], ["x" * 65_536], ["a\0"], []])
def test_a_state_that_is_not_one_fit_value_is_not_echoed(states: list[str]) -> None:
    pairs = [
        ("client_id", "a"),
        ("redirect_uri", "https://a"),
        *[("state", state) for state in states],
    ]
    assert AuthorizeTarget.parse(pairs).state is None


def test_a_target_knows_its_state() -> None:
    assert AuthorizeTarget.parse(list(GOOD.items())).state == GOOD["state"]


@pytest.mark.attack("AZ9")
@pytest.mark.parametrize("name", ["scope", "state", "nonce", "unknown"])
def test_refuses_a_repeated_parameter(name: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        AuthorizeRequest.parse([*GOOD.items(), (name, "x"), (name, "x")], PUBLIC)


@pytest.mark.attack("AZ10")
@pytest.mark.parametrize("value", ["token", "id_token", "code id_token", "none", "CODE"])
def test_refuses_every_response_type_but_code(value: str) -> None:
    with pytest.raises(errors.UnsupportedResponseType):
        parse(response_type=value)


@pytest.mark.attack("AZ10")
def test_refuses_code_to_a_client_that_may_not_use_it() -> None:
    with pytest.raises(errors.UnsupportedResponseType):
        AuthorizeRequest.parse(list(GOOD.items()), ClientFacts(may_use_code=False, require_pkce=False))


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"request": "x.y.z"}, errors.RequestNotSupported),
        ({"request_uri": "https://x"}, errors.RequestUriNotSupported),
        ({"registration": "{}"}, errors.RegistrationNotSupported),
        ({"response_type": None}, errors.InvalidRequest),
        ({"response_mode": "form_post"}, errors.InvalidRequest),
        ({"response_mode": "fragment"}, errors.InvalidRequest),
        (
            {"code_challenge": None, "code_challenge_method": None},
            errors.InvalidRequest,
        ),
        ({"code_challenge_method": "plain"}, errors.InvalidRequest),
        ({"prompt": "none login"}, errors.InvalidRequest),
        ({"max_age": "-1"}, errors.InvalidRequest),
        ({"max_age": "1.5"}, errors.InvalidRequest),
        ({"max_age": "٣"}, errors.InvalidRequest),
        ({"max_age": "9" * 10}, errors.InvalidRequest),
        ({"claims": "{"}, errors.InvalidRequest),
        ({"state": "x" * 65_536}, errors.InvalidRequest),
        ({"nonce": "\0"}, errors.InvalidRequest),
        ({"scope": 'a"b'}, errors.InvalidScope),
        ({"resource": "orders"}, errors.InvalidTarget),
        ({"resource": "/orders"}, errors.InvalidTarget),
        ({"resource": "https://orders.example/#x"}, errors.InvalidTarget),
        ({"resource": "https://[zz"}, errors.InvalidTarget),
        ({"resource": "https:"}, errors.InvalidTarget),
        ({"resource": "https://" + "a" * 5000}, errors.InvalidTarget),
    ],
)
def test_each_fault_has_its_own_name(changes: dict[str, str | None], refusal: type[errors.ProtocolError]) -> None:
    with pytest.raises(refusal):
        parse(**changes)


@pytest.mark.attack("AZ13")
def test_a_confidential_client_may_go_without_a_challenge() -> None:
    pairs = [(name, value) for name, value in GOOD.items() if not name.startswith("code_challenge")]
    assert AuthorizeRequest.parse(pairs, CONFIDENTIAL).code_challenge is None


@pytest.mark.spec("RFC 8707 section 2")
def test_several_resources_may_be_named_but_not_endlessly() -> None:
    many = [("resource", f"https://{number}.example") for number in range(11)]
    assert len(AuthorizeRequest.parse([*GOOD.items(), *many[:10]], PUBLIC).targets()) == 10
    with pytest.raises(errors.InvalidTarget):
        AuthorizeRequest.parse([*GOOD.items(), *many], PUBLIC)


def token(**values: Any) -> TokenRequest:
    return TokenRequest.parse([("grant_type", "authorization_code"), *values.items()])


def test_a_token_request_gives_what_a_grant_asks_for() -> None:
    request = token(
        code="c",
        scope="a b",
        resource="https://a.example",
        audience="https://b.example",
        empty="",
    )
    assert request.require("code") == "c"
    assert request.get("empty") is None
    assert request.scope() == ("a", "b")
    assert request.targets() == {"https://a.example", "https://b.example"}
    assert token().targets() == frozenset()
    with pytest.raises(errors.InvalidRequest):
        request.require("code_verifier")


@pytest.mark.attack("LO1")
def test_a_token_request_never_shows_its_secrets() -> None:
    assert "geheim" not in repr(token(client_secret="geheim"))


@pytest.mark.spec("RFC 6749 section 3.2")
@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("grant_type", "")],
        [("grant_type", "a"), ("code", "1"), ("code", "1")],
        [("grant_type", "a"), ("x", "y" * 5000)],
    ],
)
def test_refuses_a_token_request_that_is_not_one(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(errors.InvalidRequest):
        TokenRequest.parse(pairs)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["grant_type", "code", "resource", "scope"]),
            st.text(max_size=10),
        )
    )
)
def test_any_form_is_a_token_request_or_a_refusal(pairs: list[tuple[str, str]]) -> None:
    try:
        request = TokenRequest.parse(pairs)
        request.scope()
    except errors.ProtocolError:
        return
    assert request.grant_type
