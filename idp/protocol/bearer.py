"""Bearer credentials as text: reading them and challenging for them (RFC 6750). No framework, no I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from idp.protocol.errors import InvalidRequest

# RFC 6750 section 2.1: b64token.
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
MAX_TOKEN = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A token and how it was sent. Never printed."""

    token: str = field(repr=False)
    dpop: bool = False  # by the scheme that promises a proof (RFC 9449 section 7.1)


def read(authorization: Sequence[str], *, form: Sequence[str] = ()) -> Credential | None:
    """Find the one token of a request, or None when there is none.

    `authorization` holds every Authorization header, `form` every access_token of a form body. A token in
    the query is not looked for: RFC 6750 section 2.3 and RFC 9700 section 4.3.2 keep tokens out of addresses.
    """
    # RFC 6750 section 2: at most one method, and RFC 9110 section 11.6.2: one Authorization header.
    if len(authorization) + len(form) > 1:
        raise InvalidRequest("more than one credential")
    if form:
        return Credential(token=_checked(form[0]))
    if not authorization:
        return None
    scheme, _, rest = authorization[0].strip(" ").partition(" ")
    if scheme.lower() not in {"bearer", "dpop"}:
        return None
    return Credential(token=_checked(rest.strip(" ")), dpop=scheme.lower() == "dpop")


def _checked(token: str) -> str:
    if len(token) > MAX_TOKEN or TOKEN.fullmatch(token) is None:
        raise InvalidRequest("token is malformed")
    return token


def challenge(*, scheme: str = "Bearer", error: str = "", description: str = "", **attributes: str) -> str:
    """Write a WWW-Authenticate value; without an error it only asks (RFC 6750 section 3).

    Attributes (realm, scope, resource_metadata) are ours, never the caller's; what cannot stand in a
    quoted string is refused loudly here rather than escaped quietly.
    """
    pairs = {**attributes, "error": error, "error_description": description}
    written = [f'{name}="{_quotable(value)}"' for name, value in pairs.items() if value]
    return f"{scheme} {', '.join(written)}" if written else scheme


def _quotable(value: str) -> str:
    if not value.isascii() or not value.isprintable() or '"' in value or "\\" in value:
        raise ValueError("challenge text must be printable ASCII without quote or backslash")
    return value
