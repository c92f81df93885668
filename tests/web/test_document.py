"""Documents leave as bytes, and nobody can tell by what way they left."""

from __future__ import annotations

import pytest

from idp.store.database import StoreUnavailable

PATHS = ("/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


@pytest.mark.parametrize("path", PATHS)
def test_the_short_way_and_the_long_way_say_the_same(http, path):
    short, long = http.get(path), http.get(path, headers={"If-None-Match": '"another"'})
    assert (short.status_code, short.data) == (long.status_code, long.data)
    assert sorted(short.headers) == sorted(long.headers)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.spec("RFC 9110 section 13.1.2")
def test_a_cache_that_has_it_gets_no_second_copy(http, path):
    known = http.get(path).headers["ETag"]
    again = http.get(path, headers={"If-None-Match": known})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", known)


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_host_gets_no_document(http, path):
    assert http.get(path, base_url="https://elsewhere.example").status_code == 400


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.spec("RFC 9110 section 9.3.2")
def test_head_says_what_get_would(http, path):
    head, whole = http.head(path), http.get(path)
    assert (head.status_code, head.data) == (200, b"")
    assert sorted(head.headers) == sorted(whole.headers)


def test_a_store_that_is_away_is_told_in_words(http, services, clock, monkeypatch):
    clock.advance(60)

    def away():
        raise StoreUnavailable("the store is not available")

    monkeypatch.setattr(services.keyring, "_rows", away)
    answer = http.get("/jwks")
    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
