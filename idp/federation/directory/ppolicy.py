"""What a directory says about a password beside yes and no (draft-behera-ldap-password-policy section 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from idp.federation.connector import Outcome

SEQUENCE: Final = 0x30
WARNING: Final = 0xA0
ERROR: Final = 0x81
GRACE: Final = 0x81
EXPIRED, LOCKED, CHANGE_AFTER_RESET = 0, 1, 2
OUTCOMES: Final = {
    EXPIRED: Outcome.PASSWORD_EXPIRED,
    LOCKED: Outcome.LOCKED,
    CHANGE_AFTER_RESET: Outcome.MUST_CHANGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The decoded control."""

    error: int | None = None
    grace_left: int | None = None

    @property
    def outcome(self) -> Outcome | None:
        """Return what the error means for a sign-in; errors of password changes mean nothing here."""
        return None if self.error is None else OUTCOMES.get(self.error)


def decode(value: bytes | None) -> Policy:
    """Read the response control; what is not one says nothing."""
    if value is None or len(value) < 2 or value[0] != SEQUENCE:  # noqa: PLR2004 - tag and length
        return Policy()
    body = value[2 : 2 + value[1]]
    error = grace = None
    while len(body) > 2:  # noqa: PLR2004
        tag, length = body[0], body[1]
        inner, body = body[2 : 2 + length], body[2 + length :]
        if tag == WARNING and len(inner) > 2 and inner[0] == GRACE:  # noqa: PLR2004
            grace = int.from_bytes(inner[2 : 2 + inner[1]], "big")
        elif tag == ERROR and inner:
            error = inner[0]
    return Policy(error=error, grace_left=grace)
