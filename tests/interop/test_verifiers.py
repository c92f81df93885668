"""Whoever has only the address of the key set can check our tokens: npm `jose` and PyJWT."""

from __future__ import annotations

import ssl
from typing import Any

import jwt
import pytest

from idp.jose.keys import ALGS
from tests.interop.conftest import AUDIENCES, RESOURCE, Installation, Node, Walks
from tests.services.provider import session

pytestmark = pytest.mark.xdist_group("interop")

METHOD_OF = {"RS256": "client_secret_post", "PS256": "client_secret_basic", "EdDSA": "private_key_jwt", "ES256": "none"}


class Verifiers:
    """Two foreign verifiers, given the key set's address and nothing else."""

    def __init__(self, installation: Installation, foreign: Node) -> None:
        self._foreign = foreign
        self._jwks_uri = f"{installation.issuer}/jwks"
        self._issuer = installation.issuer
        self._keys = jwt.PyJWKClient(
            self._jwks_uri, ssl_context=ssl.create_default_context(cafile=str(installation.authority))
        )

    def by_jose(self, token: str, audience: str, alg: str, **options: Any) -> dict[str, Any]:
        options |= {"issuer": self._issuer, "audience": audience, "algorithms": [alg]}
        return self._foreign.run("verify.mjs", {"jwks_uri": self._jwks_uri, "token": token, "options": options})[0]

    def by_pyjwt(self, token: str, audience: str, alg: str) -> dict[str, Any]:
        key = self._keys.get_signing_key_from_jwt(token)
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[alg], audience=audience, issuer=self._issuer)
        return claims


@pytest.fixture(scope="module")
def verifiers(installation: Installation, foreign: Node) -> Verifiers:
    return Verifiers(installation, foreign)


def access_token(installation: Installation, alg: str) -> str:
    client = installation.clients["service"]
    answer = session(installation.authority).post(
        f"{installation.issuer}/token",
        data={"grant_type": "client_credentials", "resource": AUDIENCES[alg]},
        auth=(client["client_id"], client["client_secret"]),
        timeout=10,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def id_token(walks: Walks, alg: str) -> str:
    return str(walks(METHOD_OF[alg])["the ID token is signed, for this app, and about this sign-in"]["info"]["token"])


@pytest.mark.spec("RFC 9068 section 4")
@pytest.mark.parametrize("alg", ALGS)
def test_both_believe_an_access_token(installation: Installation, verifiers: Verifiers, alg: str) -> None:
    token = access_token(installation, alg)
    told = verifiers.by_jose(token, AUDIENCES[alg], alg, typ="at+jwt", requiredClaims=["client_id", "jti", "exp"])
    assert (told["header"]["alg"], told["claims"]["sub"]) == (alg, "batch")
    assert verifiers.by_pyjwt(token, AUDIENCES[alg], alg) == told["claims"]


@pytest.mark.spec("OpenID Connect Core section 3.1.3.7")
@pytest.mark.parametrize("alg", ALGS)
def test_both_believe_an_id_token(installation: Installation, walks: Walks, verifiers: Verifiers, alg: str) -> None:
    token, audience = id_token(walks, alg), installation.clients[METHOD_OF[alg]]["client_id"]
    told = verifiers.by_jose(token, audience, alg)
    assert (told["header"]["alg"], told["claims"]["aud"]) == (alg, audience)
    assert verifiers.by_pyjwt(token, audience, alg) == told["claims"]


@pytest.mark.parametrize("alg", ALGS)
def test_neither_believes_a_changed_token(installation: Installation, verifiers: Verifiers, alg: str) -> None:
    head, body, signature = access_token(installation, alg).split(".")
    changed = f"{head}.{body}.{signature[:9]}{'A' if signature[9] != 'A' else 'B'}{signature[10:]}"
    assert verifiers.by_jose(changed, AUDIENCES[alg], alg)["refused"] == "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"
    with pytest.raises(jwt.InvalidSignatureError):
        verifiers.by_pyjwt(changed, AUDIENCES[alg], alg)


def test_neither_believes_a_token_for_another_api(installation: Installation, verifiers: Verifiers) -> None:
    token = access_token(installation, "EdDSA")
    assert verifiers.by_jose(token, RESOURCE, "EdDSA")["refused"] == "ERR_JWT_CLAIM_VALIDATION_FAILED"
    with pytest.raises(jwt.InvalidAudienceError):
        verifiers.by_pyjwt(token, RESOURCE, "EdDSA")
