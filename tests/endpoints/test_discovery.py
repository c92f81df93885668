"""What the provider tells about itself."""

from __future__ import annotations

import pytest

from idp.endpoints.token.registry import GRANTS

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


@pytest.fixture(params=["sqlite"])
def database_url(request, sqlite_url):
    """One kind of database: the documents do not come from it."""
    return sqlite_url


@pytest.mark.spec("OpenID Connect Discovery section 4.2", "RFC 8414 section 3.2")
@pytest.mark.parametrize("path", [OPENID, OAUTH])
def test_is_json_from_the_issuer_it_names(http, path):
    answer = http.get(path)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json["issuer"] == "https://localhost"


@pytest.mark.spec("OpenID Connect Discovery section 3")
def test_every_address_is_https_and_answers(http):
    told = http.get(OPENID).json
    addresses = {value for name, value in told.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(addresses) == 8
    for address in addresses:
        assert address.startswith("https://localhost/")
        assert http.get(address).status_code != 404


@pytest.mark.spec("RFC 8414 section 2")
def test_tells_what_is_registered(http):
    told = http.get(OAUTH).json
    assert told["grant_types_supported"] == [grant.GRANT_TYPE for grant in GRANTS]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert "none" not in told["introspection_endpoint_auth_methods_supported"]


@pytest.mark.spec("OpenID Connect Discovery section 3")
def test_tells_what_is_not_supported(http):
    told = http.get(OPENID).json
    assert told["request_parameter_supported"] is False
    assert told["request_uri_parameter_supported"] is False
    assert "RS256" in told["id_token_signing_alg_values_supported"]
    assert "none" not in told["id_token_signing_alg_values_supported"]


@pytest.mark.parametrize("path", [OPENID, OAUTH, "/jwks"])
@pytest.mark.spec("RFC 9110 section 13.1.2")
def test_a_cache_that_has_it_is_told_so(http, path):
    first = http.get(path)
    assert "max-age=" in first.headers["Cache-Control"]
    again = http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = http.get(path, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("path", [OPENID, OAUTH, "/jwks", "/healthz"])
def test_head_tells_the_length_and_sends_no_body(http, path):
    answer = http.head(path)
    assert (answer.status_code, answer.data) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(http.get(path).data)


@pytest.mark.parametrize("path", [OPENID, "/jwks"])
def test_pages_of_any_origin_may_read_it(http, path):
    assert http.get(path).headers["Access-Control-Allow-Origin"] == "*"
