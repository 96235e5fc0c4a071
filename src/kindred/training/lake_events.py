"""The events of the lake: Parquet files by hour of arrival, and the manifest that alone says which of them count."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import polars as pl

from kindred.core.errors import StoreUnavailable
from kindred.core.position import Position

EVENTS = "events"
MANIFEST = "manifest.json"

_TIME = pl.Datetime("ms", "UTC")
# Kinds of rows that change what other rows mean.
CONTROLS = ("erased", "merged", "removed", "imported")

EVENT_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "epoch": pl.Int64,
    "partition": pl.Int32,
    "offset": pl.Int64,
    "event_id": pl.String,
    "kind": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "event_type": pl.String,
    "timestamp": _TIME,
    "ingested_at": _TIME,
    "value": pl.Float64,
    "request_id": pl.String,
    "placement": pl.String,
    "slot": pl.Int32,
    "device": pl.String,
    "country": pl.String,
    "metadata": pl.String,
    "duplicate": pl.Boolean,
    "raw": pl.Binary,
}


class LakeFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One Parquet file: rows of one epoch and partition that arrived in one hour, in order of offset.

    `path` is below `events/`; `hour` counts hours since 1970 UTC; `first` and `last` are offsets. `controls`: rows of
    `CONTROLS`; `erasures`: rows that still name a forgotten person. `compacted`: merged, and repeats are marked.
    """

    path: str
    epoch: int
    partition: int
    first: int
    last: int
    rows: int
    hour: int
    compacted: bool = False
    controls: int = 0
    erasures: int = 0


class LakeManifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the lake holds; replacing this file is the one moment at which a step of the lake happens.

    `positions`: the last record of each partition that stands in the lake. `retired`: files that compaction replaced,
    with the time (ms) at which it did; they go later, since someone may still read them. `lost`: stretches
    `partition:first-last` that the log had dropped before the lake got there.
    """

    version: int = 1
    positions: list[str] = []
    files: list[LakeFile] = []
    retired: dict[str, int] = {}
    lost: list[str] = []

    def ends(self) -> dict[int, Position]:
        """Return the last position of each partition."""
        return {place.partition: place for place in map(Position.parse, self.positions)}

    def ordered(self) -> list[LakeFile]:
        """Return the files in order of epoch, partition and offset."""
        return sorted(self.files, key=lambda file: (file.epoch, file.partition, file.first, file.last))


class LakeEvents:
    """Reads the events of a lake; what it read of the manifest stays good until files retired by then are deleted."""

    def __init__(self, lake: Path) -> None:
        """Read below `lake`."""
        self.folder = lake / EVENTS

    def manifest(self) -> LakeManifest:
        """Return what the lake holds now; an absent manifest is an empty lake. Raise StoreUnavailable if damaged."""
        path = self.folder / MANIFEST
        try:
            return msgspec.json.decode(path.read_bytes(), type=LakeManifest)
        except FileNotFoundError:
            return LakeManifest()
        except (OSError, msgspec.DecodeError) as error:
            raise StoreUnavailable(f"{path}: cannot be read ({error}); restore it from a backup") from error

    def path(self, file: LakeFile) -> Path:
        """Return where a file stands."""
        return self.folder / file.path

    def scan(self, files: Sequence[LakeFile]) -> pl.LazyFrame:
        """Return the rows of files, of which only what is asked for is read."""
        if not files:
            return pl.LazyFrame(schema=EVENT_SCHEMA)
        return pl.scan_parquet([self.path(file) for file in files], hive_partitioning=False, schema=EVENT_SCHEMA)

    def read(self, file: LakeFile, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return some or all columns of a file; raise StoreUnavailable when it cannot be read."""
        try:
            chosen = None if columns is None else list(columns)
            return pl.read_parquet(self.path(file), columns=chosen, hive_partitioning=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreUnavailable(f"{self.path(file)}: cannot be read ({error}); restore it from a backup") from error

    def behind(self, after: Position, manifest: LakeManifest) -> Iterator[pl.DataFrame]:
        """Go through `epoch`, `offset` and `raw` of a partition's rows behind `after`, in order; null where erased."""
        mine = [file for file in manifest.ordered() if file.partition == after.partition]
        wanted = [file for file in mine if (file.epoch, file.last) > (after.epoch, after.offset)]
        for group in _overlapping(wanted):
            frames = [self.read(file, ("epoch", "offset", "kind", "metadata", "raw")) for file in group]
            rows = pl.concat(frames).sort("epoch", "offset")
            newer = (pl.col("epoch") > after.epoch) | (
                (pl.col("epoch") == after.epoch) & (pl.col("offset") > after.offset)
            )
            yield rows.filter(newer)


def _overlapping(files: Sequence[LakeFile]) -> Iterator[list[LakeFile]]:
    """Gather files whose offsets overlap: where clocks step back, a batch is spread over several hours."""
    group: list[LakeFile] = []
    for file in files:
        if group and (file.epoch != group[0].epoch or file.first > max(one.last for one in group)):
            yield group
            group = []
        group.append(file)
    if group:
        yield group
