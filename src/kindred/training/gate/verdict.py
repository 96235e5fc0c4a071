"""The gate's verdict: the checks of a bundle that is to be published, and the figures they rest on."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kindred.evaluation.beyond_accuracy import cold_share, coverage, popularity_percentile
from kindred.evaluation.intervals import Bootstrap, Interval, mean_interval, paired_difference
from kindred.evaluation.metrics import judge, ndcg
from kindred.training.config import GateConfig
from kindred.training.fit.blend import DEPTH
from kindred.training.gate.check import Check
from kindred.training.gate.questions import ACTIVE, CANDIDATE, FULL_FIT, POPULAR, Answers
from kindred.training.holdout import Asked

_CELLS = 4_000_000
_MAY_MISS = "ratings"


class Verdict(NamedTuple):
    """`checks` that were judged, `metrics` with their intervals, and `notes`: what was not judged, and why."""

    checks: list[Check]
    metrics: dict[str, float | Interval]
    notes: dict[str, str]

    def failed(self, config: GateConfig) -> list[Check]:
        """Return the checks that refuse the bundle."""
        return [check for check in self.checks if not check.passed and check.name not in config.skip]


class _Lists(NamedTuple):
    """What the lists of one system are like: `ndcg (u,)`, and shares."""

    ndcg: NDArray[np.float64]
    coverage: float
    cold: float
    popularity: float


def verdict(folder: Path, judges: Asked | None, answers: Answers | None, config: GateConfig) -> Verdict:
    """Judge the models in `folder` by what they answered; without questions their arrays alone."""
    checks = [finite_check(folder)]
    if judges is None or answers is None:
        return Verdict(checks, {}, {"comparison": "nothing could be held back, so nothing was compared"})
    notes: dict[str, str] = {}
    said = f"the median request took {answers.request_ms:.1f} ms of a processor, at most {config.latency_ms:g} ms may"
    checks.append(Check("latency", answers.request_ms, config.latency_ms, said))
    bootstrap = Bootstrap(resamples=config.resamples)
    systems = {name: _of_lists(lists, judges) for name, lists in answers.ranked.items()}
    metrics = dict(_metrics(systems, bootstrap))
    metrics["gate.request_ms"] = answers.request_ms
    if len(judges.users) < config.min_users:
        notes["comparison"] = f"only {len(judges.users)} users could be asked, fewer than gate.min_users"
        return Verdict(checks, metrics, notes)
    if ACTIVE not in systems:
        notes["active"] = "not compared: there is no active bundle whose models before the split are kept"
    compared = list(_losses(systems, config, bootstrap, answers.active))
    metrics |= {f"gate.difference.{check.name}": interval for check, interval in compared}
    checks += [check for check, _ in compared]
    if ACTIVE in systems:
        checks += _shapes(systems[CANDIDATE], systems[ACTIVE], config)
    return Verdict(checks, metrics, notes)


def finite_check(folder: Path) -> Check:
    """See that every value of every array is a number; an average rating may be missing."""
    bad = 0
    worst = ""
    for path in sorted(folder.rglob("*.npy")):
        values = np.load(path, mmap_mode="r", allow_pickle=False).reshape(-1)
        if values.dtype.kind != "f":
            continue
        wrong = np.isinf if path.parent.name == _MAY_MISS else (lambda block: ~np.isfinite(block))
        found = sum(int(wrong(values[at : at + _CELLS]).sum()) for at in range(0, len(values), _CELLS))
        bad, worst = bad + found, worst or (f" ({path.relative_to(folder)})" if found else "")
    return Check("finite", float(bad), 0.0, f"{bad} values are no numbers, none may be{worst}")


def _of_lists(ranked: NDArray[np.int32], judges: Asked) -> _Lists:
    items = judges.train.interactions.items
    counts = np.bincount(items[items >= 0], minlength=judges.train.n_items)
    found = ndcg(judge(ranked, judges.wanted), DEPTH)
    # Of a user without a single item there is no mean.
    cold, popular = (
        float(np.nanmean(each)) if (ranked >= 0).any() else 0.0
        for each in (cold_share(ranked, counts), popularity_percentile(ranked, counts))
    )
    shown = coverage(np.unique(ranked[ranked >= 0])[None, :], judges.train.n_items)
    return _Lists(found, shown * judges.train.n_items / max(int(judges.train.listed().sum()), 1), cold, popular)


def _metrics(systems: dict[str, _Lists], bootstrap: Bootstrap) -> Iterator[tuple[str, float | Interval]]:
    for name, lists in systems.items():
        yield f"gate.ndcg@10.{name}", mean_interval(lists.ndcg, bootstrap=bootstrap)
        yield f"gate.coverage@10.{name}", round(lists.coverage, 6)
        yield f"gate.cold_share.{name}", round(lists.cold, 6)
        yield f"gate.popularity_percentile.{name}", round(lists.popularity, 6)


def _losses(
    systems: dict[str, _Lists], config: GateConfig, bootstrap: Bootstrap, active: str | None
) -> Iterator[tuple[Check, Interval]]:
    """Compare what is found, user by user: refused is only what is worse even at the better end of the interval."""
    for name, ours, theirs, words, limit in (
        ("popularity", CANDIDATE, POPULAR, "of the most popular items", config.popularity_loss),
        ("active", CANDIDATE, ACTIVE, f"of the active bundle {active}", config.active_loss),
        ("full_fit", FULL_FIT, CANDIDATE, "before the models had seen the answers", config.full_fit_loss),
    ):
        if theirs not in systems:
            continue
        found = paired_difference(systems[ours].ndcg, systems[theirs].ndcg, bootstrap=bootstrap)
        base = float(systems[theirs].ndcg.mean())
        lost = max(-found.high / base, 0.0) if base > 0 else 0.0
        said = (
            f"NDCG@10 is {systems[ours].ndcg.mean():.4f} against {base:.4f} {words} (difference {found.mean:+.4f}, "
            f"95 % {found.low:+.4f} to {found.high:+.4f}, {found.users} users): worse by {lost:.1%} for certain, at "
            f"most {limit:.1%} is allowed"
        )
        yield Check(name, round(lost, 6), limit, said), found


def _shapes(ours: _Lists, theirs: _Lists, config: GateConfig) -> list[Check]:
    """Compare what lists are like apart from being right."""
    lost = 1 - ours.coverage / theirs.coverage if theirs.coverage > 0 else 0.0
    moved, grown = abs(ours.cold - theirs.cold), ours.popularity - theirs.popularity
    return [
        Check(
            "coverage",
            round(lost, 6),
            config.coverage_loss,
            f"lists hold {ours.coverage:.2%} of the catalogue, those of the active bundle {theirs.coverage:.2%}: "
            f"{lost:.1%} is lost, at most {config.coverage_loss:.1%} may be",
        ),
        Check(
            "cold_items",
            round(moved, 6),
            config.cold_change,
            f"the share of items with fewer than ten interactions went from {theirs.cold:.1%} to {ours.cold:.1%}, "
            f"by at most {config.cold_change:.1%} it may",
        ),
        Check(
            "popularity_bias",
            round(grown, 6),
            config.bias_growth,
            f"the mean percentile of popularity went from {theirs.popularity:.3f} to {ours.popularity:.3f}, "
            f"by at most {config.bias_growth:.3f} it may",
        ),
    ]
