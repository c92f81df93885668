"""A person as OpenID Connect tells of them: the standard claims an account has (Core section 5.1)."""

from __future__ import annotations

from idp.store.account import Account


def claims(account: Account) -> dict[str, object]:
    """Return every standard claim known of a person; which of them are told is decided by `protocol.claims`."""
    return {
        "preferred_username": account.username,
        **account.claims,
        "email": account.email,
        "email_verified": account.email_verified,
        "updated_at": int(account.updated_at.timestamp()),
    }
