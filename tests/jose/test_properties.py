"""Whatever comes in, the parser answers with a value or a JoseError, and never with two readings."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from idp.jose.access_token import verify_access_token
from idp.jose.keys import ALGS, KeySet, SigningKey
from idp.jose.sign import sign
from idp.jose.strict import JoseError, b64decode, b64encode, loads, split
from idp.jose.verify import verify
from tests.jose.forge import ALL, AT, AUDIENCE, ISSUER, NOW, Workshop, b64

WORKSHOP = Workshop()
OWN = KeySet.from_own(WORKSHOP.jwks())
OURS = {alg: SigningKey.generate(alg) for alg in ALGS}
OUR_SET = KeySet.from_own([key.public_jwk() for key in OURS.values()])
GOOD = {alg: WORKSHOP.token(alg=alg) for alg in ALGS}

patient = settings(deadline=None)  # the machine may be busy; time is judged elsewhere

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | text
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(text, values, max_size=6)
json_like = st.text(st.sampled_from('{}[]":,\\ud8a0 1eE+-.NaNtrue\x00\ufeff'), max_size=60).map(str.encode)


def parse(raw: bytes) -> dict[str, object] | None:
    try:
        return loads(raw)
    except JoseError:
        return None


@patient
@given(st.binary(max_size=200) | json_like)
def test_any_bytes_are_an_object_or_a_refusal(raw: bytes) -> None:
    value = parse(raw)
    assert value is None or json.loads(raw.decode("utf-8")) == value


@patient
@given(value=objects, escaped=st.booleans())
def test_json_round_trip(value: dict[str, Any], *, escaped: bool) -> None:
    assert loads(json.dumps(value, ensure_ascii=escaped).encode()) == value


@patient
@given(st.binary(max_size=100))
def test_base64url_round_trip(value: bytes) -> None:
    assert b64decode(b64encode(value)) == value


@patient
@given(st.text("ABab01-_+/= \n.", max_size=12).map(str.encode) | st.binary(max_size=12))
def test_base64url_has_one_spelling(raw: bytes) -> None:
    try:
        value = b64decode(raw)
    except JoseError:
        return
    assert b64encode(value) == raw


@patient
@given(st.text(max_size=200) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
def test_any_text_is_a_token_or_a_refusal(token: str) -> None:
    try:
        compact = split(token)
    except JoseError:
        return
    assert token.encode() == compact.signing_input + b"." + b64encode(compact.signature)


@patient
@given(st.sampled_from(ALGS), st.data())
def test_a_token_changed_in_one_character_is_refused(alg: str, data: st.DataObject) -> None:
    good = GOOD[alg]
    place = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.characters())
    assume(other != good[place])
    changed = good[:place] + other + good[place + 1 :]
    try:
        verify(changed, OWN, typ=AT, algs=ALL)
    except JoseError:
        return
    raise AssertionError("a changed token was accepted")


@patient
@given(objects, st.sampled_from(ALGS))
def test_any_header_is_accepted_or_refused_and_never_breaks(members: dict[str, Any], alg: str) -> None:
    token = WORKSHOP.with_header(alg=alg, **members) if "alg" not in members else WORKSHOP.token(members)
    with suppress(JoseError):
        verify(token, OWN, typ=None, algs=ALL)


@patient
@given(
    st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "aud", "iss", "sub", "scope", "jti", "client_id"]), values)
)
def test_any_claims_are_accepted_or_refused_and_never_break(claims: dict[str, Any]) -> None:
    with suppress(JoseError):
        verify_access_token(
            WORKSHOP.token(claims=claims), OWN, issuer=ISSUER, audiences=frozenset({AUDIENCE}), algs=ALL, now=NOW
        )


@patient
@given(st.sampled_from(ALGS), st.binary(max_size=300))
def test_any_signature_bytes_are_refused(alg: str, signature: bytes) -> None:
    head, payload, _ = GOOD[alg].split(".")
    try:
        verify(f"{head}.{payload}.{b64(signature)}", OWN, typ=AT, algs=ALL)
    except JoseError:
        return
    raise AssertionError("made-up bytes were accepted")


@patient
@given(objects, st.sampled_from(ALGS))
def test_what_we_sign_comes_back_unchanged(claims: dict[str, Any], alg: str) -> None:
    verified = verify(sign(claims, OURS[alg], typ="JWT"), OUR_SET, typ=frozenset({"jwt"}), algs=frozenset({alg}))
    assert verified.claims == claims
    assert verified.header == {"alg": alg, "typ": "JWT", "kid": OURS[alg].kid}


@patient
@given(objects | st.dictionaries(st.just("keys"), st.lists(objects | values, max_size=4)))
def test_any_key_set_is_read_or_refused(document: dict[str, Any]) -> None:
    with suppress(JoseError):
        KeySet.from_remote(document)
