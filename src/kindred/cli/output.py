"""What a person sees: tables in colour, sentences on stderr; and what a machine reads: JSON alone on stdout."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON alone, for machines.")]

_PIPED_WIDTH = 140


class _Output(Console):
    """A console that leaves a reader who went away to whoever runs the command."""

    def on_broken_pipe(self) -> None:
        """Raise it again, where rich would end the process with code 1."""
        raise


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return _Output(stderr=stderr, width=width, highlight=False, markup=False)


def show(*parts: Any, style: str | None = None) -> None:
    """Print text or tables to stdout."""
    _console(stderr=False).print(*parts, style=style)


def note(text: str, style: str | None = None) -> None:
    """Print a sentence to stderr, where it does not disturb what a script reads."""
    _console(stderr=True).print(plain(text), style=style, soft_wrap=True)


def errors() -> Console:
    """Return the console on stderr, for progress."""
    return _console(stderr=True)


def emit_json(value: Any) -> None:
    """Print a value as indented JSON to stdout; NaN becomes null, a path its text."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, enc_hook=_as_text), indent=2).decode() + "\n")
    sys.stdout.flush()


def _as_text(value: Any) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def plain(text: str) -> str:
    """Replace what would steer a terminal, such as escapes in a title."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """Lay out rows; a column's head may carry a style and an alignment: `score|cyan|right`."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        name, style, justify = (*column.split("|"), "", "")[:3]
        made.add_column(name, style=style or None, justify="right" if justify == "right" else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(plain(_cell(cell))) for cell in row))
    return made


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def when(time_ms: int | None) -> str:
    """Write a time (milliseconds since 1970 UTC) for a person, to the second."""
    if time_ms is None:
        return "–"
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age(milliseconds: float) -> str:
    """Write a span of time for a person, such as `3 hours`."""
    seconds = max(milliseconds / 1000, 0)
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{seconds:.0f} seconds"


def size(count: float) -> str:
    """Write bytes for a person, such as `1.2 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
