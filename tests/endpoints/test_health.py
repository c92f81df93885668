"""Is the process alive, and can it do its work."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from idp.store.database import StoreUnavailable


def test_lives_and_is_ready(http):
    assert http.get("/healthz").json == {"status": "ok"}
    assert http.get("/readyz").json == {"status": "ready"}


def test_lives_but_is_not_ready_while_the_store_is_away(http, services, monkeypatch):
    @contextmanager
    def away(_self):
        raise StoreUnavailable("the store is not available")
        yield

    monkeypatch.setattr(type(services.db), "read", away)
    assert http.get("/healthz").status_code == 200
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_may_ask_by_any_name(http, path):
    assert http.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200
