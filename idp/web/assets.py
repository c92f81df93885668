"""Static files: an address that names the content is kept for ever, any other is asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import request

from idp import assets

if TYPE_CHECKING:
    from flask import Flask, Response

FOR_EVER: Final = "public, max-age=31536000, immutable"
KEPT: Final = frozenset({200, 206, 304})


def init_app(app: Flask, *, product: str) -> None:
    """Give the templates `asset(path)` and the product's name, and the answers their Cache-Control."""
    app.jinja_env.globals.update(asset=assets.address, product=product)
    app.after_request(_keep)


def _keep(response: Response) -> Response:
    if request.endpoint != "static" or response.status_code not in KEPT:
        return response
    path = (request.view_args or {}).get("filename", "")
    if request.args.get("v") == assets.fingerprint(path):
        response.headers["Cache-Control"] = FOR_EVER
    return response
