"""The lake's writer: takes over what the log holds, step by step, each of which happens whole or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from kindred.core.clock import Clock, SystemClock
from kindred.core.errors import LeaseHeld
from kindred.core.position import Position
from kindred.jobs.config import LakeConfig
from kindred.jobs.lake_files import LakeFolder, by_hour
from kindred.ports.log import EventLog, LogRecord
from kindred.ports.operations import Leases, alone
from kindred.training.lake_events import LakeManifest
from kindred.training.log_rows import event_columns

GROUP = "lake"
LEASE = "lake"


@dataclass(slots=True)
class LakeReport:
    """What a run of the writer did; `positions`: where the lake stands now. `lost`: records gone before it came."""

    rows: int = 0
    files: int = 0
    lost: int = 0
    positions: tuple[str, ...] = ()


def lake_lease(leases: Leases) -> AbstractAsyncContextManager[int]:
    """Be the one who writes the lake; raise LeaseHeld saying who is."""
    return alone(leases, LEASE, "writes the lake")


class LakeWriter:
    """Writes what stands in the log behind the lake's own position; running it again writes nothing twice."""

    def __init__(
        self, log: EventLog, leases: Leases, lake: Path, config: LakeConfig | None = None, clock: Clock | None = None
    ) -> None:
        """Prepare; nothing is read before `run`."""
        self._log, self._leases, self._folder = log, leases, LakeFolder(lake)
        self._config, self._clock = config or LakeConfig(), clock or SystemClock()

    async def run(self) -> LakeReport:
        """Take over everything up to the log's present end. Raise LeaseHeld while another process does."""
        async with lake_lease(self._leases) as fence:
            report = LakeReport()
            manifest = self._folder.manifest()
            await asyncio.to_thread(self._folder.clear, manifest)
            await asyncio.to_thread(self._folder.begin)
            ends = {end.partition: end for end in await self._log.ends()}
            partitions = await self._log.partitions()
            for partition in sorted({*range(max(partitions.values())), *manifest.ends()}):
                async for step in self._steps(partition, manifest.ends().get(partition), ends.get(partition)):
                    if not await self._leases.holds(LEASE, fence):
                        raise LeaseHeld("another process took over the lake while this one worked")
                    manifest = await asyncio.to_thread(self._take, manifest, step, report)
                    await self._log.commit(GROUP, step[-1].position)
            # A commit that a crash cut off would hold the log's trimming up for ever where no event follows.
            for place in manifest.ends().values():
                if place.partition < partitions.get(place.epoch, 0):
                    await self._log.commit(GROUP, place)
            report.positions = tuple(manifest.positions)
            return report

    async def _steps(
        self, partition: int, after: Position | None, until: Position | None
    ) -> AsyncIterator[list[LogRecord]]:
        """Go through a partition's records behind `after` in steps of bounded size."""
        place = after or Position(0, partition, -1)
        step: list[LogRecord] = []
        size = 0
        while until is None or place < until:
            records = await self._log.read(place, self._config.step_rows - len(step))
            if not records:
                break
            step += records
            size += sum(len(record.data) for record in records)
            place = records[-1].position
            if len(step) >= self._config.step_rows or size >= 64 << 20:
                yield step
                step, size = [], 0
        if step:
            yield step

    def _take(self, manifest: LakeManifest, step: list[LogRecord], report: LakeReport) -> LakeManifest:
        """Write the files of a step, then the manifest that makes them count."""
        rows = event_columns(step)
        files = [self._folder.write(part) for part in by_hour(rows)]
        lost = _lost(manifest.ends().get(step[0].position.partition), step)
        ends = {**manifest.ends(), step[-1].position.partition: step[-1].position}
        manifest = msgspec.structs.replace(
            manifest,
            positions=[str(ends[partition]) for partition in sorted(ends)],
            files=[*manifest.files, *files],
            lost=[*manifest.lost, *([f"{step[0].position.partition}:{lost[0]}-{lost[1]}"] if lost else [])],
        )
        self._folder.commit(manifest)
        report.rows += len(rows)
        report.files += len(files)
        report.lost += lost[1] - lost[0] + 1 if lost else 0
        return manifest


def _lost(before: Position | None, step: list[LogRecord]) -> tuple[int, int] | None:
    """Return the first and the last offset that the log no longer had when the lake came, if there are any."""
    first = step[0].position
    behind = before.offset + 1 if before is not None and before.epoch == first.epoch else None
    if before is None and first.epoch == 0:
        behind = 0
    return (behind, first.offset - 1) if behind is not None and behind < first.offset else None


def counts(manifest: LakeManifest) -> pl.DataFrame:
    """Return rows and files of the lake by day of arrival."""
    frame = pl.DataFrame(
        {"day": [file.path[5:15] for file in manifest.files], "rows": [file.rows for file in manifest.files]},
        schema={"day": pl.String, "rows": pl.Int64},
    )
    return frame.group_by("day").agg(pl.col("rows").sum(), pl.len().alias("files")).sort("day")
