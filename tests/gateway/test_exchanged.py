"""Tokens that somebody got in exchange: the gateway sees the person, and never takes the actor for one."""

from __future__ import annotations

import pytest

from idp.gateway.principal import Principal
from tests.gateway.raw import request

ACTOR = {
    "sub": "0190-mallory",
    "iss": "https://idp.example",
    "client_id": "root",
    "scope": "orders:write admin",
    "roles": ["boss"],
    "act": {"sub": "0190-root", "roles": ["boss"]},
}
EXCHANGED = {
    "client_id": "orders-gateway",
    "act": ACTOR,
    "may_act": {"sub": "0190-root"},
    "txn": "one",
    "parents": [{"jti": "first", "client_id": "web-app"}],
}


@pytest.mark.attack("TX16")
@pytest.mark.spec("RFC 8693 section 4.1")
def test_the_upstream_is_told_of_the_person_and_not_of_any_actor(proxy, upstream, issuer):
    assert proxy.ask(request(token=issuer.token(**EXCHANGED))).status == 200
    seen = upstream.last
    assert seen.header(b"x-auth-subject") == b"0190-alice"
    assert seen.header(b"x-auth-client") == b"orders-gateway"
    assert seen.header(b"x-auth-roles") == b"clerk"
    assert not any(name in seen.head for name in (b"mallory", b"root", b"boss"))


@pytest.mark.attack("TX16")
@pytest.mark.parametrize("claims", [{"roles": []}, {"scope": "orders:read"}])
def test_scopes_and_roles_of_an_actor_open_nothing(proxy, upstream, issuer, claims):
    token = issuer.token(**{**EXCHANGED, **claims})
    assert proxy.ask(request("POST", token=token, Content_Length="0")).status == 403
    assert upstream.seen == []


@pytest.mark.attack("TX16")
def test_an_actor_without_a_person_is_nobody(issuer, proxy, upstream):
    assert proxy.ask(request(token=issuer.token(**EXCHANGED, sub=None))).status == 401
    assert upstream.seen == []


@pytest.mark.attack("TX16")
def test_who_acts_changes_nothing_of_who_is_calling(issuer):
    plain, exchanged = (Principal(issuer.claims(**claims), kid="kid") for claims in ({}, {"act": ACTOR}))
    for name in ("subject", "client_id", "audiences", "scopes", "roles", "headers", "subject_digest"):
        assert getattr(plain, name) == getattr(exchanged, name)
