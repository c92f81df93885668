"""The answers to a request that is not let through (RFC 6750 section 3, RFC 9110 section 15.5).

Constant, but for the scopes that a route asks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from idp.protocol.bearer import challenge

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One kind of no: what the client hears and what the log says."""

    status: int
    reason: str  # for the log
    error: str = ""
    text: str
    scope: str = ""
    headers: Headers = ()

    def answer(self, decision: str) -> tuple[int, Headers, bytes]:
        """Write it as a response in JSON, with the id under which the decision log has the rest."""
        said = {"error": self.error, "error_description": self.text, "scope": self.scope, "decision": decision}
        body = json.dumps({name: value for name, value in said.items() if value}).encode()
        head = (
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        )
        return self.status, head + self.headers, body


def _challenge(error: str = "", text: str = "", **attributes: str) -> Headers:
    return ((b"www-authenticate", challenge(error=error, description=text, **attributes).encode("ascii")),)


def bad_request(reason: str, text: str) -> Refusal:
    """Answer 400 to a request with more than one reading."""
    return Refusal(status=400, reason=reason, error="invalid_request", text=text)


_TWO = "more than one credential was sent"
_BAD = "the access token is expired, malformed or not for this audience"

BAD_PATH: Final = bad_request("bad_target", "the path has more than one reading")
BAD_HOST: Final = bad_request("bad_host", "the host is missing, malformed or unknown")
HEADER_ALIAS: Final = bad_request("header_alias", "a header has a name that only the gateway may use")
TWO_CREDENTIALS: Final = Refusal(
    status=400,
    reason="two_credentials",
    error="invalid_request",
    text=_TWO,
    headers=_challenge("invalid_request", _TWO),
)
NO_ROUTE: Final = Refusal(status=403, reason="no_route", error="access_denied", text="no route allows this request")
METHOD_OVERRIDE: Final = Refusal(
    status=405, reason="method_override", error="invalid_request", text="the method is the one of the request line"
)


# RFC 6750 section 3.1: without authentication information, no error code.
def no_credential(metadata: str = "") -> Refusal:
    """Ask for a token; `metadata` says where the resource describes itself (RFC 9728 section 5.1)."""
    headers = _challenge(resource_metadata=metadata)
    return Refusal(status=401, reason="no_credential", text="an access token is needed", headers=headers)


def invalid_token(metadata: str = "", text: str = _BAD) -> Refusal:
    """Answer 401 to a token that is none, one text for whatever is wrong with it."""
    headers = _challenge("invalid_token", text, resource_metadata=metadata)
    return Refusal(status=401, reason="invalid_token", error="invalid_token", text=text, headers=headers)


NO_CREDENTIAL: Final = no_credential()
INVALID_TOKEN: Final = invalid_token()
# No other token would help: where it comes from, when, or whose resource it is stands against it.
NOT_ALLOWED: Final = Refusal(status=403, reason="condition", error="access_denied", text="no rule allows this request")
NO_KEYS: Final = Refusal(
    status=503,
    reason="no_keys",
    error="temporarily_unavailable",
    text="tokens cannot be checked at the moment",
    headers=((b"retry-after", b"5"),),
)
IN_DOUBT: Final = Refusal(
    status=503,
    reason="in_doubt",
    error="temporarily_unavailable",
    text="whether the access token counts cannot be known at the moment",
    headers=((b"retry-after", b"5"),),
)
LATE: Final = Refusal(
    status=503,
    reason="late",
    error="temporarily_unavailable",
    text="the request could not be checked in time",
    headers=((b"retry-after", b"1"),),
)
FAULT: Final = Refusal(status=500, reason="fault", error="server_error", text="the request could not be checked")


def method_not_allowed(methods: Iterable[str]) -> Refusal:
    """Answer 405 with what is allowed (RFC 9110 section 15.5.6)."""
    allowed = ", ".join(sorted(methods)).encode("ascii")
    text = "the method is not allowed here"
    return Refusal(status=405, reason="method", error="invalid_request", text=text, headers=((b"allow", allowed),))


def insufficient(scopes: Iterable[str], *, reason: str, text: str, metadata: str = "") -> Refusal:
    """Answer 403 with the scopes that would be enough (RFC 6750 section 3.1)."""
    scope = " ".join(sorted(scopes))
    headers = _challenge("insufficient_scope", text, scope=scope, resource_metadata=metadata)
    return Refusal(status=403, reason=reason, error="insufficient_scope", text=text, scope=scope, headers=headers)


def stronger(acr_values: Iterable[str], max_age: int | None, metadata: str = "") -> Refusal:
    """Ask for a stronger or newer sign-in (RFC 9470 section 3)."""
    error, text = "insufficient_user_authentication", "a stronger or more recent sign-in is needed"
    headers = _challenge(
        error,
        text,
        acr_values=" ".join(acr_values),
        max_age="" if max_age is None else str(max_age),
        resource_metadata=metadata,
    )
    return Refusal(status=401, reason="strength", error=error, text=text, headers=headers)
