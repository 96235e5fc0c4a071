"""Two training runs side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from kindred.training.records import Figure, RunRecord


class Pair(msgspec.Struct, frozen=True):
    """A value of run A and of run B; None where a run has none."""

    a: Any
    b: Any


class MetricPair(msgspec.Struct, frozen=True):
    """A metric of both runs, and B's value minus A's.

    `apart`: both have an interval and those do not touch. It is None where either has none. The runs may have judged
    different users, so that this says less than a paired difference.
    """

    a: Figure | None
    b: Figure | None
    difference: float | None
    apart: bool | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two runs: only `parameters` and facts that do, but all `metrics` and `seconds`."""

    a: str
    b: str
    facts: dict[str, Pair]
    parameters: dict[str, Pair]
    metrics: dict[str, MetricPair]
    seconds: dict[str, Pair]


def compare(a: RunRecord, b: RunRecord) -> Comparison:
    """Put run B beside run A."""
    return Comparison(
        a=a.version,
        b=b.version,
        facts=_differing(_facts(a), _facts(b)),
        parameters=_differing(dict(flat(a.parameters)), dict(flat(b.parameters))),
        metrics={name: _metric(a.metrics.get(name), b.metrics.get(name)) for name in _names(a.metrics, b.metrics)},
        seconds={name: Pair(a.seconds.get(name), b.seconds.get(name)) for name in _names(a.seconds, b.seconds)},
    )


def flat(tree: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Go through the leaves of nested tables by dotted name."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", msgspec.to_builtins(value)


def _facts(record: RunRecord) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(record)
    window = {f"window.{name}": value for name, value in (plain.pop("window") or {}).items()}
    gate = {f"gate.{check.name}": "passed" if check.passed else check.said or "refused" for check in record.gate}
    named = ("kind", "outcome", "error", "seed", "code_version", "peak_mib")
    return {name: plain[name] for name in named} | window | gate


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Pair]:
    return {name: Pair(a.get(name), b.get(name)) for name in _names(a, b) if a.get(name) != b.get(name)}


def _names(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*a, *b]))


def _metric(a: Figure | None, b: Figure | None) -> MetricPair:
    if a is None or b is None or a.value is None or b.value is None:
        return MetricPair(a, b, None, None)
    apart = None
    if a.low is not None and a.high is not None and b.low is not None and b.high is not None:
        apart = a.high < b.low or b.high < a.low
    return MetricPair(a, b, b.value - a.value, apart)
