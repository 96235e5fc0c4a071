"""A meter that keeps its measurements in the Prometheus form."""

import os
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder in which several processes keep their measurements."""

SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SHARES = tuple(tenth / 10 for tenth in range(1, 11))
SIZES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)

_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)
_Series = tuple[str, tuple[tuple[str, str], ...]]


class PrometheusMeter:
    """Counts and timings in a registry of their own, so that two apps in one process never mix.

    A measurement `name` becomes `kindred_<name>`, with `_total` for counters. Distributions whose name ends with
    `_seconds` have buckets from 0.5 ms to 10 s, with `_share` tenths, all others buckets of sizes. One name keeps one
    kind and one set of labels; ValueError says when code breaks that.

    With PROMETHEUS_MULTIPROC_DIR set before this module is loaded, all processes that were given the same folder are
    measured as one: counts and timings are sums, levels carry the process id. What one process tells of itself
    (memory, collections) is then left out.
    """

    def __init__(self) -> None:
        """Start with nothing measured but the process itself."""
        self.registry = CollectorRegistry()
        self._families: dict[str, Counter | Gauge | Histogram] = {}
        self._counters: dict[_Series, Counter] = {}
        self._histograms: dict[_Series, Histogram] = {}
        self._gauges: dict[_Series, Gauge] = {}
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        series = (name, tuple(labels.items()))
        child = self._counters.get(series)
        if child is None:
            child = self._counters[series] = self._family(Counter, name, labels)
        child.inc(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Record one value of a distribution: seconds or a size."""
        series = (name, tuple(labels.items()))
        child = self._histograms.get(series)
        if child is None:
            child = self._histograms[series] = self._family(Histogram, name, labels)
        child.observe(value)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set the present value of a level."""
        series = (name, tuple(labels.items()))
        child = self._gauges.get(series)
        if child is None:
            child = self._gauges[series] = self._family(Gauge, name, labels)
        child.set(value)

    def expose(self) -> bytes:
        """Write everything measured as Prometheus text."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)

    def _family(self, kind: type[_Metric], name: str, labels: dict[str, str]) -> _Metric:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = self._register(kind, name, sorted(labels))
        if not isinstance(family, kind):
            raise ValueError(f"{name} is measured as {type(family).__name__} and as {kind.__name__}")
        return family.labels(**labels) if labels else family

    def _register(self, kind: type[_Metric], name: str, labels: list[str]) -> _Metric:
        full, text = f"kindred_{name}", name.replace("_", " ")
        if kind is Histogram:
            buckets = {"seconds": SECONDS, "share": SHARES}.get(name.rpartition("_")[2], SIZES)
            return Histogram(full, text, labels, registry=self.registry, buckets=buckets)
        if kind is Gauge:
            return Gauge(full, text, labels, registry=self.registry, multiprocess_mode="liveall")
        return kind(full, text, labels, registry=self.registry)


def process_ended(pid: int, folder: str) -> None:
    """Leave out the levels of a process that kept its measurements in `folder` and is no more; its counts stay."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
