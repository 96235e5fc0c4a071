"""Retention: what is old leaves the hot stores once the lake holds it; the lake keeps it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kindred.core.clock import DAY, Clock, SystemClock
from kindred.core.errors import InvalidInput
from kindred.core.event import decode_event
from kindred.core.position import Position
from kindred.ingest.folding import GROUP
from kindred.ingest.forwarding import ITEM_SIDE, item_side, log_side, read_forwarded
from kindred.ingest.items import GROUP as ITEMS
from kindred.jobs.config import RetentionConfig
from kindred.jobs.dead_letters import all_letters
from kindred.ports.interactions import InteractionStore
from kindred.ports.log import DeadLetters, EventLog
from kindred.ports.operations import TraceStore
from kindred.ports.state import StateStore
from kindred.training.lake_events import LakeEvents

_AT_ONCE = 1_000

Old = Callable[[bytes], bool | None]
"""Says of a record's bytes whether it is old, None where they do not tell."""


class RetentionStores(Protocol):
    """What retention shortens, and what it looks at before."""

    @property
    def log(self) -> EventLog:
        """Return the event log."""
        ...

    @property
    def item_log(self) -> EventLog | None:
        """Return the items' log, if there is one."""
        ...

    @property
    def state(self) -> StateStore:
        """Return the folded state."""
        ...

    @property
    def interactions(self) -> InteractionStore:
        """Return the history."""
        ...

    @property
    def dead_letters(self) -> DeadLetters:
        """Return the records set apart."""
        ...

    @property
    def traces(self) -> TraceStore:
        """Return what requests did."""
        ...

    @property
    def lake(self) -> Path:
        """Return the lake's folder."""
        ...


@dataclass(slots=True)
class RetentionReport:
    """What went: rows of history, log records where their number is known, dead letters, traces; `waits`: why not more.

    `kept_from`: by partition of the log, the position from which records are kept.
    """

    history: int = 0
    records: int = 0
    letters: int = 0
    traces: int = 0
    waits: list[str] = field(default_factory=list)
    kept_from: dict[int, Position] = field(default_factory=dict)


async def retain(
    stores: RetentionStores, config: RetentionConfig | None = None, clock: Clock | None = None
) -> RetentionReport:
    """Drop what is past its time; running it again drops nothing more."""
    config, now = config or RetentionConfig(), (clock or SystemClock()).now()
    report = RetentionReport()
    if config.history_days:
        report.history = await stores.interactions.trim(now - config.history_days * DAY)
    report.kept_from = await _trim_log(stores, _older(now - config.log_days * DAY), report)
    kept = dict(report.kept_from)
    if stores.item_log is not None:
        kept |= await _trim_items(stores.item_log, stores.state, report.kept_from, report)
    report.letters = await _discard(stores.dead_letters, kept)
    report.traces = await stores.traces.sweep(now - DAY)
    return report


def _older(before: int) -> Old:
    """Return what says whether an event arrived before a time (ms)."""

    def old(data: bytes) -> bool | None:
        try:
            return decode_event(data).ingested_at < before
        except InvalidInput:
            return None

    return old


async def _trim_log(stores: RetentionStores, old: Old, report: RetentionReport) -> dict[int, Position]:
    """Trim the log behind the lake and the consumers; return from where on each partition is past its time."""
    lake = LakeEvents(stores.lake).manifest().ends()
    committed = {place.partition: place for place in await stores.log.committed(GROUP)}
    kept: dict[int, Position] = {}
    for partition, due in (await _due(stores.log, old)).items():
        if partition not in lake:
            report.waits.append(f"partition {partition} of the log is not in the lake yet: run `kindred job lake`")
            continue
        watermark = await stores.state.watermark(partition)
        safe = min(lake[partition], watermark, committed.get(partition, watermark))
        place = min(due, safe._replace(offset=safe.offset + 1))
        if place < due:
            report.waits.append(f"partition {partition} of the log waits at {safe} for the lake or a consumer")
        if place.offset > 0:
            report.records += await stores.log.trim(place)
        kept[partition] = place
    return kept


async def _trim_items(
    log: EventLog, state: StateStore, kept: Mapping[int, Position], report: RetentionReport
) -> dict[int, Position]:
    """Trim the items' log where the events that its records come from were trimmed; return from where it is kept."""

    def old(data: bytes) -> bool | None:
        try:
            source = read_forwarded(data)[0].source
        except InvalidInput:
            return None
        return source.partition in kept and source < kept[source.partition]

    committed = {place.partition: place for place in await log.committed(ITEMS)}
    found: dict[int, Position] = {}
    for partition, due in (await _due(log, old)).items():
        watermark = log_side(await state.watermark(item_side(due).partition))
        safe = min(watermark, committed.get(partition, watermark))
        place = min(due, safe._replace(offset=safe.offset + 1))
        if place.offset > 0:
            report.records += await log.trim(place)
            found[partition + ITEM_SIDE] = item_side(place)
    return found


async def _due(log: EventLog, old: Old) -> dict[int, Position]:
    """Return by partition the position that everything old stands before, in the newest epoch that has something old.

    The last record of the present epoch stays; of one that is over, all may go.
    """
    found: dict[int, Position] = {}
    partitions = await log.partitions()
    for epoch in partitions:
        for end in await log.ends(epoch):
            due = await _first_kept(log, end if epoch == max(partitions) else end._replace(offset=end.offset + 1), old)
            found |= {} if due is None else {end.partition: due}
    return found


async def _first_kept(log: EventLog, end: Position, old: Old) -> Position | None:
    """Return the first position of an epoch's partition, `end` at the latest, whose record is not old; None for none.

    Records come in order of arrival, near enough, so that it is searched by halves.
    """
    low, high = 0, end.offset
    while low < high:
        middle = (low + high) // 2
        said = await _said(log, end._replace(offset=middle), high, old)
        # What does not say how old it is stays with what follows it.
        if said is not None and said[1]:
            low = min(said[0] + 1, high)
        else:
            high = middle
    return end._replace(offset=low) if low > 0 else None


async def _said(log: EventLog, place: Position, high: int, old: Old) -> tuple[int, bool] | None:
    """Return what the first record from `place` on says that says anything, and its offset; None before `high`."""
    after = place._replace(offset=place.offset - 1)
    while records := await log.read(after, _AT_ONCE if after.offset >= place.offset else 1):
        for record in records:
            if record.position >= place._replace(offset=high):
                return None
            said = old(record.data)
            if said is not None:
                return record.position.offset, said
        after = records[-1].position
    return None


async def _discard(letters: DeadLetters, kept: Mapping[int, Position]) -> int:
    """Discard dead letters from before what is kept of their partition."""
    gone = [
        letter.position
        async for letter in all_letters(letters)
        if letter.position.partition in kept and letter.position < kept[letter.position.partition]
    ]
    return await letters.discard(gone) if gone else 0
