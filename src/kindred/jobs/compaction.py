"""Compaction of the lake: closed hours become few files, repeats are marked, forgotten people's rows go."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import msgspec
import polars as pl

from kindred.core.clock import DAY, HOUR, MINUTE, Clock, SystemClock
from kindred.core.errors import LeaseHeld
from kindred.jobs.config import LakeConfig
from kindred.jobs.erasures import Gone, erasures, without_people
from kindred.jobs.forgotten_acts import ForgottenActs
from kindred.jobs.lake import LEASE, lake_lease
from kindred.jobs.lake_files import LakeFolder
from kindred.ports.operations import Leases
from kindred.training.lake_events import LakeFile, LakeManifest

# An hour is closed so much after its end: servers' clocks differ, and appends under way arrive.
_SLACK = 15 * MINUTE
# Keys looked at in one go for repeats; more are looked at in several passes.
_KEYS_AT_ONCE = 4_000_000


@dataclass(slots=True)
class CompactionReport:
    """What a compaction did: hours merged, files before and after, repeats marked, rows of forgotten people gone."""

    hours: int = 0
    files_before: int = 0
    files_after: int = 0
    repeats: int = 0
    erased_people: int = 0
    erased_rows: int = 0


class Compactor:
    """Rewrites files of the lake; readers see the old ones or the new ones, never both."""

    def __init__(
        self,
        leases: Leases,
        lake: Path,
        config: LakeConfig | None = None,
        clock: Clock | None = None,
        acts: ForgottenActs | None = None,
    ) -> None:
        """Prepare; nothing is read before `run`. `acts` keeps what forgotten people add to items; else it goes too."""
        self._leases, self._lake, self._folder = leases, lake, LakeFolder(lake)
        self._config, self._clock, self._acts = config or LakeConfig(), clock or SystemClock(), acts

    async def run(self) -> CompactionReport:
        """Drop forgotten people's rows, merge closed hours, delete files replaced long ago.

        Raises LeaseHeld while another process writes the lake.
        """
        async with lake_lease(self._leases) as fence:
            report = CompactionReport()
            gone = await asyncio.to_thread(self._gone)
            if self._acts is not None and gone.people:
                remains = await self._acts.of(self._folder, self._folder.manifest(), list(gone.people))
                gone = replace(gone, remains=remains)
            steps = self._steps(gone, report)
            while await asyncio.to_thread(next, steps, False) is not False:
                if not await self._leases.holds(LEASE, fence):
                    raise LeaseHeld("another process took over the lake while this one worked")
            return report

    def _gone(self) -> Gone:
        """Return who is to be forgotten."""
        return erasures(self._folder, self._folder.manifest())

    def _steps(self, gone: Gone, report: CompactionReport) -> Iterator[bool]:
        """Do one step after the other, each ended by one replacement of the manifest."""
        now = self._clock.now()
        manifest = self._folder.manifest()
        self._folder.clear(manifest)
        report.files_before = len(manifest.files)
        if gone.people:
            report.erased_people = len(gone.people)
            report.erased_rows += without_people(self._lake, gone)
            # The names of who is forgotten go last: until then a run that was cut off can be done again.
            for naming in (True, False):
                # The newest first: what the events before them add does not depend on them.
                for file in [one for one in reversed(manifest.ordered()) if naming or one.erasures]:
                    manifest = self._forget(manifest, file, gone, naming, now, report)
                    yield True
        for key, group in groupby(_mergeable(manifest, now), key=_hour):
            manifest = self._merge(manifest, list(group), now, report)
            report.hours += 1
            yield key is not None
        manifest = self._folder.drop_retired(manifest, now - self._config.keep_replaced * 1000)
        self._folder.commit(manifest)
        report.files_after = len(manifest.files)

    def _forget(
        self, manifest: LakeManifest, file: LakeFile, gone: Gone, naming: bool, now: int, report: CompactionReport
    ) -> LakeManifest:
        """Rewrite a file without the rows of forgotten people, where it has any; with `naming` their names stay yet."""
        if not gone.touches(self._folder.read(file, ["user_id"])["user_id"]):
            return manifest
        rows = self._folder.read(file)
        kept, taken = gone.leave_out(rows, naming)
        if naming and not taken:
            return manifest
        report.erased_rows += taken
        written = []
        if len(kept):
            written = [self._folder.write(kept, _generation(file) + 1)]
            # What was not merged yet still has to be.
            written = [msgspec.structs.replace(one, compacted=file.compacted) for one in written]
        return self._replace(manifest, [file], written, now)

    def _merge(
        self, manifest: LakeManifest, files: Sequence[LakeFile], now: int, report: CompactionReport
    ) -> LakeManifest:
        """Merge the files of one hour and partition, and mark what clients sent again."""
        repeats = self._repeats(manifest, files)
        report.repeats += len(repeats)
        generation = max(map(_generation, files)) + 1
        written = []
        for number, batch in enumerate(_batches(files, self._config.file_rows)):
            frames = (_marked(self._folder.read(file), repeats) for file in batch)
            written.append(self._folder.write_all(frames, generation, f"-{number}"))
        return self._replace(manifest, files, written, now)

    def _replace(
        self, manifest: LakeManifest, old: Sequence[LakeFile], new: Sequence[LakeFile], now: int
    ) -> LakeManifest:
        """Put files in the place of others."""
        paths = {file.path for file in old}
        manifest = msgspec.structs.replace(
            manifest,
            files=[*(file for file in manifest.files if file.path not in paths), *new],
            retired={**manifest.retired, **dict.fromkeys(paths, now)},
        )
        self._folder.commit(manifest)
        return manifest

    def _repeats(self, manifest: LakeManifest, files: Sequence[LakeFile]) -> pl.Series:
        """Return the offsets of rows whose user and event id arrived before within a day, in as many passes as fit."""
        first = files[0]
        near = [
            file
            for file in manifest.files
            if file.partition == first.partition and first.hour - 24 <= file.hour <= first.hour
        ]
        since = first.hour * HOUR
        passes = 1 + sum(file.rows for file in near) // _KEYS_AT_ONCE
        keys = (
            self._folder.scan(near)
            .filter((pl.col("kind") == "interaction") & pl.col("user_id").is_not_null())
            # A repeat is no first arrival to what comes within a day of it.
            .filter(~pl.col("duplicate").fill_null(False) | (pl.col("ingested_at").dt.timestamp("ms") >= since))
            .select(
                "epoch",
                "offset",
                pl.col("ingested_at").dt.timestamp("ms").alias("arrived"),
                pl.struct("user_id", "event_id").hash().alias("key"),
            )
        )
        found: list[int] = []
        for turn in range(passes):
            part = keys.filter(pl.col("key") % passes == turn).filter(pl.len().over("key") > 1)
            found += _repeated(part.sort("epoch", "offset").collect(engine="streaming"), first.epoch, first.hour)
        return pl.Series("offset", found, dtype=pl.Int64)


def _repeated(keys: pl.DataFrame, epoch: int, hour: int) -> list[int]:
    """Return the offsets, of one epoch and hour, that repeat a key within a day of its first arrival."""
    first: dict[int, int] = {}
    found = []
    for at, offset, arrived, key in keys.iter_rows():
        before = first.get(key)
        if before is None or before < arrived - DAY:
            first[key] = arrived
        elif at == epoch and arrived // HOUR == hour:
            found.append(offset)
    return found


def _marked(rows: pl.DataFrame, repeats: pl.Series) -> pl.DataFrame:
    """Say of each interaction whether it is a repeat."""
    said = pl.when(pl.col("kind") == "interaction").then(pl.col("offset").is_in(repeats.implode()))
    return rows.with_columns(said.alias("duplicate"))


def _mergeable(manifest: LakeManifest, now: int) -> list[LakeFile]:
    """Return the files of closed hours that hold any file not merged yet, hour by hour, the oldest first."""
    closed = [file for file in manifest.ordered() if (file.hour + 1) * HOUR + _SLACK <= now]
    closed.sort(key=lambda file: (*_hour(file), file.first))
    wanted: Mapping[tuple[int, int, int], bool] = {
        key: any(not file.compacted for file in group) for key, group in groupby(closed, key=_hour)
    }
    return [file for file in closed if wanted[_hour(file)]]


def _hour(file: LakeFile) -> tuple[int, int, int]:
    return file.hour, file.epoch, file.partition


def _batches(files: Sequence[LakeFile], rows: int) -> Iterator[list[LakeFile]]:
    """Gather files in order until a batch has about `rows` rows."""
    batch: list[LakeFile] = []
    for file in files:
        if batch and sum(one.rows for one in batch) + file.rows > rows:
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


def _generation(file: LakeFile) -> int:
    """Return how often the rows of a file were rewritten: `….2.parquet` is 2."""
    parts = Path(file.path).name.split(".")
    return int(parts[1]) if len(parts) == 3 else 0
