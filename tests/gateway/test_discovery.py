"""Addresses of a provider come from a document of this very issuer."""

from __future__ import annotations

import json

import pytest

from idp.gateway.discovery import Discovery
from idp.gateway.fetch import FetchError
from idp.jose.strict import JoseError
from tests.gateway.fakes import Fetcher

ISSUER = "https://id.example"
WHERE = f"{ISSUER}/.well-known/openid-configuration"


def made(issuer=ISSUER, **said):
    fetch = Fetcher({issuer + "/.well-known/openid-configuration": json.dumps({"issuer": issuer, **said}).encode()})
    return Discovery(issuer, fetch), fetch


@pytest.mark.spec("RFC 8414 section 3.3")
def test_it_is_asked_once_until_something_is_wrong():
    discovery, fetch = made(token_endpoint="https://id.example/token", issuer_too="x")
    for _ in range(3):
        assert discovery.address("token_endpoint") == "https://id.example/token"
    assert len(fetch.asked) == 1
    discovery.forget()
    discovery.address("token_endpoint")
    assert len(fetch.asked) == 2


@pytest.mark.parametrize("uri", [None, 5, "", "ftp://id.example/token", "https://u@id.example/t", "http://localhost/t"])
def test_what_is_no_address_is_none_and_is_looked_for_again(uri):
    discovery, fetch = made(token_endpoint=uri)
    for number in (1, 2):
        with pytest.raises(FetchError):
            discovery.address("token_endpoint")
        assert len(fetch.asked) == number


def test_a_plain_issuer_on_this_machine_has_plain_addresses():
    discovery, _ = made("http://localhost:8000", token_endpoint="http://localhost:8000/token")
    assert discovery.address("token_endpoint") == "http://localhost:8000/token"


@pytest.mark.parametrize("body", [b'{"issuer": "https://other.example"}', b"{}", b"", None])
def test_the_document_of_somebody_else_is_not_used(body):
    discovery = Discovery(ISSUER, Fetcher({WHERE: body}))
    with pytest.raises((FetchError, JoseError)):
        discovery.address("token_endpoint")
