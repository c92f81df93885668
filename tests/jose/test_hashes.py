from __future__ import annotations

import hashlib

import pytest

from idp.jose.hashes import half_hash
from idp.jose.strict import JoseError
from tests.jose.forge import b64


@pytest.mark.spec("OpenID Connect Core section 3.1.3.6")
def test_gives_the_published_example() -> None:
    assert half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"


@pytest.mark.parametrize("alg", ["ES256", "PS256"])
def test_uses_the_hash_of_the_algorithm(alg: str) -> None:
    assert half_hash("code", alg) == b64(hashlib.sha256(b"code").digest()[:16])


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_uses_sha512_for_ed25519(alg: str) -> None:
    assert half_hash("code", alg) == b64(hashlib.sha512(b"code").digest()[:32])


@pytest.mark.attack("JO24")
@pytest.mark.parametrize("alg", ["none", "", "HS256", "ES257", "Ed448", "rs256"])
def test_an_unknown_algorithm_fails_closed(alg: str) -> None:
    with pytest.raises(JoseError):
        half_hash("code", alg)


@pytest.mark.attack("JO24")
def test_a_value_that_is_no_token_fails_closed() -> None:
    with pytest.raises(JoseError):
        half_hash("cod\u00e9", "ES256")
