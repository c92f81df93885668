"""The arithmetic of buckets."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.gateway.limits.bucket import Ask, Buckets, Local, refill, remaining, wait
from idp.gateway.limits.model import PERIODS, SECOND, Limit, Meter

rates = st.tuples(st.integers(1, 1_000_000), st.sampled_from(sorted(PERIODS)), st.integers(1, 1_000))


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def limit(count: int, period: str, burst: int) -> Limit:
    return Limit(name="x", by="client", count=count, period=period, burst=burst)


def ask(meter: Meter, key: str = "a", *, stranger: bool = False) -> Ask:
    return Ask(meter=meter, key=("scope", key), stranger=stranger)


@given(rate=rates, steps=st.lists(st.integers(0, 5_000_000), max_size=200))
def test_in_no_window_passes_more_than_burst_and_rate(rate, steps):
    count, period, burst = rate
    clock, meter = Clock(), limit(*rate).meter()
    local = Local(clock)
    passed: list[int] = []
    for step in steps:
        clock.now += step
        if local.take([ask(meter)]).passed:
            passed.append(clock.now)
    for first, began in enumerate(passed):
        for number, ended in enumerate(passed[first:], 1):
            assert (number - burst) * PERIODS[period] <= count * (ended - began)


@given(rate=rates, replicas=st.integers(1, 9), steps=st.lists(st.integers(0, 3_000_000), max_size=60))
def test_the_shares_of_all_gateways_are_one_limit(rate, replicas, steps):
    count, period, burst = rate
    clock, share = Clock(), limit(*rate).meter(replicas)
    gateways = [Local(clock) for _ in range(replicas)]
    passed = 0
    for step in steps:
        clock.now += step
        passed += sum(gateway.take([ask(share)]).passed for gateway in gateways)
    # Of a burst smaller than the number of gateways each still has one: none is closed for all.
    assert (passed - max(burst, replicas)) * PERIODS[period] <= count * clock.now
    if steps:
        assert passed >= replicas


@given(rate=rates, steps=st.lists(st.integers(0, 2_000_000), min_size=1, max_size=50))
def test_what_a_caller_is_told_is_true(rate, steps):
    clock, meter = Clock(), limit(*rate).meter()
    local = Local(clock)
    for step in steps:
        clock.now += step
        taken = local.take([ask(meter)])
        (level,) = taken.levels
        assert 0 <= level <= meter.capacity
        assert taken.passed or remaining(meter, level) == 0
        if not taken.passed:
            assert wait(meter, level) >= 1
            later = Clock()
            again = Local(later)
            again._callers.put(("scope", "a"), level, 0)
            later.now = wait(meter, level) * SECOND
            assert again.take([ask(meter)]).passed


@given(rate=rates, others=st.lists(rates, max_size=3))
def test_all_or_none(rate, others):
    clock = Clock()
    local = Local(clock)
    asked = [ask(limit(*each).meter(), key=f"{number}") for number, each in enumerate([rate, *others])]
    passes = min(each[2] for each in [rate, *others])
    for _ in range(passes):
        assert local.take(asked).passed
    before = local.take(asked)
    assert not before.passed
    assert local.take(asked) == before
    assert [remaining(each.meter, level) for each, level in zip(asked, before.levels, strict=True)] == [
        each[2] - passes for each in [rate, *others]
    ]


def test_refill_says_when_the_bucket_is_as_good_as_new():
    meter = limit(2, "s", 10).meter()
    assert refill(meter, meter.capacity) == 5
    assert refill(meter, meter.cost) == 1
    assert refill(meter, 0) == 0
    assert wait(meter, 0) == 0


def test_a_clock_that_goes_back_lets_nothing_run_out():
    clock, meter = Clock(), limit(1, "s", 1).meter()
    clock.now = 10 * SECOND
    local = Local(clock)
    assert local.take([ask(meter)]).passed
    clock.now = 0
    assert not local.take([ask(meter)]).passed


def test_buckets_are_bounded_and_those_in_use_stay():
    buckets, meter = Buckets(kept=100), limit(1, "h", 1).meter()
    buckets.put(("scope", "old"), meter.cost, 0)
    for number in range(10_000):
        buckets.put(("scope", f"{number}"), meter.cost, 0)
        buckets.put(("scope", "busy"), meter.cost, 0)
        assert len(buckets) <= 101
    assert buckets.level(("scope", "busy"), meter, 0) == meter.cost
    assert buckets.level(("scope", "old"), meter, 0) == 0


def test_a_bucket_of_the_older_generation_still_counts():
    buckets, meter = Buckets(kept=4), limit(1, "h", 1).meter()
    for name in ("a", "b", "c"):
        buckets.put(("scope", name), meter.cost, 0)
    assert buckets.level(("scope", "a"), meter, 0) == meter.cost


def test_strangers_cannot_push_out_callers():
    clock, meter = Clock(), limit(1, "h", 1).meter()
    local = Local(clock, kept=10)
    assert local.take([ask(meter, "alice")]).passed
    for number in range(100):
        local.take([ask(meter, f"{number}", stranger=True)])
    assert not local.take([ask(meter, "alice")]).passed


def test_what_passed_elsewhere_is_counted_up_to_the_brim():
    clock, meter = Clock(), limit(1, "h", 2).meter()
    local = Local(clock)
    for _ in range(5):
        local.note([ask(meter)])
    assert local.take([ask(meter)]).levels == [meter.capacity]
    clock.now = 3_600 * SECOND
    assert local.take([ask(meter)]).passed


def test_threads_take_no_more_than_there_is():
    meter = limit(1, "h", 500).meter()
    local = Local(lambda: 0)
    passed: list[bool] = []

    def run() -> None:
        passed.extend(local.take([ask(meter)]).passed for _ in range(300))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 500


@pytest.mark.parametrize(("burst", "replicas", "room"), [(10, 3, 3), (2, 3, 1), (9, 3, 3)])
def test_a_share_is_a_whole_number_and_never_nothing(burst, replicas, room):
    meter = limit(5, "s", burst).meter(replicas)
    assert (meter.capacity // meter.cost, meter.cost) == (room, replicas * SECOND)
