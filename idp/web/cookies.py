"""The three cookies, all `__Host-`, Secure, HttpOnly, SameSite=Lax (ASVS 3.3.1 to 3.3.4).

Chromium and curl keep Secure cookies on http `localhost` and `127.0.0.1`, so the demo needs no exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import session

from idp.store.digests import new_secret

if TYPE_CHECKING:
    from datetime import timedelta

    from flask import Request, Response

SESSION = "__Host-gh_session"
DEVICE = "__Host-gh_device"
FLOW = "__Host-gh_flow"

_FLOW_KEY = "flow"


def session_secret(request: Request) -> str | None:
    """Return the secret of the browser's session, if it brings exactly one."""
    return _only(request, SESSION)


def device_secret(request: Request) -> str | None:
    """Return the secret by which an account knows this device, if it brings exactly one."""
    return _only(request, DEVICE)


def set_session(response: Response, secret: str) -> None:
    """Give the browser its session; it lasts while the browser runs, the store says how long it counts."""
    response.set_cookie(SESSION, secret, path="/", secure=True, httponly=True, samesite="Lax")


def clear_session(response: Response) -> None:
    """Take the session cookie away."""
    response.delete_cookie(SESSION, path="/", secure=True, httponly=True, samesite="Lax")


def set_device(response: Response, secret: str, lifetime: timedelta) -> None:
    """Let the browser be known again after a sign-in."""
    response.set_cookie(DEVICE, secret, max_age=lifetime, path="/", secure=True, httponly=True, samesite="Lax")


def flow() -> str:
    """Return the random id that binds sign-ins to this browser; made when first asked for."""
    held = session.get(_FLOW_KEY)
    if isinstance(held, str):
        return held
    return new_flow()


def known_flow() -> str | None:
    """Return the browser's flow id, or None for a browser that never began a sign-in here."""
    held = session.get(_FLOW_KEY)
    return held if isinstance(held, str) else None


def new_flow() -> str:
    """Forget the browser's flow and CSRF token and begin anew (after a sign-in ends, LG19)."""
    session.clear()
    session[_FLOW_KEY] = new_secret()
    return str(session[_FLOW_KEY])


def _only(request: Request, name: str) -> str | None:
    # A cookie tossed in beside ours makes two of one name: then neither counts.
    found = request.cookies.getlist(name)
    return found[0] if len(found) == 1 and found[0] else None
