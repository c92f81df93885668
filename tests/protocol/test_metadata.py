"""Discovery documents."""

from __future__ import annotations

import dataclasses

import pytest

from idp.protocol import errors, metadata
from idp.protocol.metadata import ServerFacts

FACTS = ServerFacts(
    issuer="https://id.example",
    paths={name: f"/{name}" for name in [*metadata.ENDPOINTS, "health"]},
    grant_types=("authorization_code", "refresh_token"),
    auth_methods=("client_secret_basic", "private_key_jwt"),
    introspection_auth_methods=("client_secret_basic",),
    assertion_algs=("ES256",),
    id_token_algs=("RS256", "ES256"),
)


@pytest.mark.spec("OpenID Connect Discovery section 3")
def test_the_openid_document_has_every_required_member() -> None:
    document = metadata.openid(FACTS)
    assert document.keys() >= {
        "issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "scopes_supported",
        "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported",
        "claims_supported",
    }  # fmt: skip
    assert document["issuer"] == "https://id.example"
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert "openid" in document["scopes_supported"]


@pytest.mark.spec("OpenID Connect Discovery section 3")
def test_says_that_request_objects_are_not_supported() -> None:
    document = metadata.openid(FACTS)
    assert document["request_parameter_supported"] is False
    assert document["request_uri_parameter_supported"] is False


def test_every_address_is_under_the_issuer_and_only_known_ones_are_told() -> None:
    document = metadata.openid(FACTS)
    addresses = {name: value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))}
    assert set(addresses) == set(metadata.ENDPOINTS.values())
    assert all(value.startswith("https://id.example/") for value in addresses.values())


@pytest.mark.spec("RFC 8414 section 2")
def test_the_oauth_document_leaves_openid_out() -> None:
    document = metadata.oauth(FACTS)
    assert not {"userinfo_endpoint", "end_session_endpoint", "claims_supported"} & document.keys()
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True


@pytest.mark.spec("RFC 8414 section 2")
def test_algorithms_are_told_where_assertions_are_accepted() -> None:
    document = metadata.oauth(FACTS)
    assert document["token_endpoint_auth_signing_alg_values_supported"] == ["ES256"]
    assert "introspection_endpoint_auth_signing_alg_values_supported" not in document


@pytest.mark.spec("RFC 6749 section 4.1.2.1")
def test_every_refusal_has_a_registered_name_and_keeps_its_reason_private() -> None:
    for kind in errors.ProtocolError.__subclasses__():
        refusal = kind("told", reason="kept")
        assert refusal.error.isascii()
        assert refusal.status >= 400
        assert str(refusal) == "told"
        assert str(kind()) == kind.error


@pytest.mark.spec("RFC 9449 section 5.1")
def test_the_algorithms_of_proofs_are_told() -> None:
    facts = dataclasses.replace(FACTS, dpop_algs=("ES256",))
    assert metadata.oauth(facts)["dpop_signing_alg_values_supported"] == ["ES256"]


@pytest.mark.spec("RFC 8705 section 5")
def test_the_other_addresses_are_told_where_there_are_any() -> None:
    told = metadata.oauth(dataclasses.replace(FACTS, certificates=True, mtls_base="https://mtls.example"))
    assert told["tls_client_certificate_bound_access_tokens"] is True
    assert told["mtls_endpoint_aliases"]["token_endpoint"] == "https://mtls.example/token"
    assert not {"mtls_endpoint_aliases", "tls_client_certificate_bound_access_tokens"} & metadata.oauth(FACTS).keys()
    few = dataclasses.replace(FACTS, paths={"token": "/token"}, mtls_base="https://mtls.example")
    assert metadata.oauth(few)["mtls_endpoint_aliases"] == {"token_endpoint": "https://mtls.example/token"}
