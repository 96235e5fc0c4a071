"""Figures that stay: one row per benchmark and system, kept as JSON and shown as tables in the guide.

`record` keeps a row; a rerun replaces it. `python -m benchmarks.quality.record` writes the page anew from kept rows,
which also settles a merge conflict in it.
"""

import fcntl
import resource
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kindred.evaluation.intervals import Interval

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "benchmarks" / "quality" / "results"
PAGE = REPOSITORY / "docs" / "guide" / "reproductions.md"
BEGIN, END = "<!-- results: written by `python -m benchmarks.quality.record` -->", "<!-- end of results -->"
_HEADS = ("tuned on", "published in", "s", "peak MiB", "date", "commit", "command")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one system reached in one benchmark.

    `figures`: metric → figure, or (figure, low, high) with its interval. `published`: metric → figure in `citation`.
    `tuned`: which settings were chosen on which split, or that none were. `command`: what prints it again, with no path
    of one machine. `seconds`, `peak_mib`: of the fit unless `note` says otherwise. `date`: of the run, UTC.
    `commit`: short hash of the checkout that ran, empty where it is not known.
    """

    system: str
    figures: dict[str, float | tuple[float, float, float]]
    tuned: str
    command: str
    seconds: float
    peak_mib: float
    published: dict[str, float] = {}
    citation: str = ""
    note: str = ""
    date: str = ""
    commit: str = ""


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one benchmark: `title` and `protocol` stand above its table."""

    title: str
    protocol: str
    rows: list[Row] = []


def peak_mib() -> float:
    """Return the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def record(name: str, title: str, protocol: str, *rows: Row, results: Path = RESULTS, page: Path | None = None) -> None:
    """Keep rows of the benchmark `name` in place of those of the same systems, and write the page anew."""
    results.mkdir(parents=True, exist_ok=True)
    with (results / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = results / f"{name}.json"
        kept = {row.system: row for row in read(place).rows} if place.exists() else {}
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        stamp = _commit()
        for row in rows:
            kept[row.system] = msgspec.structs.replace(row, date=row.date or today, commit=row.commit or stamp)
        found = Benchmark(title=title, protocol=protocol, rows=list(kept.values()))
        place.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        write_page(results, page or PAGE)


def _commit() -> str:
    """Return the short hash of the checkout, empty where there is no git or none of its checkouts."""
    try:
        words = ["git", "rev-parse", "--short", "HEAD"]
        found = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def read(place: Path) -> Benchmark:
    """Read one benchmark's rows."""
    return msgspec.json.decode(place.read_bytes(), type=Benchmark)


def write_page(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Put the tables between the page's two marks; a page without marks is refused."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} lacks the line {BEGIN if not begin else END}")
    page.write_text(f"{before}{BEGIN}\n\n{tables(results)}{END}{after}", encoding="utf-8")


def tables(results: Path = RESULTS) -> str:
    """Return all benchmarks as Markdown, by name."""
    return "".join(_table(read(place)) + "\n" for place in sorted(results.glob("*.json")))


def _table(benchmark: Benchmark) -> str:
    metrics = list(dict.fromkeys(metric for row in benchmark.rows for metric in row.figures))
    heads = ["system", *metrics, *_HEADS]
    lines = [f"### {benchmark.title}", "", benchmark.protocol, "", _line(heads), _line(["---"] * len(heads))]
    for row in benchmark.rows:
        shown = [_figure(row.figures.get(metric), row.published.get(metric)) for metric in metrics]
        measured = (f"{row.seconds:,.0f}" if row.seconds >= 10 else f"{row.seconds:.1f}", f"{row.peak_mib:,.0f}")
        said = f"{row.tuned}; {row.note}" if row.note else row.tuned
        origin = (row.date, row.commit or "–", f"`{row.command}`")
        lines.append(_line([row.system, *shown, said, row.citation or "–", *measured, *origin]))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _figure(found: float | tuple[float, float, float] | None, published: float | None) -> str:
    if found is None:
        return "–" if published is None else f"– (published {_short(published)})"
    if isinstance(found, tuple):
        mean, low, high = (_short(value) for value in found)
        shown = f"{mean} [{low}, {high}]"
    else:
        shown = _short(found)
    return shown if published is None else f"{shown} (published {_short(published)})"


def _short(value: float) -> str:
    return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:,.4g}"


def intervals(found: Mapping[str, Interval]) -> dict[str, tuple[float, float, float]]:
    """Return means with their intervals, by metric, as the figures of a row."""
    return {name: (one.mean, one.low, one.high) for name, one in found.items()}


if __name__ == "__main__":
    write_page()
    sys.stderr.write(f"{PAGE} is what {RESULTS} holds\n")
