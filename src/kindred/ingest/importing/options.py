"""What an import is given, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kindred.core.clock import Clock, SystemClock
from kindred.core.position import Position
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionStore
from kindred.ports.log import EventLog
from kindred.ports.operations import Leases


@dataclass(frozen=True, slots=True)
class ImportStores:
    """The stores that an import writes to; `lake` is a folder."""

    catalog: CatalogStore
    profiles: ProfileStore
    interactions: InteractionStore
    log: EventLog
    leases: Leases
    lake: Path


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import.

    `strict`: stop at the first bad row. `shift_to_now`: move all times so that the last event is now.
    `reject_file`: where bad rows go, by default `rejects/<source>.jsonl` beside the lake. `event_types`: the allowed
    ones, None = any.
    """

    strict: bool = False
    shift_to_now: bool = False
    reject_file: Path | None = None
    event_types: frozenset[str] | None = None
    clock: Clock = field(default_factory=SystemClock)


class Progress(NamedTuple):
    """How far a step is: rows so far, and the share of the step that is done (0 to 1)."""

    step: str
    rows: int
    fraction: float


ProgressCallback = Callable[[Progress], None]
"""Called often, from worker threads too."""


@dataclass(slots=True)
class ImportReport:
    """What an import did; times are ms, `seconds` by step.

    `read` interactions = `new` + `known` (there already) + `rejected` + `left_out` (by cause: the mapping's rules,
    cancellations and what they took back; causes of other tables carry the table's name). `taken_back_late` of the
    known ones were cancelled after they had been imported: they stay. `rejects` counts the bad rows of all tables by
    reason. `import_id` and `position` are None when nothing was new to fold. `finished` names earlier imports that
    had ended half-way and were completed.
    """

    source: str
    import_id: str | None = None
    position: Position | None = None
    read: int = 0
    new: int = 0
    known: int = 0
    rejected: int = 0
    taken_back_late: int = 0
    items: int = 0
    users: int = 0
    changed_users: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    reject_file: Path | None = None
    shift: int = 0
    first: int | None = None
    last: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    notice: str = ""


class Stopped(Exception):
    """The import was cancelled; raised inside its worker threads."""


class Reporter:
    """Tells the caller how far each step is, and stops the worker threads when the import is cancelled."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        """Call `callback`, if there is one."""
        self._callback = callback
        self._stopped = False

    def tell(self, step: str, rows: int, fraction: float) -> None:
        """Report; raise Stopped when the import was cancelled."""
        if self._stopped:
            raise Stopped
        if self._callback:
            self._callback(Progress(step, rows, min(fraction, 1.0)))

    def stop(self) -> None:
        """Make the next `tell` raise."""
        self._stopped = True
