from __future__ import annotations

import pytest

from idp.jose.access_token import verify_access_token
from idp.jose.keys import KeySet
from idp.jose.strict import JoseError
from tests.jose.forge import ALL, AUDIENCE, CLAIMS, ISSUER, NOW, Workshop


def accept(
    token: str, keys: KeySet, audiences: frozenset[str] | None = frozenset({AUDIENCE}), now: float = NOW
) -> dict[str, object]:
    return verify_access_token(token, keys, issuer=ISSUER, audiences=audiences, algs=ALL, now=now)


@pytest.mark.spec("RFC 9068 section 4")
@pytest.mark.parametrize("audiences", [frozenset({AUDIENCE}), frozenset({AUDIENCE, "https://b.example"}), None])
def test_returns_the_claims(workshop: Workshop, own: KeySet, audiences: frozenset[str] | None) -> None:
    assert accept(workshop.token(), own, audiences) == CLAIMS


@pytest.mark.spec("RFC 9068 section 2.2")
@pytest.mark.attack("JO21")
@pytest.mark.attack("JO22")
@pytest.mark.parametrize("name", ["iss", "aud", "sub", "client_id", "jti", "iat", "exp"])
def test_refuses_a_token_without_a_required_claim(workshop: Workshop, own: KeySet, name: str) -> None:
    with pytest.raises(JoseError):
        accept(workshop.with_claims(**{name: None}), own)
    with pytest.raises(JoseError):
        accept(workshop.with_claims(**{name: None}), own, None)


@pytest.mark.parametrize(
    "claims", [{"sub": 1}, {"client_id": []}, {"jti": {}}, {"scope": ["orders:read"]}, {"scope": 1}]
)
def test_refuses_claims_of_another_type(workshop: Workshop, own: KeySet, claims: dict[str, object]) -> None:
    with pytest.raises(JoseError):
        accept(workshop.with_claims(**claims), own)


def test_scope_may_be_absent(workshop: Workshop, own: KeySet) -> None:
    assert "scope" not in accept(workshop.with_claims(scope=None), own)


@pytest.mark.attack("JO22")
def test_refuses_a_token_for_another_api_or_from_another_issuer(workshop: Workshop, own: KeySet) -> None:
    with pytest.raises(JoseError):
        accept(workshop.token(), own, frozenset({"https://other.example"}))
    with pytest.raises(JoseError):
        accept(workshop.token(), own, frozenset())
    with pytest.raises(JoseError):
        accept(workshop.with_claims(iss=ISSUER + ".evil"), own)


@pytest.mark.attack("JO21")
def test_refuses_a_token_that_has_ended(workshop: Workshop, own: KeySet) -> None:
    accept(workshop.token(), own, now=NOW + 629)
    with pytest.raises(JoseError):
        accept(workshop.token(), own, now=NOW + 630)


@pytest.mark.attack("JO23")
@pytest.mark.parametrize("typ", ["JWT", "id_token+jwt", ""])
def test_refuses_an_id_token(workshop: Workshop, own: KeySet, typ: str) -> None:
    with pytest.raises(JoseError):
        accept(workshop.with_header(typ=typ), own)
