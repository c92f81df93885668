"""Refusals of callers whom nobody has identified: counted, and logged under an id that a page may show.

They are no audit rows: whoever can ask could fill the record, and the table never forgets (docs/decisions/0008).
"""

from __future__ import annotations

from flask import request

from idp.web import metrics
from idp.web.logs import log
from idp.web.services import caller, support_id


def note(error: str, reason: str, *, shown: bool = True, **ids: str | None) -> None:
    """Count a refusal and log why. One whose id was `shown` to a person is found at the usual log levels."""
    metrics.refused(request.endpoint, error)
    say = log.warning if shown else log.info
    say("refused", endpoint=request.endpoint, error=error, reason=reason, ip=caller(), support_id=support_id(), **ids)
