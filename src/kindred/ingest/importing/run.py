"""A whole import: read, check, part, number, write, commit, and hand over to the consumer by a marker in the log."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import polars as pl

from kindred.core.errors import ConfigError, InvalidInput, LeaseHeld
from kindred.core.ids import new_id
from kindred.core.profile import Profile
from kindred.ingest.importing.catalogue import list_items, list_stubs, read_items, reserve
from kindred.ingest.importing.entities import item_reader, to_profile, user_reader
from kindred.ingest.importing.finish import finish, finish_pending
from kindred.ingest.importing.lake import ImportManifest, Lake, Staged
from kindred.ingest.importing.mapping import ImportMapping, load_mapping
from kindred.ingest.importing.normalise import InteractionNormaliser, Limits, Tally
from kindred.ingest.importing.options import ImportOptions, ImportReport, ImportStores, ProgressCallback, Reporter
from kindred.ingest.importing.parts import Part, PartWorker
from kindred.ingest.importing.reading import expected_rows, read_table
from kindred.ingest.importing.rejects import LINE, Rejects
from kindred.ingest.importing.spill import Spill
from kindred.ingest.importing.tags import collect_tags, needed_columns
from kindred.sample import sample_folder

LEASE = "import"
_MALFORMED = "malformed row"
_PROFILES_PER_READ = 2_000


def sample_mapping() -> ImportMapping:
    """Return the mapping of the packaged sample data; import it with `shift_to_now`."""
    return load_mapping(sample_folder() / "mapping.toml")


async def run_import(
    mapping: ImportMapping,
    stores: ImportStores,
    options: ImportOptions | None = None,
    progress: ProgressCallback | None = None,
) -> ImportReport:
    """Import what a mapping names; running it again imports only what is new, and completes what was cut off.

    Memory holds one part (about 250,000 rows), the ids of all items, and the distinct tags. State follows when the
    consumer reads the marker at `report.position`. Raises LeaseHeld while another import runs, ConfigError when the
    mapping does not fit the files, InvalidInput for a damaged file (or, when strict, for the first bad row),
    StoreUnavailable when a store or the disk refuses.
    """
    options = options or ImportOptions()
    tell = Reporter(progress)
    fence = await stores.leases.acquire(LEASE, new_id(f"import-{os.getpid()}"))
    if fence is None:
        raise LeaseHeld("another import is running on this data folder; wait for it to end")
    try:
        reject_file = options.reject_file or stores.lake.parent / "rejects" / f"{mapping.source}.jsonl"
        with Rejects(reject_file, options.strict) as rejects:
            return await _Import(mapping, stores, options, rejects, tell).run()
    except pl.exceptions.PolarsError as error:
        hint = "does each mapped column hold what its field needs?"
        raise InvalidInput(f"source {mapping.source}: the files do not fit the mapping: {error}; {hint}") from error
    finally:
        tell.stop()
        await stores.leases.release(LEASE, fence)


class _Import:
    """The steps of one import and what they pass on."""

    def __init__(
        self, mapping: ImportMapping, stores: ImportStores, options: ImportOptions, rejects: Rejects, tell: Reporter
    ) -> None:
        self.mapping, self.stores, self.options, self.rejects, self.tell = mapping, stores, options, rejects, tell
        self.base, self.lake = Path(mapping.base), Lake(stores.lake)
        self.now = options.clock.now()
        self.report = ImportReport(source=mapping.source)
        self.item_ids: dict[str, None] = {}
        self.first_times: dict[str, int | None] = {}

    async def run(self) -> ImportReport:
        """Do all steps in order."""
        report = self.report
        report.notice = await asyncio.to_thread(self._notice)
        with self._timed("resume"):
            report.finished = await finish_pending(self.lake, self.stores, self.now, self.tell)
        import_id = new_id("imp")
        staged = self.lake.stage(import_id)
        try:
            rows, profiles = await self._read(staged)
            with self._timed("parts"):
                await self._work_parts(staged, rows, profiles)
            with self._timed("catalogue"):
                await self._write_items()
            await self._commit(staged, import_id)
        finally:
            staged.discard()
        report.rejects = dict(self.rejects.counts)
        report.reject_file = self.rejects.path if self.rejects.total else None
        report.left_out = {cause: count for cause, count in report.left_out.items() if count}
        return report

    def _notice(self) -> str:
        """Return the text that comes with the data."""
        if self.mapping.notice is None:
            return ""
        path = self.base / self.mapping.notice
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"notice: {path} cannot be read: {error}") from error

    async def _read(self, staged: Staged) -> tuple[Spill, Spill]:
        """Read interactions and users into parts on disk; fix the shift of times."""
        with self._timed("read"):
            table, users = self.mapping.interactions, self.mapping.users
            expected = 0
            if table:
                expected += await asyncio.to_thread(expected_rows, table, self.base, "interactions")
            if users:
                expected += await asyncio.to_thread(expected_rows, users, self.base, "users")
            rows = Spill(staged.spill_folder / "rows", expected)
            profiles = Spill(staged.spill_folder / "profiles", expected)
            tally = await asyncio.to_thread(self._read_interactions, rows)
            self._fix_shift(tally)
            await asyncio.to_thread(self._read_users, profiles)
        return rows, profiles

    def _read_interactions(self, spill: Spill) -> Tally:
        """Check all interactions and part them by user."""
        table = self.mapping.interactions
        if table is None:
            return Tally()
        earlier = self._earlier_shift()
        limits = Limits(self.now, earlier or 0, self.options.event_types)
        normaliser = InteractionNormaliser(table, self.mapping.timezone, limits, self.rejects)
        for batch in read_table(table, self.base, "interactions", normaliser.needed, self.rejects, self.tell):
            rows = normaliser.normalise(batch)
            self.item_ids |= dict.fromkeys(rows.filter(~pl.col("cancels"))["item_id"].unique(maintain_order=True))
            spill.add(rows.drop(LINE))
        spill.close()
        tally = normaliser.tally
        self.report.left_out |= tally.left_out
        self.report.rejected = self.rejects.total
        self.report.read = tally.read + self.rejects.counts[_MALFORMED]
        return tally

    def _earlier_shift(self) -> int | None:
        """Return the shift that earlier imports of the source gave its times, or None when there was none."""
        earlier = self.lake.manifests(self.mapping.source)
        return earlier[0].shift if earlier else None

    def _fix_shift(self, tally: Tally) -> None:
        """Decide by how much times are moved: as in the source's earlier imports, else as the options say."""
        earlier = self._earlier_shift()
        if earlier is not None:
            self.report.shift = earlier
        elif self.options.shift_to_now and tally.last_time is not None:
            self.report.shift = self.now - tally.last_time

    def _read_users(self, spill: Spill) -> None:
        """Check all users and part their profiles as the interactions are."""
        table = self.mapping.users
        if table is None:
            return
        reader = user_reader(table, self.mapping.timezone, self.rejects)
        encode = msgspec.msgpack.Encoder().encode
        for batch in read_table(table, self.base, "users", reader.needed, self.rejects, self.tell):
            found = [(line, to_profile(fields)) for line, fields in reader.rows(batch)]
            spill.add(
                pl.DataFrame(
                    {
                        "user_id": [profile.user_id for _, profile in found],
                        "profile": [encode(profile) for _, profile in found],
                        "file": [batch.file] * len(found),
                        LINE: [line for line, _ in found],
                    },
                    schema={"user_id": pl.String, "profile": pl.Binary, "file": pl.String, LINE: pl.Int64},
                )
            )
        spill.close()
        self._leave_out(reader.left_out, "users")

    def _leave_out(self, counts: dict[str, int], table: str) -> None:
        """Count rows of another table that the mapping leaves out."""
        for cause, count in counts.items():
            self.report.left_out[f"{table}: {cause}"] = count

    async def _work_parts(self, staged: Staged, rows: Spill, profiles: Spill) -> None:
        """Number, de-duplicate and write part after part."""
        ids = list(self.item_ids)
        ordinals = await reserve(self.stores.catalog, ids, self.now)
        table = pl.DataFrame({"item_id": ids, "ordinal": ordinals}, schema={"item_id": pl.String, "ordinal": pl.Int32})
        cancellation = self.mapping.interactions.cancellation if self.mapping.interactions else None
        worker = PartWorker(self.mapping.source, table, self.report.shift, cancellation.of if cancellation else "")
        for number, (first, last) in enumerate(rows.ranges):
            changed = await self._changed_profiles(profiles.read(number))
            part = await asyncio.to_thread(self._work_part, worker, rows, number, changed)
            await asyncio.to_thread(staged.write, part.rows, part.fold, first, last)
            self.report.changed_users += len(changed)
            self._count(part)
            self.tell.tell("parts", self.report.new + self.report.known, (number + 1) / len(rows.ranges))

    def _work_part(self, worker: PartWorker, spill: Spill, number: int, profiles: dict[str, bytes]) -> Part:
        """Work one part, then delete it from the disk."""
        first, last = spill.ranges[number]
        known = self.lake.known_row_ids(self.mapping.source, first, last)
        part = worker.work(spill.read(number), known, profiles)
        spill.drop(number)
        return part

    async def _changed_profiles(self, frame: pl.DataFrame | None) -> dict[str, bytes]:
        """Return the profiles of a part that differ from the stored ones; the first row of a user counts."""
        if frame is None:
            return {}
        repeated = frame.filter(~pl.col("user_id").is_first_distinct())
        for user, _, file, line in repeated.iter_rows():
            self.rejects.add(file, line, "repeated user_id", f"user {user!r} stands in an earlier row already")
        found = frame.filter(pl.col("user_id").is_first_distinct())
        self.report.users += len(found)
        decoder = msgspec.msgpack.Decoder(Profile)
        changed = {}
        for start in range(0, len(found), _PROFILES_PER_READ):
            chunk = found.slice(start, _PROFILES_PER_READ)
            stored = await self.stores.profiles.get(chunk["user_id"].to_list())
            for user, data, old in zip(chunk["user_id"], chunk["profile"], stored, strict=True):
                if old != decoder.decode(data):
                    changed[user] = data
        return changed

    def _count(self, part: Part) -> None:
        """Add a part's counts to the report."""
        report, left_out = self.report, self.report.left_out
        report.new += len(part.rows)
        report.known += part.known
        report.taken_back_late += part.taken_back_late
        for cause, count in (
            ("cancellation", part.cancellations - part.unmatched),
            ("cancellation without an earlier purchase", part.unmatched),
            ("taken back by a cancellation", part.taken_back),
        ):
            left_out[cause] = left_out.get(cause, 0) + count
        if len(part.rows):
            known = part.rows.filter(pl.col("timestamp") >= 0)["timestamp"]
            times = [t for t in (known.min(), known.max(), report.first, report.last) if isinstance(t, int)]
            report.first, report.last = (min(times), max(times)) if times else (None, None)
        for item, first in part.first_times.iter_rows():
            if self.first_times.get(item) is None or (first is not None and first < (self.first_times[item] or 0)):
                self.first_times[item] = first

    async def _write_items(self) -> None:
        """Write the items that are described, or list those that only the interactions name."""
        table, catalog = self.mapping.items, self.stores.catalog
        if table is None:
            if self.mapping.interactions:
                self.report.items = await list_stubs(catalog, list(self.first_times), self.first_times, self.now)
            return
        reader = item_reader(table, self.mapping.timezone, self.rejects)
        tags = await asyncio.to_thread(self._tags)
        raw = read_table(table, self.base, "items", reader.needed, self.rejects, self.tell)
        batches = read_items(raw, reader, tags, self.report.shift, self.rejects)
        while (items := await asyncio.to_thread(next, batches, None)) is not None:
            await list_items(catalog, items, self.first_times, self.now)
            self.report.items += len(items)
        self._leave_out(reader.left_out, "items")

    def _tags(self) -> dict[str, list[str]]:
        """Read the tags that stand in a file of their own."""
        table = self.mapping.item_tags
        if table is None:
            return {}
        batches = read_table(table, self.base, "item_tags", needed_columns(table), self.rejects, self.tell)
        return collect_tags(batches, table, self.rejects)

    async def _commit(self, staged: Staged, import_id: str) -> None:
        """Make the import exist where it brought something to fold, and do what follows from it."""
        report = self.report
        if not (report.new or report.changed_users):
            return
        manifest = ImportManifest(
            import_id=import_id,
            source=self.mapping.source,
            created=self.now,
            shift=report.shift,
            interactions=report.new,
            items=report.items,
            users=report.changed_users,
            first=report.first,
            last=report.last,
        )
        with self._timed("commit"):
            await asyncio.to_thread(self.lake.commit, staged, manifest)
        with self._timed("history"):
            report.position = await finish(self.lake, manifest, self.stores, self.now, self.tell)
        report.import_id = import_id

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        """Note how long a step takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.report.seconds[step] = round(time.perf_counter() - start, 3)
