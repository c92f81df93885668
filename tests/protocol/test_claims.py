"""Which claims an answer carries."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import claims
from idp.protocol.claims import ClaimsRequest, Wish
from idp.protocol.errors import InvalidRequest

ADDRESS = {
    "formatted": "1 Analytical Row",
    "locality": "London",
    "country": "UK",
    "planet": "Earth",
    "region": "",
}
ADA: dict[str, object] = {
    **dict.fromkeys(claims.BY_SCOPE["profile"], "x"),
    "updated_at": 1_700_000_000.9,
    "email": "ada@example.org",
    "email_verified": True,
    "address": ADDRESS,
    "phone_number": "+44 1",
    "phone_number_verified": False,
    "password": "never",
}
NOTHING = ClaimsRequest()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.spec("OpenID Connect Core section 5.4")
@pytest.mark.parametrize("scope", ["profile", "email", "address", "phone"])
def test_a_scope_asks_for_every_one_of_its_claims(scope: str) -> None:
    told = claims.for_userinfo(ADA, scopes=["openid", scope], asked=NOTHING)
    assert tuple(told) == claims.BY_SCOPE[scope]


@pytest.mark.spec("OpenID Connect Core section 5.1")
def test_claims_have_their_types() -> None:
    told = claims.present(ADA)
    assert told["updated_at"] == 1_700_000_000
    assert told["email_verified"] is True
    assert told["phone_number_verified"] is False
    assert told["address"] == {
        "formatted": "1 Analytical Row",
        "locality": "London",
        "country": "UK",
    }
    assert "password" not in told


@pytest.mark.spec("OpenID Connect Core section 5.3.2")
def test_what_is_null_empty_or_of_a_wrong_type_is_left_out() -> None:
    person = {
        "name": None,
        "nickname": "",
        "address": {"region": ""},
        "website": 7,
        "updated_at": True,
        "email_verified": True,
    }
    assert claims.present(person) == {}
    assert claims.present({"address": "1 Analytical Row"}) == {}


@pytest.mark.spec("OpenID Connect Core section 5.4")
def test_an_id_token_tells_only_what_was_asked_for_it() -> None:
    assert claims.for_id_token(ADA, asked=NOTHING) == {}
    asked = ClaimsRequest.parse('{"id_token":{"email":null,"acr":null,"sub":null}}')
    assert claims.for_id_token(ADA, asked=asked) == {"email": "ada@example.org"}


@pytest.mark.spec("OpenID Connect Core section 5.5")
def test_userinfo_tells_what_was_asked_one_by_one() -> None:
    asked = ClaimsRequest.parse('{"userinfo":{"name":{"essential":true},"unheard_of":null}}')
    assert claims.for_userinfo(ADA, scopes=["openid"], asked=asked) == {"name": "x"}


@pytest.mark.spec("OpenID Connect Core section 5.5.1")
def test_a_claim_asked_for_with_a_value_is_not_told_with_another() -> None:
    asked = ClaimsRequest.parse('{"userinfo":{"name":{"value":"y"},"email":{"values":["z","ada@example.org"]}}}')
    assert claims.for_userinfo(ADA, scopes=["profile"], asked=asked).keys() == {
        *claims.BY_SCOPE["profile"], "email"
    } - {"name"}  # fmt: skip


def test_names_the_constraints_on_a_sign_in() -> None:
    asked = ClaimsRequest.parse(
        '{"id_token":{"acr":{"essential":true,"values":["aal2"]},"sub":{"value":"u1"}},"userinfo":{"sub":{"value":"u2"}}}'
    )
    assert asked.acr() == Wish(essential=True, values=("aal2",))
    assert asked.subjects() == ("u1", "u2")
    assert (NOTHING.acr(), NOTHING.subjects()) == (None, ())


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", '{"userinfo":[]}', '{"userinfo":{"name":1}}', '{"id_token":{"name":{"essential":1}}}',
     '{"id_token":{"name":{"values":"x"}}}', '{"userinfo":{},"userinfo":{}}'],
)  # fmt: skip
def test_refuses_a_malformed_request(text: str) -> None:
    with pytest.raises(InvalidRequest):
        ClaimsRequest.parse(text)


@given(st.dictionaries(st.sampled_from(["userinfo", "id_token", "other"]), json_values))
def test_any_json_is_a_request_or_a_refusal(document: dict[str, object]) -> None:
    try:
        asked = ClaimsRequest.parse(json.dumps(document))
    except InvalidRequest:
        return
    assert ClaimsRequest.from_json(json.loads(json.dumps(asked.to_json()))) == asked


@given(st.dictionaries(st.sampled_from([*claims.STANDARD, "password_hash"]), json_values))
def test_any_profile_tells_only_standard_claims_with_values(
    person: dict[str, object],
) -> None:
    told = claims.for_userinfo(person, scopes=claims.BY_SCOPE, asked=NOTHING)
    assert set(told) <= set(claims.STANDARD)
    assert not [name for name, value in told.items() if value in (None, "", {})]
