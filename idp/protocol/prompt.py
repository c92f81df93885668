"""The prompt parameter (OpenID Connect Core section 3.1.2.1)."""

from __future__ import annotations

from idp.protocol.errors import InvalidRequest

NONE = "none"
LOGIN = "login"
CONSENT = "consent"
SELECT_ACCOUNT = "select_account"
VALUES = (NONE, LOGIN, CONSENT, SELECT_ACCOUNT)


def parse(text: str | None) -> frozenset[str]:
    """Give the known values; `none` beside anything else contradicts itself.

    Values we do not know are ignored, as the section recommends, so that new ones can be phased in.
    """
    asked = frozenset((text or "").split())
    if NONE in asked and len(asked) > 1:
        raise InvalidRequest("prompt none stands alone")
    return asked & frozenset(VALUES)
