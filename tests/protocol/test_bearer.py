"""Bearer credentials as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import bearer
from idp.protocol.errors import InvalidRequest


@pytest.mark.spec("RFC 6750 section 2.1")
@pytest.mark.parametrize(
    "header",
    ["Bearer abc.def-_~+/==", "bearer abc.def-_~+/==", "BEARER   abc.def-_~+/== "],
)
def test_reads_a_token_whatever_the_case_of_the_scheme(header: str) -> None:
    assert bearer.read([header]) == bearer.Credential(token="abc.def-_~+/==")


@pytest.mark.spec("RFC 9449 section 7.1")
@pytest.mark.parametrize("header", ["DPoP abc", "dpop abc", "DPOP  abc "])
def test_a_scheme_that_promises_a_proof_is_told_apart(header: str) -> None:
    assert bearer.read([header]) == bearer.Credential(token="abc", dpop=True)


def test_a_credential_does_not_show_its_token() -> None:
    assert "abc" not in repr(bearer.read(["Bearer abc"]))


@pytest.mark.spec("RFC 6750 section 2.2")
def test_reads_a_token_from_a_form() -> None:
    assert bearer.read([], form=["abc"]) == bearer.Credential(token="abc")


@pytest.mark.parametrize("headers", [[], ["Basic abc"], [""]])
def test_no_bearer_token_is_none(headers: list[str]) -> None:
    assert bearer.read(headers) is None


@pytest.mark.attack("GW16")
@pytest.mark.attack("IN9")
@pytest.mark.spec("RFC 6750 section 2")
@pytest.mark.parametrize(
    ("headers", "form"),
    [
        (["Bearer a", "Bearer a"], []),
        (["Bearer a"], ["a"]),
        (["Basic a"], ["a"]),
        ([], ["a", "a"]),
    ],
)
def test_two_credentials_are_refused(headers: list[str], form: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        bearer.read(headers, form=form)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer é",
        "Bearer a=b",
        "Bearer " + "a" * 16_385,
    ],
)
def test_a_malformed_token_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest):
        bearer.read([header])


@given(
    st.lists(st.text(max_size=30), max_size=2),
    st.lists(st.text(max_size=30), max_size=2),
)
def test_any_text_is_a_token_none_or_a_refusal(headers: list[str], form: list[str]) -> None:
    try:
        found = bearer.read(headers, form=form)
    except InvalidRequest:
        return
    assert found is None or bearer.TOKEN.fullmatch(found.token)


@pytest.mark.spec("RFC 6750 section 3")
def test_a_challenge_without_an_error_only_asks() -> None:
    assert bearer.challenge() == "Bearer"
    assert bearer.challenge(error="invalid_token", description="it has expired", scope="openid") == (
        'Bearer scope="openid", error="invalid_token", error_description="it has expired"'
    )
    assert bearer.challenge(scheme="DPoP", algs="ES256") == 'DPoP algs="ES256"'


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\r\nb", "é"])
def test_a_challenge_never_carries_what_needs_escaping(text: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        bearer.challenge(description=text)
