"""The model card of a bundle: what it was made from, how good it is for whom, and what it cannot do."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from kindred.training.comparison import flat
from kindred.training.records import Figure, RunRecord

FILE = "CARD.md"
_IMPORTANT = 25
_FEW_USERS = 1_000


def write_card(folder: Path, record: RunRecord) -> None:
    """Write the card of the run that made the bundle in `folder` into it."""
    (folder / FILE).write_text(card(record), encoding="utf-8")


def card(record: RunRecord) -> str:
    """Return the model card as Markdown."""
    parts = [
        f"# Model card: bundle {record.version}",
        _summary(record),
        *_section("Data", _data(record)),
        *_section("Quality on held-back rows", _quality(record)),
        *_section("By segment", _segments(record)),
        *_section("What the ranker looks at", _importances(record)),
        *_section("Known limits", "\n".join(f"- {limit}" for limit in limits(record))),
        *_section("Checks before publishing", _checks(record)),
        *_section("Settings", _settings(record)),
    ]
    return "\n\n".join(parts) + "\n"


def limits(record: RunRecord) -> Iterator[str]:
    """Go through what this bundle cannot be expected to do, derived from its data and figures."""
    facts = record.facts
    if facts.get("cold_items"):
        yield (
            f"{facts['cold_items']:.1%} of the {facts['listed_items']:,.0f} listed items have fewer than ten "
            f"interactions ({facts['untouched_items']:.1%} have none): these are recommended from their texts, their "
            "categories and exploration, hardly from behaviour."
        )
    if facts.get("users_with_one_interaction"):
        yield (
            f"{facts['users_with_one_interaction']:.1%} of the users have a single interaction: their slates are "
            "mostly those of a new user."
        )
    if facts.get("largest_user", 0) > 0.01:
        yield f"One user made {facts['largest_user']:.1%} of all rows, which may be a bot; weights per user are capped."
    if facts.get("rows_without_time"):
        yield f"{facts['rows_without_time']:.1%} of the rows have no time: they teach and never judge."
    yield from _measured(record)
    yield (
        "Measured offline, on what users found by themselves or were shown by whatever ran then: an item that nobody "
        "was shown counts as not wanted. Only an experiment tells what these slates change."
    )


def _measured(record: RunRecord) -> Iterator[str]:
    """Go through what the measuring itself leaves open."""
    users = [figure.users for figure in record.metrics.values() if figure.users]
    if not users:
        yield "No figure has an interval: too few rows could be held back, or holding back was switched off."
    elif max(users) < _FEW_USERS:
        yield f"Figures rest on {max(users):,} users at most: differences inside their intervals say nothing."
    for title, parts in record.segments.items():
        for name, figure in parts.items():
            if figure.high == 0:
                yield f"Nothing was found in the segment “{name}” ({title}, {figure.users} users)."
    for check in record.gate:
        if check.value is None and check.said:
            yield f"Not judged: {check.name}: {check.said}."


def _summary(record: RunRecord) -> str:
    facts = [
        f"{record.kind}, {record.outcome}",
        f"{_time(record.started)} to {_time(record.finished)}",
        f"code {record.code_version or 'unknown'}",
        *([] if record.seed is None else [f"seed {record.seed}"]),
        *([] if record.peak_mib is None else [f"peak memory {record.peak_mib:,.0f} MiB"]),
        *([f"{sum(record.seconds.values()):,.0f} s"] if record.seconds else []),
    ]
    return "; ".join(facts) + "." + (f"\n\n{record.error}" if record.error else "")


def _data(record: RunRecord) -> str:
    window = record.window
    if window is None:
        return ""
    rows = [
        ("first row", _time(window.first)),
        ("last row", _time(window.last)),
        ("interactions", f"{window.interactions:,}"),
        ("users", f"{window.users:,}"),
        ("items with interactions", f"{window.items:,}"),
    ]
    return _table(("what", "value"), rows)


def _quality(record: RunRecord) -> str:
    rows = [(name, *_cells(figure)) for name, figure in record.metrics.items() if not name.startswith("index.")]
    return _table(("metric", "value", "95 % interval", "users"), rows)


def _segments(record: RunRecord) -> str:
    tables = [
        _table((title, "value", "95 % interval", "users"), [(name, *_cells(figure)) for name, figure in parts.items()])
        for title, parts in record.segments.items()
    ]
    return "\n\n".join(tables)


def _importances(record: RunRecord) -> str:
    ordered = sorted(record.importances.items(), key=lambda pair: -pair[1])[:_IMPORTANT]
    return _table(("feature", "share of the gain"), [(name, f"{share:.1%}") for name, share in ordered])


def _checks(record: RunRecord) -> str:
    rows = [
        (check.name, "not judged" if check.value is None else "passed" if check.passed else "refused", check.said)
        for check in record.gate
    ]
    return _table(("check", "verdict", "said"), rows)


def _settings(record: RunRecord) -> str:
    lines = [f"{name} = {value!r}" for name, value in flat(record.parameters)]
    return "\n".join(["```text", *lines, "```"]) if lines else ""


def _section(title: str, body: str) -> list[str]:
    return [f"## {title}", body] if body else []


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines]) if lines else ""


def _cells(figure: Figure) -> tuple[str, str, str]:
    value = "–" if figure.value is None else f"{figure.value:.4g}"
    interval = "–" if figure.low is None or figure.high is None else f"{figure.low:.4g} to {figure.high:.4g}"
    return value, interval, "–" if figure.users is None else f"{figure.users:,}"


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "–"
    return f"{datetime.fromtimestamp(milliseconds / 1000, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"
