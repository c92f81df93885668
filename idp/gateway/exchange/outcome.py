"""What an exchange comes to: a token, or one of five kinds of no."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from idp.gateway.revocation.marks import Marks

Kind = Literal["refused", "stronger", "misconfigured", "away", "too_many"]

_REFUSED: Final = frozenset({"invalid_request", "invalid_grant"})
_STRONGER: Final = frozenset({
    "unmet_authentication_requirements", "insufficient_user_authentication", "login_required", "interaction_required",
})  # fmt: skip
_MISCONFIGURED: Final = frozenset({
    "invalid_target", "invalid_scope", "invalid_client", "unauthorized_client", "unsupported_grant_type",
    "access_denied", "invalid_dpop_proof",
})  # fmt: skip
# After one nonce it wants another: that is not for the caller to mend either, but it may pass.
_AWAY: Final = frozenset({"temporarily_unavailable", "slow_down", "server_error", "use_dpop_nonce"})
_TOO_MANY: Final = 429
_TROUBLE: Final = 500
RETRY_AFTER: Final = 5
_LONGEST: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token for the server behind, already believed. Never printed."""

    token: bytes = field(repr=False)
    ends: float
    marks: Marks = field(repr=False)  # by which names it can be revoked
    bound: bool = False  # to the gateway's own key, which is proved for every request


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No token. `reason` is constant and for the log."""

    kind: Kind
    reason: str
    retry_after: int = RETRY_AFTER
    silent: bool = False  # nobody answered at all


Outcome = Issued | Failed


def of_error(status: int, said: object, retry_after: str | None) -> Failed:
    """Read a refusal (RFC 6749 section 5.2); no word of it travels on that we do not know."""
    error = said if isinstance(said, str) else ""
    if status == _TOO_MANY:
        return too_many(_seconds(retry_after))
    if status >= _TROUBLE or error in _AWAY:
        return Failed(kind="away", reason="provider has trouble", retry_after=_seconds(retry_after))
    if error in _STRONGER:
        return Failed(kind="stronger", reason=error)
    if error in _REFUSED:
        return Failed(kind="refused", reason=error)
    # Whatever else it is, another token of the caller's would not mend it: somebody has to look.
    return Failed(kind="misconfigured", reason=error if error in _MISCONFIGURED else "unknown answer")


def too_many(seconds: int) -> Failed:
    """Say that the provider has told the gateway to ask later (RFC 6585 section 4)."""
    return Failed(kind="too_many", reason="too many requests", retry_after=seconds)


def _seconds(text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdecimal():
        return RETRY_AFTER
    return min(max(int(text[:9]), 1), _LONGEST)
