"""Pages for people: rendered, never stored, framed by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import make_response, render_template

from idp.web.answer import NO_STORE
from idp.web.headers import content_security_policy
from idp.web.services import support_id

if TYPE_CHECKING:
    from flask import Response


def page(
    template: str,
    status: int = 200,
    *,
    form_to: str | None = None,
    image_from: str | None = None,
    **context: object,
) -> Response:
    """Render a page. `form_to` is the validated redirect URI where its form may end, `image_from` a logo's URI."""
    response = make_response(render_template(template, status=status, **context), status)
    response.headers["Cache-Control"] = NO_STORE
    response.headers["Content-Security-Policy"] = content_security_policy(form_to, image_from)
    return response


def error_page(status: int, title: str, text: str) -> Response:
    """Render the page for what went wrong: plain words, a support id, no detail (LO3)."""
    return page("error.html", status, title=title, text=text, support_id=support_id())
