"""Refusals, each named by its registered error code.

`description` is public and constant: it never quotes the request, and is printable ASCII without
quote or backslash (RFC 6749 section 4.1.2.1). `reason` is private and goes to logs and the audit only.
"""

from __future__ import annotations

from typing import ClassVar


class ProtocolError(Exception):
    """A refusal: an outcome of the protocol, not a fault. What it did is kept (it commits)."""

    error: ClassVar[str] = "server_error"
    status: ClassVar[int] = 400

    def __init__(self, description: str = "", *, reason: str = "") -> None:
        super().__init__(description or self.error)
        self.description = description
        self.reason = reason


class InvalidRequest(ProtocolError):
    """The request is malformed (RFC 6749 sections 4.1.2.1 and 5.2)."""

    error = "invalid_request"


class InvalidClient(ProtocolError):
    """Client authentication failed (RFC 6749 section 5.2)."""

    error = "invalid_client"
    status = 401


class InvalidGrant(ProtocolError):
    """The grant is unknown, used, expired, revoked or another client's (RFC 6749 section 5.2)."""

    error = "invalid_grant"


class UnauthorizedClient(ProtocolError):
    """The client may not use this grant or response type (RFC 6749 section 5.2)."""

    error = "unauthorized_client"


class UnsupportedGrantType(ProtocolError):
    """The server has no such grant (RFC 6749 section 5.2)."""

    error = "unsupported_grant_type"


class UnsupportedResponseType(ProtocolError):
    """The server, or this client, has no such response type (RFC 6749 section 4.1.2.1)."""

    error = "unsupported_response_type"


class InvalidScope(ProtocolError):
    """The scope is known but beyond what may be granted (RFC 6749 section 5.2)."""

    error = "invalid_scope"


class InvalidTarget(ProtocolError):
    """The resource is unknown, malformed or not allowed (RFC 8707 section 2)."""

    error = "invalid_target"


class AccessDenied(ProtocolError):
    """The person, or the policy, said no (RFC 6749 section 4.1.2.1)."""

    error = "access_denied"
    status = 403


class LoginRequired(ProtocolError):
    """prompt=none, but nobody suitable is signed in (OpenID Connect Core section 3.1.2.6)."""

    error = "login_required"


class ConsentRequired(ProtocolError):
    """prompt=none, but consent is missing (OpenID Connect Core section 3.1.2.6)."""

    error = "consent_required"


class InteractionRequired(ProtocolError):
    """prompt=none, but a page would have to be shown (OpenID Connect Core section 3.1.2.6)."""

    error = "interaction_required"


class AccountSelectionRequired(ProtocolError):
    """prompt=none, but an account would have to be chosen (OpenID Connect Core section 3.1.2.6)."""

    error = "account_selection_required"


class UnmetAuthenticationRequirements(ProtocolError):
    """The asked-for strength cannot be reached (OpenID Connect Unmet Authentication Requirements 1.0)."""

    error = "unmet_authentication_requirements"


class RequestNotSupported(ProtocolError):
    """Request objects by value are not supported (OpenID Connect Core section 3.1.2.6)."""

    error = "request_not_supported"


class RequestUriNotSupported(ProtocolError):
    """Request objects by reference are not supported (OpenID Connect Core section 3.1.2.6)."""

    error = "request_uri_not_supported"


class RegistrationNotSupported(ProtocolError):
    """The registration parameter is not supported (OpenID Connect Core section 3.1.2.6)."""

    error = "registration_not_supported"


class InvalidToken(ProtocolError):
    """The bearer token is expired, revoked, malformed or for someone else (RFC 6750 section 3.1)."""

    error = "invalid_token"
    status = 401


class InvalidDpopProof(ProtocolError):
    """The proof of possession is missing, wrong, stale or used (RFC 9449 sections 5 and 7.1)."""

    error = "invalid_dpop_proof"


class UseDpopNonce(ProtocolError):
    """The proof lacks the nonce that this error brings (RFC 9449 sections 8 and 9)."""

    error = "use_dpop_nonce"

    def __init__(self, description: str = "", *, reason: str = "", nonce: str = "") -> None:
        super().__init__(description, reason=reason)
        self.nonce = nonce


class InsufficientScope(ProtocolError):
    """The bearer token does not carry the scope (RFC 6750 section 3.1)."""

    error = "insufficient_scope"
    status = 403


class TooManyRequests(ProtocolError):
    """The client has used up what it may ask for now (RFC 6585 section 4); it has no registered name.

    `first` since it could ask: the others are not worth a record each.
    """

    error = "too_many_requests"
    status = 429

    def __init__(self, description: str = "", *, reason: str = "", retry_after: int = 60, first: bool = True) -> None:
        super().__init__(description, reason=reason)
        self.retry_after = retry_after
        self.first = first


class TemporarilyUnavailable(ProtocolError):
    """Too busy, or the store is away; worth another try (RFC 6749 section 4.1.2.1)."""

    error = "temporarily_unavailable"
    status = 503


class ServerError(ProtocolError):
    """A fault of ours, told without detail (RFC 6749 section 4.1.2.1)."""

    error = "server_error"
    status = 500
