"""A database that still takes connections and answers nothing."""

from __future__ import annotations

import time

import pytest

from idp.store import patience
from tests.faults.stopped import hung

LONGEST = patience.SECONDS + 5  # one statement, or one connection, and a busy machine


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("pooled", [True, False], ids=["connected", "not connected"])
def test_a_hung_database_is_answered_503_within_seconds(app, http, service, services, postgres, pooled):
    form = {"grant_type": "client_credentials"}
    assert http.post("/token", data=form, headers=service.basic).status_code == 200
    if not pooled:
        services.db.engine.dispose()
    stranger = {"client_id": "nobody", "client_secret": "x"}
    with hung(postgres.program.pid):
        began = time.monotonic()
        answer = http.post("/token", data=form | stranger)
        took = time.monotonic() - began
        page = http.get("/readyz")
    assert (answer.status_code, answer.json["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"]
    assert took < LONGEST
    assert page.status_code == 503
    assert http.post("/token", data=form, headers=service.basic).status_code == 200
