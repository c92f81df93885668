"""Work in other threads, once for all who want the same."""

from __future__ import annotations

import threading

import pytest

from idp.gateway.flight import Flight
from tests.gateway.exchanging import until


@pytest.fixture
def flight():
    made: Flight[int] = Flight("test", threads=2, most=2)
    yield made
    made.stop()


def test_whoever_wants_the_same_waits_for_the_same(flight):
    go, done = threading.Event(), []

    def work():
        go.wait(5)
        done.append(1)
        return 7

    futures = [flight.join(b"a", work) for _ in range(5)]
    assert len({id(future) for future in futures}) == 1
    go.set()
    assert futures[0].result(5) == 7
    assert done == [1]
    until(lambda: len(flight) == 0)
    assert flight.join(b"a", lambda: 8).result(5) == 8


def test_no_more_than_so_many_are_under_way(flight):
    go = threading.Event()
    futures = [flight.join(key, lambda: go.wait(5)) for key in (b"a", b"b")]
    assert flight.join(b"c", lambda: True) is None
    go.set()
    assert all(future.result(5) for future in futures)


def test_one_of_many_has_no_more_than_its_share():
    flight: Flight[bool] = Flight("test", threads=1, most=9, share=2)
    go = threading.Event()
    futures = [flight.join(key, lambda: go.wait(5), "greedy") for key in (b"a", b"b")]
    assert flight.join(b"c", lambda: True, "greedy") is None
    assert flight.join(b"b", lambda: True, "greedy") is futures[1]
    other = flight.join(b"d", lambda: True, "other")
    go.set()
    assert other.result(5)
    until(lambda: len(flight) == 0)
    assert not flight._held
    assert flight.join(b"c", lambda: True, "greedy").result(5)
    flight.stop()


def test_a_failure_ends_the_work_too(flight):
    future = flight.join(b"a", lambda: 1 // 0)
    assert isinstance(future.exception(5), ZeroDivisionError)
    until(lambda: len(flight) == 0)


def test_it_can_be_stopped_before_and_after_it_has_worked(flight):
    flight.stop()
    assert flight.join(b"a", lambda: 1).result(5) == 1
    flight.stop()
    assert flight.join(b"b", lambda: 2).result(5) == 2
