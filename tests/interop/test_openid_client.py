"""npm `openid-client` 6, which knows nothing of us, lives with the provider over https."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.conftest import Walks

pytestmark = pytest.mark.xdist_group("interop")

PERSON = (
    "discovery says who the provider is",
    "without a session prompt=none asks for a sign-in",
    "an address that is not registered is no way back",
    "the person signs in, agrees, and comes back with a code",
    "the ID token is signed, for this app, and about this sign-in",
    "another state is noticed",
    "another issuer on the way back is noticed",
    "another verifier is refused",
    "a code is good once, and its second use takes back what it gave",
    "userinfo tells who signed in",
    "a token for an API is for that API alone",
    "a refresh token gives new tokens and its successor",
    "a refresh token that was changed is refused",
    "the app may look at its own token",
    "a revoked access token opens nothing",
    "a revoked refresh token ends all that came with it",
    "signing out leads back to the app and ends the session",
)
PROGRAM = (
    "discovery says who the provider is",
    "a program gets a token for itself",
    "a wrong secret is refused",
    "an API that is not its own is refused",
    "the gateway of the API may look at the token",
    "whose business it is not learns nothing",
    "a stranger cannot revoke it",
    "revoked is inactive",
)
# Introspection needs a caller that proves itself (RFC 7662 section 2.1).
PUBLIC = tuple(each for each in PERSON if each != "the app may look at its own token")
HOLDER = (
    "the tokens are bound to the key of the app",
    "the gateway lets the holder of the key through",
    "nobody else can use the token, with another key or with none",
    "nobody else can refresh, and the family lives on",
)
AFTER = PUBLIC.index("a token for an API is for that API alone") + 1
CHECKS = {
    "client_secret_post": PERSON,
    "client_secret_basic": PERSON,
    "private_key_jwt": PERSON,
    "none": PUBLIC,
    "dpop": (*PUBLIC[:AFTER], *HOLDER, *PUBLIC[AFTER:]),
    "service": PROGRAM,
}
SECTIONS = {
    "the tokens are bound to the key of the app": "RFC 9449 section 5",
    "the gateway lets the holder of the key through": "RFC 9449 section 9",
    "nobody else can use the token, with another key or with none": "RFC 9449 section 7.2",
    "another issuer on the way back is noticed": "RFC 9207 section 2.4",
    "another verifier is refused": "RFC 7636 section 4.6",
    "a code is good once, and its second use takes back what it gave": "RFC 6749 section 4.1.2",
    "userinfo tells who signed in": "OpenID Connect Core section 5.3",
    "a token for an API is for that API alone": "RFC 8707 section 2.2",
    "a program gets a token for itself": "RFC 6749 section 4.4",
    "the gateway of the API may look at the token": "RFC 7662 section 2",
    "a revoked access token opens nothing": "RFC 7009 section 2",
    "signing out leads back to the app and ends the session": "OpenID Connect RP-Initiated Logout section 2",
}


def _each() -> list[Any]:
    return [
        pytest.param(
            kind, check, id=f"{kind}: {check}", marks=[pytest.mark.spec(SECTIONS[check])] if check in SECTIONS else []
        )
        for kind, checks in CHECKS.items()
        for check in checks
    ]


@pytest.mark.parametrize(("kind", "check"), _each())
def test_a_foreign_client_finds_that(walks: Walks, kind: str, check: str) -> None:
    found = walks(kind)[check]
    assert found["ok"], found["info"]


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_of_the_foreign_client_is_named_here(walks: Walks, kind: str) -> None:
    assert tuple(walks(kind)) == CHECKS[kind]
