"""Security events about what is over: a token, a session, grants, the tokens of persons, of a client, of a key, or all.

Security event tokens (RFC 8417) with the event types of OpenID CAEP 1.0 and subjects of RFC 9493, for one purpose:
whoever checks tokens by itself learns which of them count no longer. Beside what CAEP has, an event says
`not_before` (tokens issued earlier are void), `grant_ids`, `subs` and `kids`, and `until` (when it may be forgotten).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeGuard, get_args

from idp.protocol.errors import InvalidRequest
from idp.protocol.strict_json import Malformed, read_object

SET_TYP: Final = "secevent+jwt"  # RFC 8417 section 2.3
_CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
SESSION_REVOKED: Final = _CAEP + "session-revoked"
TOKEN_CLAIMS_CHANGE: Final = _CAEP + "token-claims-change"
CREDENTIAL_CHANGE: Final = _CAEP + "credential-change"
TYPES: Final = (SESSION_REVOKED, TOKEN_CLAIMS_CHANGE, CREDENTIAL_CHANGE)

# An account is whatever `sub` names: a service that acts for itself is its own.
Kind = Literal["token", "session", "grants", "key", "account", "client", "everything"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_LISTS: Final[Mapping[Kind, str]] = {"grants": "grant_ids", "account": "subs", "key": "kids"}
MOST_EVENTS: Final = 200  # in one answer: some 150 KB
_MAX_ACKS: Final = 2_000
_MAX_ID: Final = 512

# CAEP 1.0 section 3.3: what happened to which credential. Everything else ends sessions and nothing more.
CREDENTIALS: Final[Mapping[str, Mapping[str, object]]] = {
    "password changed": {"credential_type": "password", "change_type": "update"},
    "second factor reset": {"credential_type": "app", "change_type": "delete"},
}
# CAEP 1.0 section 3.2: the claims that are no longer as the tokens say.
CLAIMS: Final[Mapping[str, Mapping[str, object]]] = {"roles changed": {"claims": {}}}


class BadEvent(ValueError):
    """The claims are not those of an event that is understood here. `code` is one of RFC 8935 section 2.4."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is over. Times are whole seconds, as `iat` is."""

    kind: Kind
    ids: tuple[str, ...] = ()  # of tokens, sessions, grants, keys, accounts or the client; none of "everything"
    not_before: int | None = None
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What a recipient asks (RFC 8936 section 2.4)."""

    most: int
    acknowledged: tuple[str, ...]
    failed: Mapping[str, str]

    @classmethod
    def parse(cls, body: str) -> Poll:
        """Read a request; members that are unknown mean nothing."""
        try:
            asked = read_object(body)
        except Malformed:
            raise InvalidRequest("the body is not the JSON of a poll request") from None
        most = asked.get("maxEvents", MOST_EVENTS)
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise InvalidRequest("maxEvents is not a number of events")
        acks = asked.get("ack", [])
        if not isinstance(acks, list) or len(acks) > _MAX_ACKS or not all(_is_id(each) for each in acks):
            raise InvalidRequest("ack is not a list of event ids")
        if not isinstance(asked.get("returnImmediately", False), bool):
            raise InvalidRequest("returnImmediately is not a boolean")
        failed = _failed(asked.get("setErrs", {}))
        return cls(most=min(most, MOST_EVENTS), acknowledged=tuple(acks), failed=failed)


def claims(
    ended: Ended, *, jti: str, issuer: str, audience: str, issued_at: int, happened_at: float, reason: str
) -> dict[str, object]:
    """Write the claims of a security event token (RFC 8417 section 2.2). It has no `exp` and no `sub`."""
    event: dict[str, object] = {
        "event_timestamp": int(happened_at),
        "reason_admin": {"en": reason},
        "until": ended.until,
    }
    if ended.not_before is not None:
        event["not_before"] = ended.not_before
    if (listed := _listed(ended)) is not None:
        event[listed] = list(ended.ids)
    return {
        "iss": issuer,
        "jti": jti,
        "iat": issued_at,
        "toe": happened_at,
        "aud": audience,
        "sub_id": _subject(ended, issuer),
        "events": {_type(reason): {**event, **CREDENTIALS.get(reason, {}), **CLAIMS.get(reason, {})}},
    }


def read(given: Mapping[str, object], *, issuer: str, audience: str) -> Ended | None:
    """Read claims whose signature and typ were checked; None for an event of a type that says nothing here."""
    if given.get("iss") != issuer:
        raise BadEvent("invalid_issuer", "iss is another")
    if given.get("aud") not in (audience, [audience]):
        raise BadEvent("invalid_audience", "aud is another")
    events = given.get("events")
    if not isinstance(events, dict) or not events:
        raise BadEvent("invalid_request", "events is missing")
    for name in TYPES:
        if name in events:
            return _ended(given.get("sub_id"), events[name], issuer)
    return None


def _subject(ended: Ended, issuer: str) -> dict[str, object]:
    """RFC 9493 section 3, and the complex subjects of OpenID Shared Signals 1.0 section 3.3."""
    opaque = {"format": "opaque", "id": ended.ids[0]} if ended.ids else {}
    match ended.kind:
        case "token":
            return {"format": "jwt_id", "iss": issuer, "jti": ended.ids[0]}
        case "account" if len(ended.ids) == 1:
            return {"format": "iss_sub", "iss": issuer, "sub": ended.ids[0]}
        case "session":
            return {"format": "complex", "session": opaque}
        case "client":
            return {"format": "complex", "application": opaque}
    # These have no subject format of their own, and everything is of the tenant that the issuer is.
    return {"format": "complex", "tenant": {"format": "uri", "uri": issuer}}


def _listed(ended: Ended) -> str | None:
    """Name the member of the event that lists what the subject cannot."""
    return None if ended.kind == "account" and len(ended.ids) == 1 else _LISTS.get(ended.kind)


def _type(reason: str) -> str:
    if reason in CREDENTIALS:
        return CREDENTIAL_CHANGE
    return TOKEN_CLAIMS_CHANGE if reason in CLAIMS else SESSION_REVOKED


def _ended(subject: object, event: object, issuer: str) -> Ended:
    if not isinstance(subject, dict) or not isinstance(event, dict):
        raise BadEvent("invalid_request", "the event has no subject")
    kind, ids = _who(subject, event, issuer)
    not_before, until = event.get("not_before"), event.get("until")
    if not _is_time(until) or not (not_before is None or _is_time(not_before)):
        raise BadEvent("invalid_request", "the event has no times")
    if (not_before is None) != (kind in {"token", "session", "grants", "key"}):
        raise BadEvent("invalid_request", "not_before does not fit the subject")
    return Ended(kind=kind, ids=ids, not_before=not_before, until=until)


def _who(subject: Mapping[str, object], event: Mapping[str, object], issuer: str) -> tuple[Kind, tuple[str, ...]]:
    match subject:
        case {"format": "jwt_id", "iss": str(iss), "jti": str(jti)} if iss == issuer:
            return "token", (jti,)
        case {"format": "iss_sub", "iss": str(iss), "sub": str(sub)} if iss == issuer:
            return "account", (sub,)
        case {"format": "complex", "session": {"format": "opaque", "id": str(sid)}}:
            return "session", (sid,)
        case {"format": "complex", "application": {"format": "opaque", "id": str(client_id)}}:
            return "client", (client_id,)
        case {"format": "complex", "tenant": {"format": "uri", "uri": str(uri)}} if uri == issuer:
            return _tenant(event)
    raise BadEvent("invalid_request", "the subject is not understood")


def _tenant(event: Mapping[str, object]) -> tuple[Kind, tuple[str, ...]]:
    for kind, member in _LISTS.items():
        if member not in event:
            continue
        listed = event[member]
        if not isinstance(listed, list) or not listed or not all(isinstance(each, str) for each in listed):
            raise BadEvent("invalid_request", f"{member} is not a list of names")
        return kind, tuple(listed)
    return "everything", ()


def _failed(given: object) -> dict[str, str]:
    """RFC 8936 section 2.6: what the recipient could not use, and why."""
    if not isinstance(given, dict) or len(given) > _MAX_ACKS:
        raise InvalidRequest("setErrs is not an object")
    read: dict[str, str] = {}
    for jti, said in given.items():
        code = said.get("err") if isinstance(said, dict) else None
        if not _is_id(jti) or not _is_id(code):
            raise InvalidRequest("setErrs does not name events and errors")
        read[jti] = code
    return read


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _MAX_ID


def _is_time(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
