"""How often a client may ask for exchanges."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from idp.clients import quota
from idp.protocol.errors import TooManyRequests
from idp.store import counter
from idp.store.database import Database

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


def take(db, *, client_id="gateway", after=0.0, limit=3, audience=""):
    """Take one, and say whether there was one: None, or when to come again and whether this is recorded."""
    try:
        with db.write() as tx:
            quota.take(tx, client_id, NOW + dt.timedelta(seconds=after), limit=limit, audience=audience)
    except TooManyRequests as refused:
        return refused.retry_after, refused.first
    return None


@pytest.mark.spec("RFC 6585 section 4")
def test_a_minute_has_so_many_and_then_another_one_begins(db):
    assert [take(db, after=second) for second in (0, 1, 2)] == [None] * 3
    assert [take(db, after=second) for second in (3, 30.5, 59.9)] == [(57, True), (30, False), (1, False)]
    assert take(db, after=60) is None
    assert [take(db, after=61), take(db, after=62), take(db, after=63)] == [None, None, (57, True)]


def test_a_clock_that_is_behind_that_of_the_others_waits_no_longer_than_a_minute(db):
    assert take(db, after=0, limit=1) is None
    assert take(db, after=-5, limit=1) == (60, True)


def test_clients_and_targets_count_by_themselves(db):
    for told in ({"client_id": "one"}, {"client_id": "two"}, {"audience": "https://a"}, {"audience": "https://b"}):
        assert take(db, limit=1, **told) is None
        assert take(db, limit=1, **told) is not None


def test_a_count_that_is_swept_away_meanwhile_is_a_minute_that_begins(db, monkeypatch):
    take(db, limit=1)
    monkeypatch.setattr(counter, "began", lambda _tx, _key: None)
    assert take(db, limit=1) == (60, True)


def test_of_many_at_once_at_two_workers_exactly_as_many_pass_as_may(db, database_url):
    other = Database.open(database_url)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda number: take((db, other)[number % 2], limit=7), range(24)))
    other.close()
    assert told.count(None) == 7
    assert sum(first for _, first in filter(None, told)) == 1
