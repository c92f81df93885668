"""Reading what a machine sends: a form, in the body, of a modest size. Nothing else counts.

Authlib's Flask request reads `request.values`, so a secret in the query would be taken; here it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from idp.protocol import form
from idp.protocol.errors import InvalidRequest

if TYPE_CHECKING:
    from flask import Request

    from idp.protocol.form import Pairs

FORM: Final = "application/x-www-form-urlencoded"
MAX_BODY: Final = 65_536
# RFC 6749 section 2.3.1: credentials never in the request URI; it ends in logs and histories.
SECRET: Final = frozenset(
    {
        "access_token",
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "grant_type",
        "refresh_token",
        "token",
    }
)


def read(request: Request) -> Pairs:
    """Return the pairs of a form body; refuse other bodies, and credentials in the query."""
    environ = request.environ
    query = environ.get("QUERY_STRING")
    if query:
        refuse_secrets_in_query(query)
    if not is_form(environ.get("CONTENT_TYPE", "")):
        raise UnsupportedMediaType
    return form.decode(body(request))


def is_form(content_type: str) -> bool:
    """Say whether a Content-Type names a URL-encoded form."""
    return content_type == FORM or content_type.partition(";")[0].strip().lower() == FORM


def body(request: Request) -> bytes:
    """Read at most MAX_BODY bytes; more is 413, whether announced or not."""
    if (request.content_length or 0) > MAX_BODY:
        raise RequestEntityTooLarge
    raw = request.stream.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise RequestEntityTooLarge
    return raw


def refuse_secrets_in_query(query: str) -> None:
    """Refuse a query that carries what belongs in the body; other parameters are ignored."""
    names = {name for name, _ in form.decode(query.encode("latin-1"))}
    if names & SECRET:
        raise InvalidRequest("credentials and grants belong in the body")
