"""What the gateway counts: exact, bounded, and readable by Prometheus."""

from __future__ import annotations

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from idp.gateway import metrics
from idp.gateway.metrics import Registry


def read(registry: Registry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read what Prometheus' own parser reads."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(registry.render().decode())
        for sample in family.samples
    }


def test_counts_by_labels():
    registry = Registry()
    counter = registry.counter("gatehouse_things_total", "Things", "kind", "end")
    counter.inc("a", "good")
    counter.inc("a", "good", by=2)
    counter.inc("b", "bad")
    assert read(registry)["gatehouse_things_total", frozenset({("kind", "a"), ("end", "good")})] == 3
    assert counter.value("b", "bad") == 1
    assert counter.value("never", "seen") == 0


def test_a_counter_asked_for_again_goes_on():
    registry = Registry()
    registry.counter("gatehouse_things_total", "Things").inc()
    registry.counter("gatehouse_things_total", "Things").inc()
    assert read(registry)["gatehouse_things_total", frozenset()] == 2


def test_a_counter_needs_a_value_for_each_label():
    counter = Registry().counter("gatehouse_things_total", "Things", "kind")
    with pytest.raises(AssertionError):
        counter.inc()


def test_no_caller_can_fill_the_memory_with_labels(monkeypatch):
    monkeypatch.setattr(metrics, "MOST", 3)
    registry = Registry()
    counter = registry.counter("gatehouse_things_total", "Things", "kind")
    histogram = registry.histogram("gatehouse_wait_seconds", "Waits", "kind")
    for number in range(10):
        counter.inc(str(number))
        histogram.observe(0.1, str(number))
    assert counter.value("other") == 7
    assert histogram.count("other") == 7
    assert len(counter.counted()) == 4


def test_threads_lose_no_count():
    counter = Registry().counter("gatehouse_things_total", "Things", "kind")

    def count() -> None:
        for _ in range(20_000):
            counter.inc("a")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value("a") == 80_000


def test_a_histogram_tells_what_took_at_most_so_long():
    registry = Registry()
    histogram = registry.histogram("gatehouse_wait_seconds", "Waits", "route", bounds=(0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds, "orders")
    found = read(registry)
    route = ("route", "orders")
    assert found["gatehouse_wait_seconds_bucket", frozenset({route, ("le", "0.1")})] == 2
    assert found["gatehouse_wait_seconds_bucket", frozenset({route, ("le", "1")})] == 3
    assert found["gatehouse_wait_seconds_bucket", frozenset({route, ("le", "+Inf")})] == 4
    assert found["gatehouse_wait_seconds_count", frozenset({route})] == 4
    assert found["gatehouse_wait_seconds_sum", frozenset({route})] == pytest.approx(7.65)
    assert histogram.count("orders") == 4


def test_a_gauge_is_read_when_it_is_asked_for():
    registry, values = Registry(), {"one": 1.5}
    registry.gauge(
        "gatehouse_age_seconds", "Age", "issuer", read=lambda: [((name,), age) for name, age in values.items()]
    )
    assert read(registry)["gatehouse_age_seconds", frozenset({("issuer", "one")})] == 1.5
    values["one"] = float("inf")
    assert b'gatehouse_age_seconds{issuer="one"} +Inf' in registry.render()
    values["one"] = float("-inf")
    assert b'gatehouse_age_seconds{issuer="one"} -Inf' in registry.render()
    values["one"] = float("nan")
    assert b'gatehouse_age_seconds{issuer="one"} NaN' in registry.render()


def test_a_gauge_that_cannot_be_read_hides_no_other():
    registry = Registry()
    registry.gauge("gatehouse_broken", "Broken", read=lambda: [((), 1 / 0)])
    registry.gauge("gatehouse_sound", "Sound", read=lambda: [((), 1.0)])
    found = read(registry)
    assert found["gatehouse_sound", frozenset()] == 1
    assert ("gatehouse_broken", frozenset()) not in found
    assert found["gatehouse_metrics_unread_total", frozenset({("metric", "gatehouse_broken")})] == 1


def test_no_label_can_break_out_of_its_quotes():
    registry = Registry()
    odd = 'a"} 1\n\\'
    registry.counter("gatehouse_things_total", "Things", "kind").inc(odd)
    assert read(registry)["gatehouse_things_total", frozenset({("kind", odd)})] == 1


def test_gauges_are_read_where_they_are_looked_at_and_written_elsewhere():
    registry, values = Registry(), [1.0]
    registry.gauge("gatehouse_seen", "Seen", read=lambda: [((), values[0])], kind="counter")
    write = registry.look()
    values[0] = 2.0
    assert write().startswith(b"# HELP gatehouse_seen Seen\n# TYPE gatehouse_seen counter\ngatehouse_seen 1\n")
