"""POST /events (RFC 8936): gateways ask, several times a second, which tokens count no longer, and say what they heard.

One stream for each gateway: a client that serves an API, and with `?stream=NAME` one for each of its instances. It
opens at the first question, with everything in it that may still matter. A question is answered at once: the time
that one may wait is none (section 2.4: the two sides agree on it), since each would hold a thread.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flask import Blueprint, request
from werkzeug.exceptions import UnsupportedMediaType

from idp.clients.authentication import Presented
from idp.jose.sign import sign
from idp.protocol import security_event
from idp.protocol.errors import AccessDenied, InvalidRequest
from idp.protocol.security_event import SET_TYP, Ended, Poll
from idp.store import event
from idp.web import form
from idp.web.answer import answer
from idp.web.services import caller as address
from idp.web.services import services

if TYPE_CHECKING:
    from datetime import datetime

    from flask import Response

    from idp.clients.client import Client
    from idp.web.services import Services

blueprint = Blueprint("events", __name__)

PATH: Final = "/events"
SIGNED_WITH: Final = "ES256"
_SEEN_EVERY: Final = timedelta(minutes=1)  # a write a minute, not one a question
_LEEWAY: Final = timedelta(seconds=90)  # the most by which a gateway believes a token beyond its end, and some
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{0,64}")
_JSON: Final = "application/json"


@blueprint.post(PATH)
def poll() -> Response:
    """Answer a poll request (RFC 8936 section 2.2)."""
    held = services()
    now = held.clock()
    caller = _caller(held, now)
    asked = Poll.parse(_body())
    name = request.args.get("stream", "")
    if _NAME.fullmatch(name) is None:
        raise InvalidRequest("stream is not a name")
    stream_id = _stream(held, caller, name, asked, now)
    return answer(_told(held, caller, stream_id, asked.most, now))


def _caller(held: Services, now: datetime) -> Client:
    """Authenticate by Basic, or by an assertion for this very address as bearer (RFC 7523 section 3)."""
    header = request.environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, credential = header.partition(" ")
    if scheme.lower() == "bearer":
        caller = held.client_authentication.bearer(credential, audience=held.settings.issuer + PATH, now=now)
    else:
        caller = held.client_authentication.authenticate(Presented(authorization=header, values={}), now)
    if not caller.serves:
        raise AccessDenied("the client serves no API")
    return caller


def _body() -> str:
    if request.mimetype != _JSON:
        raise UnsupportedMediaType
    try:
        return form.body(request.environ).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8") from None


def _stream(held: Services, caller: Client, name: str, asked: Poll, now: datetime) -> str:
    """Find the stream, or open it; take away what was acknowledged. Most questions write nothing."""
    with held.db.read() as tx:
        stream = event.find_stream(tx, caller.client_id, name)
    if stream is None:
        with held.db.write() as tx:
            stream_id = event.open_stream(tx, caller.client_id, name, now, since=now - _memory(held))
            held.audit.record(tx, "events.stream_opened", client_id=caller.client_id, ip=address(), stream=name)
        return stream_id
    gone = (*asked.acknowledged, *asked.failed)
    if gone or now - stream.seen_at >= _SEEN_EVERY:
        with held.db.write() as tx:
            event.seen(tx, stream.id, now)
            if gone:
                event.acknowledge(tx, stream.id, gone)
            # RFC 8936 section 2.6: what the recipient cannot use is not sent again; somebody has to know.
            for jti, code in asked.failed.items():
                held.audit.record(tx, "events.not_understood", client_id=caller.client_id, event_id=jti, error=code)
    return stream.id


def _told(held: Services, caller: Client, stream_id: str, most: int, now: datetime) -> dict[str, object]:
    if most == 0:
        return {"sets": {}}
    memory = _memory(held)
    with held.db.read() as tx:
        found = event.waiting(tx, stream_id, since=now - memory, limit=most + 1)
    told = found[:most]
    sets = {each.id: _set(held, caller, each, memory, now) for each in told}
    return {"sets": sets, "moreAvailable": len(found) > most}


def _set(held: Services, caller: Client, each: event.Event, memory: timedelta, now: datetime) -> str:
    end = each.at + memory if each.expires_at is None else each.expires_at + _LEEWAY
    ended = Ended(
        kind=each.kind,  # type: ignore[arg-type]  # written by us alone
        ids=tuple(each.ids),
        not_before=None if each.not_before is None else int(each.not_before.timestamp()),
        until=int(end.timestamp()) + 1,
    )
    claims = security_event.claims(
        ended,
        jti=each.id,
        issuer=held.settings.issuer,
        audience=caller.client_id,
        issued_at=int(now.timestamp()),
        happened_at=round(each.at.timestamp(), 3),
        reason=each.reason,
    )
    return sign(claims, held.keyring.signing(_alg(held), now), typ=SET_TYP)


def _alg(held: Services) -> str:
    algs = held.settings.signing_algs
    return SIGNED_WITH if SIGNED_WITH in algs else algs[0]


def _memory(held: Services) -> timedelta:
    """How long something that ended may still matter: as long as a token of that moment may live."""
    return max(held.settings.access_token_longest, held.settings.access_token_lifetime) + _LEEWAY
