"""Scopes: what was asked, what exists, what this client and this person may have (RFC 6749 section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from idp.protocol.errors import InvalidScope, InvalidTarget

TOKEN = re.compile(r"[!#-\[\]-~]{1,128}")
MAX_SCOPES = 100
OPENID = "openid"
OFFLINE = "offline_access"
# OpenID Connect Core sections 3.1.2.1, 5.4 and 11: they belong to the issuer's own API.
OIDC = (OPENID, "profile", "email", "address", "phone", OFFLINE)

Scopes = Mapping[str, Sequence[str]]


def parse(text: str | None) -> tuple[str, ...]:
    """Split a scope value into names, each once, in the order asked (RFC 6749 section 3.3)."""
    names = tuple(dict.fromkeys((text or "").split(" ")))
    names = tuple(name for name in names if name)
    if len(names) > MAX_SCOPES or not all(TOKEN.fullmatch(name) for name in names):
        raise InvalidScope("scope is malformed")
    return names


def render(names: Iterable[str]) -> str:
    """Join names to a scope value, each once, order kept."""
    return " ".join(dict.fromkeys(names))


def flatten(scopes: Scopes) -> tuple[str, ...]:
    """List every name over all audiences, each once, the issuer's first as they were stored."""
    return tuple(dict.fromkeys(name for names in scopes.values() for name in names))


def admit(
    asked: Sequence[str],
    *,
    known: Collection[str],
    allowed: Mapping[str, Collection[str]],
) -> tuple[str, ...]:
    """Keep what the client may ask for; refuse what exists but is beyond it (RFC 6749 section 3.3).

    `known` is every scope that any API has, `allowed` this client's by audience.
    """
    if not asked:
        raise InvalidScope("scope is missing")
    mine = {name for names in allowed.values() for name in names}
    unknown = [name for name in asked if name not in known and name not in mine]
    # OpenID Connect Core section 3.1.2.1: unknown scopes beside openid are ignored.
    if unknown and OPENID not in asked:
        raise InvalidScope("scope is unknown")
    # OpenID Connect Core section 11: an unusable offline_access is ignored, not refused.
    foreign = [name for name in asked if name in known and name not in mine and name != OFFLINE]
    if foreign:
        raise InvalidScope("scope is beyond what the client may ask for")
    return tuple(name for name in asked if name in mine)


def by_audience(
    asked: Sequence[str],
    *,
    allowed: Mapping[str, Collection[str]],
    issuer: str,
    targets: Collection[str],
) -> dict[str, tuple[str, ...]]:
    """Sort admitted scopes under the APIs they belong to; targets, if named, are the only other APIs.

    RFC 8707 section 2: a resource that the client may not reach is refused.
    """
    if any(target not in allowed and target != issuer for target in targets):
        raise InvalidTarget("resource is not one the client may ask for")
    audiences = [
        issuer,
        *sorted(aud for aud in allowed if aud != issuer and (not targets or aud in targets)),
    ]
    sorted_out = {aud: tuple(name for name in asked if name in allowed.get(aud, ())) for aud in audiences}
    return {aud: names for aud, names in sorted_out.items() if names}


def entitle(scopes: Scopes, *, issuer: str, entitled: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """Keep of an API's scopes those that the person's roles grant; the issuer's own need none.

    When nothing is left there is nothing to grant: the caller refuses with access_denied.
    """
    kept = {
        aud: tuple(name for name in names if aud == issuer or name in entitled.get(aud, ()))
        for aud, names in scopes.items()
    }
    return {aud: names for aud, names in kept.items() if names}


def covers(granted: Scopes, wanted: Scopes) -> bool:
    """Say whether an earlier consent already holds everything wanted."""
    return all(set(names) <= set(granted.get(aud, ())) for aud, names in wanted.items())


def narrow(granted: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """Let a refresh ask for less, never for more (RFC 6749 section 6)."""
    if not set(asked) <= set(granted):
        raise InvalidScope("scope is beyond what was granted")
    return tuple(asked) or tuple(granted)
