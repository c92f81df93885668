"""CSRF: every POST that is not a protocol endpoint carries the token of its browser (ASVS 3.5.1).

Flask-WTF does the work; here is only who is exempt, so that forgetting to think about it protects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import request
from flask_wtf.csrf import CSRFProtect

if TYPE_CHECKING:
    from flask import Flask

# Reached by machines with credentials of their own, or by cross-site forms that only begin something.
EXEMPT: Final = frozenset({"/authorize", "/token", "/userinfo", "/introspect", "/revoke", "/end_session", "/events"})
# Answers of other providers, by form_post, and their word that somebody has signed out; each proves itself.
EXEMPT_UNDER: Final = ("/federation/callback/", "/federation/signed-out/")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_protection = CSRFProtect()


def init_app(app: Flask) -> None:
    """Protect every page of `app`; failures are Flask-WTF's CSRFError, answered 403 by `idp.web.errors`."""
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,  # ours below asks the path first, which costs less
        WTF_CSRF_SSL_STRICT=False,  # Referrer-Policy may leave no Referer; the token is the proof
        WTF_CSRF_TIME_LIMIT=None,  # lives as long as the browser's flow does
    )
    _protection.init_app(app)
    app.before_request(_check)


def _check() -> None:
    environ = request.environ
    if environ["REQUEST_METHOD"] in _SAFE or _exempt(environ.get("PATH_INFO", "")):
        return
    _protection.protect()


def _exempt(path: str) -> bool:
    return path in EXEMPT or path.startswith(EXEMPT_UNDER)
