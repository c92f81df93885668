"""Security headers: what a browser may do with our pages, and that nobody keeps our answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from idp.web.answer import NO_STORE, Answer

if TYPE_CHECKING:
    from flask import Flask, Response

_PAGE: Final = {
    "Cache-Control": NO_STORE,
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
HSTS: Final = "max-age=63072000"


# No Cross-Origin-Opener-Policy: apps that sign in through a popup would lose sight of it, and frames are forbidden.


def init_app(app: Flask, *, https: bool) -> None:
    """Set the headers on everything `app` answers; `https` says whether the issuer is served by TLS."""

    def finish(response: Response) -> Response:
        headers = response.headers
        if https:
            headers["Strict-Transport-Security"] = HSTS
        if type(response) is Answer:
            return response  # has its headers already
        headers["X-Content-Type-Options"] = "nosniff"
        if response.mimetype == "text/html":
            for name, value in _PAGE.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", content_security_policy())
        return response

    app.after_request(finish)


def always(*, https: bool) -> list[tuple[str, str]]:
    """Return what every answer to a program has, for those that leave without Flask."""
    told = [("X-Content-Type-Options", "nosniff")]
    return [("Strict-Transport-Security", HSTS), *told] if https else told


def content_security_policy(form_to: str | None = None, image_from: str | None = None) -> str:
    """Return the policy of a page whose form may end at `form_to` (a validated redirect URI).

    Chromium checks form-action along every redirect that follows, the app's own too. Brokers and sign-in hosts send
    people on to other origins, so beside the app's address any https one is allowed (docs/decisions/0009).
    """
    forms = "'self'"
    if form_to:
        forms += " https:" if form_to.startswith("https:") else f" https: {source(form_to)}"
    images = f"'self' data: {source(image_from)}" if image_from else "'self' data:"
    return (
        f"default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; img-src {images}; "
        f"connect-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    )


def source(uri: str) -> str:
    """Name where a registered URI leads, as a policy spells it (CSP 3 section 2.3.1)."""
    parts = urlsplit(uri)
    # A host-source has no brackets, so IPv6 loopback and the schemes of apps are named by scheme alone.
    if parts.scheme not in {"https", "http"} or parts.netloc.startswith("["):
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}"
