"""Progress of long work, on stderr, and only where somebody watches."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from kindred.cli.output import errors


class Steps:
    """Bars by step name; safe to call from threads."""

    def __init__(self, progress: Progress) -> None:
        """Draw on `progress`."""
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def tell(self, step: str, detail: str = "", fraction: float | None = None) -> None:
        """Show how far a step is: `fraction` 0 to 1, None = unknown. The steps before it are shown as done."""
        if step not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, total=1.0, completed=1.0)
            self._tasks[step] = self._progress.add_task(step, total=None, detail="")
        total = None if fraction is None else 1.0
        self._progress.update(self._tasks[step], total=total, completed=fraction or 0.0, detail=detail)

    def finish(self) -> None:
        """Show every step as done."""
        for task in self._tasks.values():
            self._progress.update(task, total=1.0, completed=1.0)


@contextmanager
def steps() -> Iterator[Steps]:
    """Show steps while a block runs."""
    console = errors()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[detail]}", style="dim", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        shown = Steps(progress)
        yield shown
        shown.finish()
