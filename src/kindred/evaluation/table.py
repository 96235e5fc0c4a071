"""The table of an evaluation: every system's metrics, and its differences against one baseline."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import Struct, to_builtins
from numpy.typing import ArrayLike, NDArray

from kindred.core.errors import InvalidInput
from kindred.evaluation.intervals import Bootstrap, Interval, mean_intervals

PerUser = Mapping[str, NDArray[np.float64]]
"""Metric name → one value per row (user), NaN where undefined."""


class ResultTable(Struct, frozen=True):
    """System → metric → mean with interval; the differences are paired by user, system − baseline.

    `totals`: system → name → a figure of the whole run that has no per-user value, such as coverage.
    """

    baseline: str
    rows: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    totals: dict[str, dict[str, float]]
    bootstrap: Bootstrap

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain JSON types; an undefined figure (NaN) becomes None."""
        plain: dict[str, Any] = _without_nan(to_builtins(self))
        return plain


def tabulate(
    systems: Mapping[str, PerUser],
    baseline: str,
    *,
    users: ArrayLike | None = None,
    totals: Mapping[str, Mapping[str, float]] | None = None,
    bootstrap: Bootstrap | None = None,
) -> ResultTable:
    """Build the table from per-user values; row i is the same user in every system.

    `systems`: name → metric → (r,) float64; `users (r,) int` when a user has several rows. A difference
    leaves out the users for whom either side is undefined. Raises InvalidInput when the baseline is unknown,
    the systems do not share their metrics, or the rows differ in number.
    """
    metrics = _shared_metrics(systems, baseline)
    settings = bootstrap or Bootstrap()
    columns = {name: _matrix(name, values, metrics) for name, values in systems.items()}
    others = [name for name in systems if name != baseline]
    if len({len(matrix) for matrix in columns.values()}) > 1:
        rows = {name: len(matrix) for name, matrix in columns.items()}
        raise InvalidInput.at("systems", f"differ in rows: {rows}; evaluate the same users in the same order")
    stacked = [*columns.values(), *(columns[name] - columns[baseline] for name in others)]
    found = iter(mean_intervals(np.concatenate(stacked, axis=1), users=users, bootstrap=settings))
    return ResultTable(
        baseline=baseline,
        rows={name: {metric: next(found) for metric in metrics} for name in systems},
        differences={name: {metric: next(found) for metric in metrics} for name in others},
        totals={name: dict(figures) for name, figures in (totals or {}).items()},
        bootstrap=settings,
    )


def _shared_metrics(systems: Mapping[str, PerUser], baseline: str) -> list[str]:
    """Return the metric names that every system has; raise InvalidInput when one lacks or adds a metric."""
    if baseline not in systems:
        raise InvalidInput.at("baseline", f"`{baseline}` was not evaluated; choose one of {', '.join(systems)}")
    metrics = list(systems[baseline])
    for name, values in systems.items():
        odd = set(metrics) ^ set(values)
        if odd:
            raise InvalidInput.at(f"systems/{name}", f"metrics differ from the baseline's: {', '.join(sorted(odd))}")
    return metrics


def _matrix(name: str, values: PerUser, metrics: list[str]) -> NDArray[np.float64]:
    """Stack one system's metrics as columns."""
    columns = [np.asarray(values[metric], dtype=np.float64) for metric in metrics]
    if not columns or any(column.shape != columns[0].shape or column.ndim != 1 for column in columns):
        raise InvalidInput.at(f"systems/{name}", "needs at least one metric, all of one value per row")
    return np.stack(columns, axis=1)


def _without_nan(value: Any) -> Any:
    """Replace every NaN inside plain containers by None."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
