"""What has ended a token before its time: looked up row by row, so that the reason has a name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from idp.accounts import roles
from idp.protocol import subject
from idp.store import account, client, grant, session, token
from idp.store.database import Session

REVOKED = "this token was revoked by itself"
LOST = "it names a role or scope that whoever it is about no longer has"


def reasons(tx: Session, claims: Mapping[str, object], now: dt.datetime) -> list[str]:
    """Return every reason why the provider no longer vouches for a token; none if it is live."""
    if token.is_live(tx, claims, now):
        return [] if roles.still_held(tx, claims) else [LOST]
    return [
        *_of_client(tx, claims),
        *_of_grant(tx, claims, now),
        *_of_session(tx, claims),
        *_of_parents(tx, claims),
    ] or [REVOKED]


def username(tx: Session, claims: Mapping[str, object]) -> str | None:
    """Name the person a token is about, if they have an account here."""
    found = account.find(tx, str(claims.get("sub")))
    return None if found is None else found.username


def _of_client(tx: Session, claims: Mapping[str, object]) -> Iterator[str]:
    found = client.find(tx, str(claims.get("client_id")))
    if found is None:
        yield "the app it was given to is not known here"
    elif found.disabled_at is not None:
        yield f"the app was disabled {_at(found.disabled_at)}"
    elif _issued_before(claims, found.not_before):
        yield "the app's earlier tokens were voided"


def _of_grant(tx: Session, claims: Mapping[str, object], now: dt.datetime) -> Iterator[str]:
    if "grant_id" not in claims:
        return
    given = grant.find(tx, str(claims["grant_id"]))
    if given is None:
        yield "the authorization it comes from is not known here"
    elif given.revoked_at is not None:
        yield f"the authorization was revoked {_at(given.revoked_at)} ({given.revoked_reason})"
    elif given.expires_at <= now:
        yield f"the authorization ended {_at(given.expires_at)}"
    person = account.find(tx, str(claims.get("sub")))
    if person is None:
        yield "the account is not known here"
    elif person.disabled_at is not None:
        yield f"the account was disabled {_at(person.disabled_at)}"
    elif _issued_before(claims, person.not_before):
        yield "the account's earlier tokens were voided, as by a new password"


def _of_session(tx: Session, claims: Mapping[str, object]) -> Iterator[str]:
    if "sid" not in claims:
        return
    found = session.find(tx, str(claims["sid"]))
    if found is None:
        yield "the browser session is not known here"
    elif found.ended_at is not None:
        yield f"the browser session ended {_at(found.ended_at)}"


def _of_parents(tx: Session, claims: Mapping[str, object]) -> Iterator[str]:
    for each in subject.links(claims):
        found = client.find(tx, each.client_id)
        if token.is_revoked(tx, each.jti):
            yield "a token it was exchanged from was revoked"
        elif found is None or found.disabled_at is not None or _issued_before(claims, found.not_before):
            yield "the app of a token it was exchanged from was closed"


def _issued_before(claims: Mapping[str, object], limit: dt.datetime | None) -> bool:
    issued = claims.get("iat")
    return limit is not None and isinstance(issued, int | float) and issued < limit.timestamp()


def _at(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
