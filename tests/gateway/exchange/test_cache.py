"""What was exchanged is kept within bounds."""

from __future__ import annotations

from collections import OrderedDict

from idp.gateway.exchange.cache import Cache, Entry, _evict
from idp.gateway.exchange.outcome import Failed, Issued
from idp.gateway.revocation.marks import marks_of

REFUSED, AWAY = Failed(kind="refused", reason="x"), Failed(kind="away", reason="y")


def issued(name="one", ends=1_000.0):
    return Issued(token=name.encode(), ends=ends, marks=marks_of({"jti": name}))


def put(cache, key, **facts):
    cache.put(key, issued(**facts), ttl=60.0, inbound_ends=1_000.0, now=100.0)


def test_it_is_bounded_both_ways():
    cache = Cache(size=2, failures=2)
    for key in (b"1", b"2", b"3"):
        put(cache, key)
        cache.fail(b"f" + key, AWAY, 100.0)
    assert len(cache) == 2
    assert cache.find(b"1", 100.0) is cache.find(b"f1", 100.0) is None
    assert isinstance(cache.find(b"3", 100.0), Entry)
    assert cache.find(b"f3", 100.0) is AWAY


def test_a_failure_is_forgotten_soon_and_gives_way_to_a_token():
    cache = Cache()
    cache.fail(b"1", REFUSED, 100.0)
    assert cache.find(b"1", 104.0) is REFUSED
    assert cache.find(b"1", 105.0) is None
    cache.fail(b"1", REFUSED, 105.0)
    put(cache, b"1")
    assert isinstance(cache.find(b"1", 106.0), Entry)
    cache.drop(b"1")
    assert cache.find(b"1", 106.0) is None


def test_it_is_due_once_in_two_seconds():
    entry = Entry(issued(), until=200.0, renew_at=150.0)
    assert [entry.due(now) for now in (149.0, 150.0, 151.0, 152.0)] == [False, True, False, True]


def test_what_was_revoked_goes_and_the_rest_stays():
    cache = Cache()
    put(cache, b"1", name="one")
    put(cache, b"2", name="two")
    assert cache.sweep(lambda marks: "token one" in marks.exact) == 1
    assert cache.find(b"1", 100.0) is None
    assert isinstance(cache.find(b"2", 100.0), Entry)


def test_another_thread_may_be_faster():
    _evict(OrderedDict())


def test_nothing_secret_is_printed():
    assert "one" not in repr(issued())
