from __future__ import annotations

import math

import pytest

from idp.jose.keys import ALGS, KeySet, SigningKey
from idp.jose.sign import sign
from idp.jose.strict import JoseError, split
from idp.jose.verify import verify


@pytest.mark.spec("RFC 8725 section 3.11")
@pytest.mark.parametrize("alg", ALGS)
def test_says_alg_kid_and_typ(alg: str) -> None:
    key = SigningKey.generate(alg)
    token = sign({"sub": "Zoë"}, key, typ="at+jwt")
    assert split(token).header == {"alg": alg, "typ": "at+jwt", "kid": key.kid}
    keys = KeySet.from_own([key.public_jwk()])
    assert verify(token, keys, typ=frozenset({"at+jwt"}), algs=frozenset({alg})).claims == {"sub": "Zoë"}


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), b"bytes", "\ud800"])
def test_signs_nothing_that_is_not_json(value: object) -> None:
    with pytest.raises(JoseError) as caught:
        sign({"sub": value}, SigningKey.generate("ES256"), typ="JWT")
    assert caught.value.reason == "claims are not JSON"


@pytest.mark.attack("JO14")
def test_signs_nothing_that_would_be_too_long_to_accept() -> None:
    with pytest.raises(JoseError) as caught:
        sign({"sub": "x" * 16_384}, SigningKey.generate("ES256"), typ="JWT")
    assert caught.value.reason == "token would be too long"
