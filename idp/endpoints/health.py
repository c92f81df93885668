"""GET /healthz and /readyz: is the process alive, and can it do its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint

from idp.protocol.errors import TemporarilyUnavailable
from idp.web.answer import answer
from idp.web.server import refusal
from idp.web.services import services

if TYPE_CHECKING:
    from flask import Response

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that the process answers; nothing behind it is asked, so that a slow store does not get it killed."""
    return answer({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether the store answers and there is a key to sign with."""
    held = services()
    try:
        held.db.ping()
        held.keyring.verifying(held.clock())
    except TemporarilyUnavailable:
        return refusal(TemporarilyUnavailable("the store is not available"))
    return answer({"status": "ready"})
