"""Every kind of connector: how it is made, and which of its settings are secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from idp.federation import active_directory, oauth2, oidc
from idp.federation.connector import Connector, Made, Misconfigured
from idp.federation.directory import config as directory
from idp.federation.directory.connector import Directory

__all__ = ["KINDS", "Made", "Maker", "make", "maker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """How one kind is made."""

    make: Callable[[Made], Connector]
    secrets: frozenset[str]


KINDS: Final[Mapping[str, Maker]] = {
    "active_directory": Maker(make=active_directory.ActiveDirectory.make, secrets=active_directory.SECRETS),
    "ldap": Maker(make=Directory.make, secrets=directory.SECRETS),
    "oidc": Maker(make=oidc.Oidc.make, secrets=oidc.SECRETS),
    "oauth2": Maker(make=oauth2.OAuth2.make, secrets=oauth2.SECRETS),
}


def maker(kind: str) -> Maker:
    """Return how a kind is made, or refuse the word."""
    found = KINDS.get(kind)
    if found is None:
        raise Misconfigured(f"kind: write one of {', '.join(sorted(KINDS))}")
    return found


def make(kind: str, made: Made) -> Connector:
    """Make a connector; nothing is reached yet."""
    return maker(kind).make(made)
