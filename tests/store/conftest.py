"""A database without tables, a master key, and rows that many tests need."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from idp.store import account, client, grant, session
from idp.store.digests import digest
from idp.store.sealed import create_master_key, load_master_key

NOW = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.fixture
def now():
    return NOW


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    """Return the URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    cluster = request.getfixturevalue("postgres")
    name = f"empty_{uuid.uuid4().hex}"
    yield cluster.create(name)
    cluster.drop(name)


@pytest.fixture
def sealer(tmp_path):
    create_master_key(tmp_path / "master.key")
    return load_master_key(tmp_path / "master.key")


@pytest.fixture
def person(db, now):
    """Return an account, a client, a session and a grant that belong together."""
    with db.write() as tx:
        alice = account.create(tx, username="alice", email="alice@example.org", now=now)
        client.create(tx, client_id="web-app", name="Web app", auth_method="none", now=now)
        later = now + dt.timedelta(days=7)
        opened = session.create(
            tx,
            cookie_hash=digest("cookie"),
            account_id=alice.id,
            acr="aal1",
            amr=["pwd"],
            now=now,
            idle_expires_at=later,
            expires_at=later,
        )
        return grant.create(
            tx,
            account_id=alice.id,
            client_id="web-app",
            session_id=opened.id,
            scopes={"https://id.example": ["openid"]},
            auth_time=now,
            acr="aal1",
            amr=["pwd"],
            now=now,
            expires_at=now + dt.timedelta(days=90),
        )
