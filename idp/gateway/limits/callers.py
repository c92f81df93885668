"""For whom a limit counts: the words of `by` as functions of a request. Computed for every request, so kept small."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from idp.gateway.policy.facts import Facts
from idp.gateway.principal import Principal

Caller = Callable[[Facts, Principal | None], str]

_LONG: Final = 64
_IPV6: Final = 6
# Whoever has one IPv6 address has the whole network that its provider gave it.
_HOST_BITS: Final = 64
_UNKNOWN: Final = "?"  # all of them together are one caller: to be unknown is no way around a limit


def caller(by: str) -> Caller:
    """Give the function for a word."""
    name = by.removeprefix("claim.")
    if name in {"client_id", "sub"}:  # most limits: no need to read the token again
        return _client if name == "client_id" else _subject
    return _PLAIN[by] if name == by else _claim(name)


def _address(facts: Facts, _: Principal | None) -> str:
    number = facts.number
    if number is None:
        return _UNKNOWN
    version, value = number
    return f"6:{value >> _HOST_BITS:x}" if version == _IPV6 else f"4:{value:x}"


def _client(_: Facts, principal: Principal | None) -> str:
    return principal.client_id if principal is not None else _UNKNOWN


def _subject(_: Facts, principal: Principal | None) -> str:
    return _short(principal.subject) if principal is not None else _UNKNOWN


def _route(_: Facts, __: Principal | None) -> str:
    return ""


def _claim(name: str) -> Caller:
    def value(facts: Facts, principal: Principal | None) -> str:
        found = facts.claim(principal, name) if principal is not None else None
        if found is None:
            return _UNKNOWN
        # With its type: 1 and "1" are two callers.
        return _short(json.dumps(found, sort_keys=True))

    return value


def _short(value: str) -> str:
    return value if len(value) <= _LONG else sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


_PLAIN: Final[dict[str, Caller]] = {"ip": _address, "client": _client, "subject": _subject, "route": _route}
