"""What comes next in a sign-in: a pure function, so each rule is one line of facts."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.endpoints.authorize import flow
from idp.endpoints.authorize.flow import Asker, Policy, Progress, Situation, Standing, Step
from idp.protocol.claims import ClaimsRequest
from idp.protocol.errors import (
    AccessDenied,
    ConsentRequired,
    LoginRequired,
    ProtocolError,
    UnmetAuthenticationRequirements,
)
from idp.protocol.params import AuthorizeRequest

NOW = dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC)
SCOPES = {"https://id.example": ("openid", "email")}
REQUEST = AuthorizeRequest(
    client_id="web-app",
    redirect_uri="https://app.example/cb",
    response_type="code",
    response_mode="query",
    scope=("openid", "email"),
)
HOUR_OLD = Standing(session_id="s1", account_id="ada", auth_time=NOW - dt.timedelta(hours=1), acr="aal1")
INSIDE = Progress(session_id="s1", authenticated=True, password_at=NOW)
CALM = Situation(request=REQUEST, asker=Asker(require_consent=False), standing=HOUR_OLD, policy=Policy(scopes=SCOPES))


def asked(**wishes: Any) -> AuthorizeRequest:
    if "claims" in wishes:
        wishes["claims"] = ClaimsRequest.parse(wishes["claims"])
    if "prompt" in wishes:
        wishes["prompt"] = frozenset(wishes["prompt"].split())
    return replace(REQUEST, **wishes)


def step(situation: Situation = CALM, **changes: Any) -> Step:
    return flow.next_step(replace(situation, **changes), NOW)


def policy(**facts: Any) -> Policy:
    return Policy(**{"scopes": SCOPES, **facts})


def test_a_known_person_goes_straight_back() -> None:
    assert step() is Step.RESPOND


def test_an_unknown_person_signs_in() -> None:
    assert step(standing=None, policy=flow.NOBODY) is Step.LOGIN


@pytest.mark.attack("AZ18")
@pytest.mark.spec("OpenID Connect Core section 3.1.2.6")
def test_prompt_none_without_a_session_is_login_required() -> None:
    with pytest.raises(LoginRequired):
        step(standing=None, request=asked(prompt="none"))


@pytest.mark.spec("OpenID Connect Core section 3.1.2.6")
def test_prompt_none_with_a_session_is_silent() -> None:
    assert step(request=asked(prompt="none")) is Step.RESPOND


@pytest.mark.attack("AZ20")
@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
@pytest.mark.parametrize("wishes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": 0}, {"max_age": 1}])
def test_a_wish_for_a_new_sign_in_is_answered_by_one_and_then_fulfilled(wishes: dict[str, Any]) -> None:
    assert step(request=asked(**wishes)) is Step.LOGIN
    assert step(request=asked(**wishes), progress=INSIDE) is Step.RESPOND


@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
@pytest.mark.parametrize(("max_age", "expected"), [(3599, Step.LOGIN), (3600, Step.RESPOND), (10_000, Step.RESPOND)])
def test_max_age_counts_the_seconds_since_the_sign_in(max_age: int, expected: Step) -> None:
    assert step(request=asked(max_age=max_age)) is expected


def test_prompt_none_with_too_old_a_sign_in_is_login_required() -> None:
    with pytest.raises(LoginRequired):
        step(request=asked(prompt="none", max_age=1))


def test_a_sign_in_of_another_session_does_not_count_in_here() -> None:
    elsewhere = replace(INSIDE, session_id="s2")
    assert step(request=asked(prompt="login"), progress=elsewhere) is Step.LOGIN


@pytest.mark.attack("AZ21")
@pytest.mark.parametrize("wishes", [{"subject": "grace"}, {"claims": '{"id_token":{"sub":{"value":"grace"}}}'}])
def test_a_named_person_is_waited_for_and_nobody_else_is_taken(wishes: dict[str, Any]) -> None:
    request = asked(**wishes)
    assert step(request=request) is Step.LOGIN
    with pytest.raises(LoginRequired):
        step(request=request, progress=INSIDE)
    with pytest.raises(LoginRequired):
        step(request=replace(request, prompt=frozenset({"none"})))


@pytest.mark.attack("AZ21")
@pytest.mark.parametrize("wishes", [{"subject": "ada"}, {"claims": '{"userinfo":{"sub":{"values":["x","ada"]}}}'}])
def test_the_named_person_goes_on(wishes: dict[str, Any]) -> None:
    assert step(request=asked(**wishes)) is Step.RESPOND


def test_a_required_second_factor_is_asked_for() -> None:
    assert step(policy=policy(mfa_required=True, has_factor=True)) is Step.SECOND_FACTOR


def test_a_strong_session_is_not_asked_twice() -> None:
    strong = replace(HOUR_OLD, acr="aal2")
    assert step(standing=strong, policy=policy(mfa_required=True, has_factor=True)) is Step.RESPOND


def test_prompt_none_with_too_weak_a_session_is_login_required() -> None:
    with pytest.raises(LoginRequired):
        step(request=asked(prompt="none"), policy=policy(mfa_required=True, has_factor=True))


@pytest.mark.attack("LG17")
def test_a_first_factor_is_added_only_soon_after_the_password_of_this_sign_in() -> None:
    demanded = policy(mfa_required=True)
    assert step(policy=demanded, progress=INSIDE) is Step.ENROL
    assert step(policy=demanded) is Step.LOGIN
    stale = replace(INSIDE, password_at=NOW - dt.timedelta(minutes=5, seconds=1))
    assert step(policy=demanded, progress=stale) is Step.LOGIN


@pytest.mark.attack("AZ22")
@pytest.mark.parametrize(
    "wishes",
    [
        {"acr_values": ("aal2",)},
        {"acr_values": ("aal3", "aal2")},
        {"claims": '{"id_token":{"acr":{"essential":true,"value":"aal2"}}}'},
        {"claims": '{"id_token":{"acr":{"values":["aal2"]}}}'},
    ],
)
def test_a_wished_strength_is_asked_of_the_person_or_refused(wishes: dict[str, Any]) -> None:
    request = asked(**wishes)
    assert step(request=request, policy=policy(has_factor=True)) is Step.SECOND_FACTOR
    assert step(request=request, progress=INSIDE) is Step.ENROL
    with pytest.raises(UnmetAuthenticationRequirements):
        step(request=request, policy=policy(may_enrol=False))


@pytest.mark.attack("AZ22")
def test_a_strength_by_default_of_the_client_counts() -> None:
    strict = Asker(require_consent=False, default_acr_values=("aal2",))
    assert step(asker=strict, policy=policy(has_factor=True)) is Step.SECOND_FACTOR
    assert step(asker=strict, request=asked(acr_values=("aal1",)), policy=policy(has_factor=True)) is Step.RESPOND


@pytest.mark.attack("AZ22")
def test_only_unknown_strengths_are_no_demand_but_an_essential_one_is_refused() -> None:
    assert step(request=asked(acr_values=("urn:mace:silver", "aal3"))) is Step.RESPOND
    with pytest.raises(UnmetAuthenticationRequirements):
        step(request=asked(claims='{"id_token":{"acr":{"essential":true,"values":["urn:mace:silver"]}}}'))
    assert step(request=asked(claims='{"id_token":{"acr":{"essential":true}}}')) is Step.RESPOND


@pytest.mark.spec("OpenID Connect Core section 5.5.1.1")
@pytest.mark.parametrize(
    ("wishes", "actual", "told"),
    [
        ({}, "aal2", "aal2"),
        ({"acr_values": ("aal1",)}, "aal2", "aal1"),
        ({"acr_values": ("aal1", "aal2")}, "aal2", "aal2"),
        ({"acr_values": ("other",)}, "aal1", "aal1"),
        ({"claims": '{"id_token":{"acr":{"essential":true,"values":["aal1"]}}}'}, "aal2", "aal1"),
    ],
)
def test_the_strength_is_told_in_the_words_of_the_asker(wishes: dict[str, Any], actual: str, told: str) -> None:
    assert flow.told_acr(asked(**wishes), actual) == told


def test_nothing_that_may_be_granted_is_access_denied() -> None:
    with pytest.raises(AccessDenied):
        step(policy=policy(scopes={}))


ASKING = Asker(require_consent=True)


def test_consent_is_asked_once_and_remembered() -> None:
    assert step(asker=ASKING) is Step.CONSENT
    assert step(asker=ASKING, policy=policy(remembered=SCOPES)) is Step.RESPOND


@pytest.mark.attack("AZ31")
def test_what_became_possible_after_the_yes_is_asked_for() -> None:
    allowed = Progress(consented=True)
    assert step(asker=ASKING, progress=allowed, policy=policy(remembered=SCOPES)) is Step.RESPOND
    wider = {**SCOPES, "https://orders.example": ("orders:write",)}
    assert step(asker=ASKING, progress=allowed, policy=policy(scopes=wider, remembered=SCOPES)) is Step.CONSENT


ANYBODY = Asker(require_consent=True, impersonable=True)


@pytest.mark.spec("RFC 8252 section 8.6")
@pytest.mark.parametrize("required", [True, False])
def test_a_client_that_anybody_can_play_gets_nothing_behind_the_persons_back(*, required: bool) -> None:
    known = policy(remembered=SCOPES)
    anybody = replace(ANYBODY, require_consent=required)
    assert step(asker=anybody, policy=known) is Step.CONSENT
    assert step(asker=anybody, policy=known, progress=Progress(consented=True)) is Step.RESPOND
    with pytest.raises(ConsentRequired):
        step(asker=anybody, policy=known, request=asked(prompt="none"))


@pytest.mark.spec("RFC 8252 section 8.6")
def test_who_has_just_signed_in_for_such_a_client_is_not_asked_twice() -> None:
    assert step(asker=ANYBODY, policy=policy(remembered=SCOPES), progress=INSIDE) is Step.RESPOND
    elsewhere = replace(INSIDE, session_id="another")
    assert step(asker=ANYBODY, policy=policy(remembered=SCOPES), progress=elsewhere) is Step.CONSENT


def test_a_wider_wish_is_asked_anew() -> None:
    assert step(asker=ASKING, policy=policy(remembered={"https://id.example": ("openid",)})) is Step.CONSENT


@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
def test_prompt_consent_asks_even_when_it_is_remembered_or_not_required() -> None:
    wish = asked(prompt="consent")
    assert step(request=wish, policy=policy(remembered=SCOPES)) is Step.CONSENT
    assert step(request=wish, progress=Progress(consented=True)) is Step.RESPOND


@pytest.mark.attack("AZ19")
@pytest.mark.spec("OpenID Connect Core section 3.1.2.6")
def test_prompt_none_that_needs_consent_is_consent_required() -> None:
    with pytest.raises(ConsentRequired):
        step(asker=ASKING, request=asked(prompt="none"))


@pytest.mark.spec("OpenID Connect Core section 11")
def test_offline_access_needs_a_remembered_consent_or_a_client_that_needs_none() -> None:
    offline = {"https://id.example": ("openid", "offline_access")}
    assert step(asker=ASKING, policy=policy(scopes=offline, remembered=SCOPES)) is Step.CONSENT
    assert step(policy=policy(scopes=offline)) is Step.RESPOND


@given(
    prompt=st.sets(st.sampled_from(["none", "login", "consent", "select_account"])),
    max_age=st.none() | st.integers(0, 7200),
    acr_values=st.lists(st.sampled_from(["aal1", "aal2", "aal3", "x"])).map(tuple),
    standing=st.none() | st.just(HOUR_OLD) | st.just(replace(HOUR_OLD, acr="aal2")),
    inside=st.booleans(),
    consented=st.booleans(),
    required=st.booleans(),
    factor=st.booleans(),
)
def test_a_code_is_given_only_when_every_demand_is_met(
    *, prompt: set[str], max_age: int | None, acr_values: tuple[str, ...], standing: Standing | None, inside: bool,
    consented: bool, required: bool, factor: bool,
) -> None:  # fmt: skip
    request = replace(REQUEST, prompt=frozenset(prompt), max_age=max_age, acr_values=acr_values)
    progress = Progress(session_id="s1" if inside else None, authenticated=inside, consented=consented)
    at = Situation(
        request=request,
        asker=ASKING,
        progress=progress,
        standing=standing,
        policy=policy(mfa_required=required, has_factor=factor),
    )
    try:
        reached = flow.next_step(at, NOW)
    except ProtocolError:
        return
    assert reached is Step.RESPOND or "none" not in prompt
    if reached is Step.RESPOND:
        assert standing is not None
        assert consented
        assert inside or not prompt & {"login", "select_account"}
        assert inside or max_age is None or max_age >= 3600
        assert standing.acr == "aal2" or not required


@pytest.mark.attack("FD12", "LG16")
def test_linking_is_asked_after_a_password_of_this_sign_in_and_the_second_factor_if_there_is_one() -> None:
    waiting = replace(INSIDE, link_waits=True)
    strong = replace(HOUR_OLD, acr="aal2")

    assert step(progress=waiting) is Step.LINK
    assert step(progress=waiting, policy=policy(has_factor=True)) is Step.SECOND_FACTOR
    assert step(progress=waiting, policy=policy(has_factor=True), standing=strong) is Step.LINK
    assert step(progress=replace(waiting, password_at=None)) is Step.RESPOND
    assert step(progress=replace(waiting, session_id="another")) is Step.RESPOND
    assert step(progress=INSIDE) is Step.RESPOND
