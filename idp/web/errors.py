"""What is answered when something is refused or breaks: JSON to machines, a page to people, detail to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from flask import Response, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from idp.protocol.errors import InvalidRequest, ProtocolError, ServerError, TemporarilyUnavailable
from idp.web import metrics, refused
from idp.web.logs import log
from idp.web.machines import MACHINES
from idp.web.pages import error_page
from idp.web.server import RETRY_AFTER, refusal
from idp.web.services import support_id

if TYPE_CHECKING:
    from flask import Flask

WORDS: Final = {
    400: ("This request cannot be read", "Something in the address or the form is not as it should be."),
    403: (
        "This form is no longer valid",
        "It was sent before, opened too long ago, or in another browser. Go back to the app and look, or begin again.",
    ),
    404: ("There is no page here", "Check the address, or go back to the app that brought you here."),
    405: ("This address is used in another way", "Go back to the app that brought you here and begin again."),
    413: ("That was too much at once", "What was sent is larger than this page takes."),
    414: ("This address is too long", "Go back to the app that brought you here and begin again."),
    429: ("Too many at once", "Very many sign-ins were begun from your network. Wait a minute, then try again."),
    500: ("Something broke on our side", "It was not you. Try again; if it happens again, tell us the id below."),
    503: ("Too busy just now", "Nothing is lost. Wait a few seconds and try again."),
}
REDIRECTS: Final = frozenset({301, 302, 303, 304, 307, 308})
_DEFAULT: Final = ("That did not work", "Go back to the app that brought you here and begin again.")


def init_app(app: Flask) -> None:
    """Answer every refusal and fault of `app` here."""
    app.register_error_handler(ProtocolError, _refused)
    app.register_error_handler(CSRFError, _forged)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _broken)


def _refused(error: ProtocolError) -> Response:
    refused.note(error.error, error.reason or error.description, shown=not for_machine())
    if for_machine():
        return refusal(error, basic="Authorization" in request.headers)
    response = _page(error.status)
    if isinstance(error, TemporarilyUnavailable):
        response.headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_AFTER))
    return response


def _forged(error: CSRFError) -> Response:
    refused.note("csrf", str(error.description))
    return _page(403)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if error.response is not None or status in REDIRECTS:
        return cast("Response", Response.force_type(error.get_response(request.environ)))
    # By its kind: the description may quote the request.
    refused.note(str(status), type(error).__name__, shown=not for_machine())
    response = refusal(InvalidRequest("the request cannot be read"), status=status) if for_machine() else _page(status)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    valid_methods = getattr(error, "valid_methods", None)
    if valid_methods:
        response.headers["Allow"] = ", ".join(sorted(valid_methods))
    return response


def _broken(error: Exception) -> Response:
    metrics.fault(request.endpoint)
    log.error("fault", endpoint=request.endpoint, support_id=support_id(), exc_info=error)
    return refusal(ServerError("something broke on our side")) if for_machine() else _page(500)


def _page(status: int) -> Response:
    title, text = WORDS.get(status, _DEFAULT)
    return error_page(status, title, text)


def for_machine() -> bool:
    """Say whether the present request comes from a program rather than a person."""
    return request.path.startswith(MACHINES)
