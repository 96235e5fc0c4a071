"""What log and lake hold of a person: events as they were sent, and imported rows."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from kindred.core.event import HandedOver, decode_event
from kindred.ingest.importing.lake import Lake
from kindred.ingest.importing.row_ids import ROW_ID
from kindred.ports.log import EventLog
from kindred.training.lake_events import LakeEvents
from kindred.training.log_rows import event_columns, log_batches

Line = dict[str, Any]


async def person_events(log: EventLog, lake: Path, users: Sequence[str]) -> AsyncIterator[Line]:
    """Yield the events of `users` (kind `event`) and their imported rows (`imported`), a file or batch at a time.

    What asked to be forgotten is still held, and told, until compaction takes it out of the lake.
    """
    events, wanted = LakeEvents(lake), pl.col("user_id").is_in(list(users))
    manifest = events.manifest()
    for file in manifest.ordered():
        rows = await asyncio.to_thread(events.scan([file]).filter(wanted).collect)
        for line in _events(rows, "lake"):
            yield line
    async for records in log_batches(log, manifest.ends()):
        for line in _events(event_columns(records).filter(wanted), "log"):
            yield line
    imports = Lake(lake)
    for done in imports.manifests():
        for path in sorted(imports.rows_folder(done).glob("part-*.parquet")):
            rows = await asyncio.to_thread(pl.scan_parquet(path, hive_partitioning=False).filter(wanted).collect)
            for row in rows.drop(ROW_ID, strict=False).iter_rows(named=True):
                yield {"kind": "imported", "source": done.source, **row}


def _events(rows: pl.DataFrame, place: str) -> Iterator[Line]:
    """Return events as they were sent, but for records on their way between users, which repeat what others say."""
    for epoch, partition, offset, kind, raw in rows.select("epoch", "partition", "offset", "kind", "raw").iter_rows():
        event = None if raw is None else decode_event(raw)
        if event is None or isinstance(event, HandedOver):
            continue
        fields = msgspec.to_builtins(event)
        fields.pop("type", None)
        yield {"kind": "event", "what": kind, "place": place, "position": f"{epoch}.{partition}.{offset}", **fields}
