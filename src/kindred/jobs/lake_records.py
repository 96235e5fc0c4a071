"""The log as the lake holds it: records in order from the lake's files, and from the log behind them."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import polars as pl

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.groups import ERASED, erasure_mark
from kindred.ingest.replay import ReplayedLog
from kindred.jobs.erasures import PERSON
from kindred.ports.log import EventLog, LogRecord
from kindred.ports.state import StateKey, StateRecord, StateWrite
from kindred.training.lake_events import LakeEvents


class LakeLog(ReplayedLog):
    """A log whose trimmed front is read from the lake; what compaction took out of the lake is not there."""

    def __init__(self, log: EventLog, lake: Path) -> None:
        """Read what `lake` holds now, and `log` behind it."""
        super().__init__(log)
        self._tail = log
        self._lake = LakeEvents(lake)
        self._manifest = self._lake.manifest()
        self._ends = self._manifest.ends()
        self._open: dict[int, tuple[Position, Iterator[list[LogRecord]], list[LogRecord]]] = {}

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` records behind `after`; quick where it is the last one that was read."""
        end = self._ends.get(after.partition)
        if end is None or after > end:
            return await self._tail.read(after, limit)
        found = [] if after == end else await asyncio.to_thread(self._from_lake, after, limit)
        return found or await self._behind(end, limit)

    def in_lake(self) -> Sequence[int]:
        """Return the partitions that the lake knows, of any epoch."""
        return sorted(self._ends)

    def lacks_some(self, partition: int) -> bool:
        """Say whether records of a partition were gone before the lake came to them."""
        return partition not in self._ends or any(each.startswith(f"{partition}:") for each in self._manifest.lost)

    def forgotten(self) -> list[StateWrite]:
        """Return the marks of forgotten people whose rows are gone from the lake."""
        files = [file for file in self._manifest.files if file.controls]
        rows = self._lake.scan(files).filter((pl.col("kind") == "erased") & pl.col("raw").is_null())
        arrived = pl.col("ingested_at").dt.timestamp("ms")
        found = rows.select("epoch", "partition", "offset", arrived, "metadata").sort("epoch", "partition", "offset")
        last: dict[str, tuple[Position, int]] = {}
        for epoch, partition, offset, arrival, metadata in found.collect().iter_rows():
            said = msgspec.json.decode(metadata)
            before = last.get(said[PERSON])
            if before is None or not said.get("follows") or arrival > before[1]:
                last[said[PERSON]] = Position(epoch, partition, offset), arrival
        return [
            StateWrite(StateKey(ERASED, person), StateRecord(place, erasure_mark(place, arrival)))
            for person, (place, arrival) in last.items()
        ]

    async def _behind(self, end: Position, limit: int) -> list[LogRecord]:
        """Read what follows the lake; raise InvalidInput where the log has lost some of it."""
        found = await self._tail.read(end, limit)
        if found and found[0].position.epoch == end.epoch and found[0].position.offset > end.offset + 1:
            raise InvalidInput(f"the lake ends at {end} and the log begins at {found[0].position}: records are missing")
        return found

    def _from_lake(self, after: Position, limit: int) -> list[LogRecord]:
        """Go on where the last read ended, or begin anew behind `after`."""
        place, batches, waiting = self._open.get(after.partition, (None, iter(()), []))
        if place != after:
            batches, waiting = self._batches(after), []
        while not waiting:
            batch = next(batches, None)
            if batch is None:
                return []
            waiting = batch
        found, rest = waiting[:limit], waiting[limit:]
        self._open[after.partition] = (found[-1].position, batches, rest)
        return found

    def _batches(self, after: Position) -> Iterator[list[LogRecord]]:
        """Go through the records behind `after`, in pieces of bounded size."""
        for rows in self._lake.behind(after, self._manifest):
            kept = rows.filter(pl.col("raw").is_not_null()).select("epoch", "offset", "raw")
            for piece in kept.iter_slices(10_000):
                yield [
                    LogRecord(Position(epoch, after.partition, offset), raw) for epoch, offset, raw in piece.iter_rows()
                ]
