"""Reading what a machine sends: a form, in the body, of a modest size. Nothing else counts.

Authlib's Flask request reads `request.values`, so a secret in the query would be taken; here it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.wsgi import get_input_stream

from idp.protocol import form
from idp.protocol.errors import InvalidRequest

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

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
    """Return the pairs of a form body; refuse other bodies, and credentials in the query.

    The body stays with the request, so that a CSRF check may read it after us.
    """
    _check(request.environ)
    return form.decode(request.get_data())


def take(environ: WSGIEnvironment) -> Pairs:
    """Do the same straight from the server, for endpoints that nobody reads after (it costs a third)."""
    _check(environ)
    return form.decode(body(environ))


def _check(environ: WSGIEnvironment) -> None:
    query = environ.get("QUERY_STRING")
    if query:
        refuse_secrets_in_query(query)
    content_type = environ.get("CONTENT_TYPE", "")
    nothing = not content_type and environ.get("CONTENT_LENGTH") in {None, "", "0"}
    if not nothing and not is_form(content_type):
        raise UnsupportedMediaType


def is_form(content_type: str) -> bool:
    """Say whether a Content-Type names a URL-encoded form."""
    return content_type == FORM or content_type.partition(";")[0].strip().lower() == FORM


def body(environ: WSGIEnvironment) -> bytes:
    """Read at most MAX_BODY bytes; more is 413, whether announced or not."""
    announced = environ.get("CONTENT_LENGTH") or ""
    if announced.isdecimal():
        if len(announced) > len(str(MAX_BODY)) or int(announced) > MAX_BODY:
            raise RequestEntityTooLarge
        raw: bytes = environ["wsgi.input"].read(int(announced))
        if len(raw) != int(announced):
            raise InvalidRequest("the body is cut short")
        return raw
    # Chunked: the server says where the body ends, if it can; else there is none.
    raw = get_input_stream(environ).read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise RequestEntityTooLarge
    return raw


def refuse_secrets_in_query(query: str) -> None:
    """Refuse a query that carries what belongs in the body; other parameters are ignored."""
    names = {name for name, _ in form.decode(query.encode("latin-1"))}
    if names & SECRET:
        raise InvalidRequest("credentials and grants belong in the body")
