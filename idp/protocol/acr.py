"""Strength of a sign-in, by the levels of NIST SP 800-63B: a password, a second factor, hardware."""

from __future__ import annotations

from collections.abc import Collection, Iterable

AAL1 = "aal1"
AAL2 = "aal2"
AAL3 = "aal3"
LEVELS = (AAL1, AAL2, AAL3)
# What a sign-in can reach here; aal3 needs phishing-resistant hardware.
SUPPORTED = (AAL1, AAL2)
FIRST_FACTORS = frozenset({"pwd", "fed", "wia"})  # a password, the word of another provider, a ticket of a domain
SECOND_FACTORS = frozenset({"otp", "rc"})


def level(value: str | None) -> int:
    """Rank a value; unknown and missing rank below every level."""
    return LEVELS.index(value) + 1 if value in LEVELS else 0


def meets(actual: str | None, wanted: str) -> bool:
    """Say whether a sign-in of one strength answers a wish for another: stronger answers weaker."""
    return level(actual) >= level(wanted) > 0


def of_methods(amr: Collection[str]) -> str:
    """Name the strength that methods add up to (RFC 8176 names)."""
    return AAL2 if FIRST_FACTORS & set(amr) and SECOND_FACTORS & set(amr) else AAL1


def least(values: Iterable[str], *, supported: Collection[str] = SUPPORTED) -> str | None:
    """Give the weakest value we offer among those asked: each alone would satisfy the asker.

    None when nothing asked is offered (OpenID Connect Core section 3.1.2.1: acr_values are voluntary).
    """
    offered = [value for value in values if value in supported]
    return min(offered, key=level) if offered else None


def strongest(values: Iterable[str | None]) -> str | None:
    """Give the strongest of several demands that must all be met."""
    named = [value for value in values if value is not None]
    return max(named, key=level) if named else None
