"""What the gateway counts, as Prometheus reads it (text format 0.0.4). No I/O and no clock.

Counting stands in the way of every request, so it takes no lock: one step of a dict, which no other thread can come
between while there is one interpreter lock. A build without that lock may lose a count; a rate survives it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isinf, isnan
from typing import Any, Final, Protocol, TypeVar, cast

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MOST: Final = 10_000  # label sets of one metric; whatever comes later is counted as "other"
OTHER: Final = "other"

Labels = tuple[str, ...]
Reading = Iterable[tuple[Labels, float]]
F = TypeVar("F")


class Family(Protocol):
    """One metric with all its label sets."""

    kind: str
    text: str
    labels: Labels

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Give suffix of the name, labels and value of every sample."""


class Counter:
    """Something that only grows."""

    kind = "counter"

    def __init__(self, text: str, labels: Labels) -> None:
        self.text, self.labels = text, labels
        self._counts: dict[Labels, float] = {}

    def inc(self, *values: str, by: float = 1) -> None:
        """Count; the values are ours or of the configuration, never the caller's words."""
        try:
            self._counts[values] += by
        except KeyError:
            values = _admitted(self.labels, self._counts, values)
            self._counts.setdefault(values, 0)
            self._counts[values] += by

    def value(self, *values: str) -> float:
        """Tell what was counted for one set of labels."""
        return self._counts.get(values, 0)

    def counted(self) -> list[tuple[Labels, float]]:
        """Tell everything that was counted."""
        return list(self._counts.items())

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Give every count."""
        for values, count in self.counted():
            yield "", dict(zip(self.labels, values, strict=True)), count


class Histogram:
    """How long something takes, as counts of what took at most so long."""

    kind = "histogram"

    def __init__(self, text: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.text, self.labels = text, labels
        self._bounds = bounds
        self._series: dict[Labels, list[float]] = {}  # a count for each bound, one for what is beyond, and the sum

    def observe(self, seconds: float, *values: str) -> None:
        """Note one duration."""
        series = self._series.get(values)
        if series is None:
            values = _admitted(self.labels, self._series, values)
            series = self._series.setdefault(values, [0] * (len(self._bounds) + 2))
        series[bisect_left(self._bounds, seconds)] += 1
        series[-1] += seconds

    def count(self, *values: str) -> float:
        """Tell how many durations were noted for one set of labels."""
        return sum(self._series.get(values, (0,))[:-1])

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Give the buckets, each with everything below it, the sum and the count."""
        for values, series in list(self._series.items()):
            labels, total = dict(zip(self.labels, values, strict=True)), 0.0
            for bound, count in zip((*self._bounds, float("inf")), series[:-1], strict=True):
                total += count
                yield "_bucket", {**labels, "le": _number(bound)}, total
            yield "_sum", labels, series[-1]
            yield "_count", labels, total


class Gauge:
    """Something that is looked up when it is asked for."""

    def __init__(self, text: str, labels: Labels, read: Callable[[], Reading], *, kind: str) -> None:
        self.text, self.labels, self.kind = text, labels, kind
        self._read = read

    def now(self) -> Gauge:
        """Read it once, for whoever writes it down later."""
        found = tuple(self._read())
        return Gauge(self.text, self.labels, lambda: found, kind=self.kind)

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """Give what it says now."""
        for values, value in self._read():
            yield "", dict(zip(self.labels, values, strict=True)), value


class Registry:
    """Everything one gateway counts. Asking twice for a counter gives the same one: it outlives a reload."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        self._unread = Counter("Metrics that could not be read", ("metric",))

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Give a counter; its name ends with _total."""
        return self._made(name, Counter(text, labels))

    def histogram(self, name: str, text: str, *labels: str, bounds: tuple[float, ...] = SECONDS) -> Histogram:
        """Give a histogram; its name ends with _seconds."""
        return self._made(name, Histogram(text, labels, bounds))

    def gauge(self, name: str, text: str, *labels: str, read: Callable[[], Reading], kind: str = "gauge") -> None:
        """Read a gauge this way from now on. Without labels: `read=lambda: [((), 1.0)]`.

        It is read where `look` is called, on the event loop; a sum that somebody else keeps is of the kind "counter".
        """
        self._families[name] = Gauge(text, labels, read, kind=kind)

    def look(self) -> Callable[[], bytes]:
        """Read every gauge now, and give what writes everything down: that may be done in another thread.

        What cannot be read is left out and counted, so that the rest is still seen.
        """
        found: list[tuple[str, Family]] = []
        for name, family in list(self._families.items()):
            try:
                found.append((name, family.now() if isinstance(family, Gauge) else family))
            except Exception:  # noqa: BLE001 - one broken gauge must not hide the others
                self._unread.inc(name)
        found.append(("gatehouse_metrics_unread_total", self._unread))

        def write() -> bytes:
            return "".join(f"{line}\n" for name, family in found for line in _written(name, family)).encode()

        return write

    def render(self) -> bytes:
        """Read and write everything."""
        return self.look()()

    def _made(self, name: str, family: F) -> F:
        return cast("F", self._families.setdefault(name, cast("Family", family)))


def _admitted(labels: Labels, known: Mapping[Labels, Any], values: Labels) -> Labels:
    """Admit a new set of labels, while there are not too many."""
    if len(values) != len(labels):
        raise AssertionError("one value for each label")
    return values if len(known) < MOST else (OTHER,) * len(labels)


def _written(name: str, family: Family) -> list[str]:
    lines = [f"# HELP {name} {family.text}", f"# TYPE {name} {family.kind}"]
    for suffix, labels, value in family.samples():
        said = ",".join(f'{label}="{_escaped(each)}"' for label, each in labels.items())
        lines.append(f"{name}{suffix}{{{said}}} {_number(value)}" if said else f"{name}{suffix} {_number(value)}")
    return lines


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
