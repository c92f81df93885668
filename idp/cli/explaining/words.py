"""Why each member of a token is there, in one sentence for people (RFC 7519, RFC 9068, OpenID Connect Core)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MOMENTS: Final = frozenset({"exp", "nbf", "iat", "auth_time", "updated_at"})

HEADER: Final = {
    "alg": "How it is signed; the key decides, this only has to agree.",
    "kid": "Which of the issuer's published keys checks the signature.",
    "typ": "What kind of token this is, so that one kind cannot pass for another.",
}

CLAIMS: Final = {
    "iss": "Who issued it; a verifier compares this byte for byte.",
    "sub": "Whom it is about.",
    "aud": "Who may accept it; everybody else must refuse it.",
    "client_id": "The app it was given to.",
    "azp": "The app it was given to.",
    "iat": "When it was issued.",
    "nbf": "When it begins to be valid.",
    "exp": "When it ends; nothing can make it live longer.",
    "jti": "Its own name, so that it alone can be revoked.",
    "scope": "What the app may do at the API, as granted and consented.",
    "roles": "The person's roles at this API when it was issued.",
    "sid": "The browser session it belongs to; signing out ends it.",
    "grant_id": "The authorization it comes from; revoking that ends everything issued from it.",
    "auth_time": "When the person last proved who they are.",
    "acr": "How strongly: aal1 a password, aal2 a second factor or passkey, aal3 phishing-resistant hardware.",
    "amr": "The proofs that were used.",
    "nonce": "The app's own random value, so that it knows the answer is to its request.",
    "at_hash": "Ties this ID token to the access token beside it.",
    "c_hash": "Ties this ID token to the code beside it.",
    "s_hash": "Ties this ID token to the state of the request.",
    "act": "Who acts on behalf of the person.",
    "may_act": "Who may act on behalf of the person.",
    "txn": "One name for everything that came of one call, across every exchange.",
    "parents": "The tokens it was exchanged from, latest first; revoking one of them ends it.",
    "cnf": "The key its holder must prove to have; without that proof it is worthless.",
    "events": "What happened, in a token that reports events.",
    "name": "The person's full name.",
    "email": "The person's email address.",
    "email_verified": "Whether that address was proved to be theirs.",
    "preferred_username": "The name the person goes by here; it may change, sub does not.",
}

WRONG: Final = {
    "no single key fits the token": "another issuer signed it, or its key is no longer published",
    "signature is wrong": "it was changed after it was signed, or another key signed it",
    "alg is not one of ours": "no key of an identity provider should sign with that",
    "header carries a key": "a token that brings its own key proves nothing",
    "token has expired": "ask for a new one",
    "token is not valid yet": "compare the clocks of the machines",
    "token is from the future": "compare the clocks of the machines",
    "exp is absent": "a token that never ends is refused",
    "date is not a number": "exp, nbf and iat are seconds since 1970",
    "date is out of range": "exp, nbf and iat are seconds since 1970",
    "iss is another": "it was made by another issuer than the one it was checked against",
}

UNKNOWN: Final = "Not a claim this provider gives a meaning to; verifiers ignore it."
SERVICE: Final = "No person: the app itself, acting in its own name."

KINDS: Final = {
    "at+jwt": "access token: an app shows it to an API (RFC 9068)",
    "jwt": "ID token: it tells an app who signed in (OpenID Connect Core)",
    "token-introspection+jwt": "signed answer about a token: it tells a gateway what a reference means (RFC 9701)",
    "logout+jwt": "logout token: it tells an app that a session has ended",
    "": "JSON Web Token that does not say its kind",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One member of a token with its sentence."""

    name: str
    value: object
    words: str


def header_lines(header: Mapping[str, object]) -> list[Line]:
    """Explain the header."""
    return [Line(name=name, value=value, words=HEADER.get(name, UNKNOWN)) for name, value in header.items()]


def claim_lines(claims: Mapping[str, object], now: dt.datetime) -> list[Line]:
    """Explain the claims, moments in words."""
    return [Line(name=name, value=value, words=_words(name, value, claims, now)) for name, value in claims.items()]


def problem(reason: str) -> str:
    """Add to what is wrong what it means."""
    return f"{reason}: {WRONG[reason]}" if reason in WRONG else reason


def moment(value: object) -> dt.datetime | None:
    """Read a NumericDate, or None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return dt.datetime.fromtimestamp(value, dt.UTC)
    except (OverflowError, OSError, ValueError):
        return None


def away(then: dt.datetime, now: dt.datetime) -> str:
    """Say how far a moment is, in at most two units."""
    seconds = round(abs((then - now).total_seconds()))
    parts = []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    span = " ".join(parts[:2])
    if not span:
        return "now"
    return f"in {span}" if then > now else f"{span} ago"


def _words(name: str, value: object, claims: Mapping[str, object], now: dt.datetime) -> str:
    if name == "sub" and value == claims.get("client_id"):
        return SERVICE
    words = CLAIMS.get(name, UNKNOWN)
    then = moment(value) if name in MOMENTS else None
    return words if then is None else f"{words} {then:%Y-%m-%d %H:%M:%S} UTC, {away(then, now)}."
