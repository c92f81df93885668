from __future__ import annotations

import pytest

from idp.jose.dpop import verify_proof
from idp.jose.keys import ALGS, SigningKey
from idp.jose.prove import prove
from idp.jose.strict import JoseError, loads, split

ADDRESS = "https://idp.example/token"


@pytest.mark.spec("RFC 9449 section 4.2")
@pytest.mark.parametrize("alg", ALGS)
def test_our_proofs_are_good_ones(alg: str) -> None:
    key = SigningKey.generate(alg)
    made = prove(key, method="POST", address=ADDRESS + "?a=b#c", now=1_000.9, access_token="a.b.c", nonce="n")
    found = verify_proof(made, method="POST", addresses=(ADDRESS,), now=1_001.0, access_token="a.b.c")
    assert (found.jkt, found.nonce, found.made) == (key.kid, "n", 1_000)
    assert loads(split(made).payload)["htu"] == ADDRESS
    assert set(split(made).header["jwk"]) <= {"kty", "crv", "x", "y", "n", "e"}
    with pytest.raises(JoseError):
        verify_proof(made, method="POST", addresses=(ADDRESS,), now=1_001.0, access_token="a.b.d")


def test_what_is_not_asked_for_is_not_there() -> None:
    key = SigningKey.generate("ES256")
    first, second = (loads(split(prove(key, method="GET", address=ADDRESS, now=5.0)).payload) for _ in range(2))
    assert set(first) == {"jti", "htm", "htu", "iat"}
    assert first["jti"] != second["jti"]
