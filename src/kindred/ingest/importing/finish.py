"""The last steps of a committed import; each may be done again, so the next run completes one that was cut off."""

import asyncio

import msgspec
import numpy as np
import polars as pl

from kindred.core.errors import InvalidInput
from kindred.core.event import Imported, decode_event, encode_event
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.ingest.fold_columns import read_fold
from kindred.ingest.importing.lake import ImportManifest, Lake
from kindred.ingest.importing.options import ImportStores, Reporter
from kindred.ingest.importing.row_ids import ROW_ID, row_id_array
from kindred.ports.interactions import InteractionColumns
from kindred.ports.log import EventLog, LogRecord, all_partitions

_PROFILES_PER_WRITE = 2_000
_RECORDS_PER_READ = 10_000


async def finish(lake: Lake, manifest: ImportManifest, stores: ImportStores, now: int, tell: Reporter) -> Position:
    """Publish the rows, write profiles and history, append the marker to the log; return the marker's position."""
    await asyncio.to_thread(lake.publish_rows, manifest)
    if manifest.users:
        await _write_profiles(lake, manifest, stores)
    await _write_history(lake, manifest, stores, tell)
    marker = Imported(
        event_id=manifest.import_id,
        timestamp=now,
        ingested_at=now,
        import_id=manifest.import_id,
        source=manifest.source,
        interactions=manifest.interactions,
        items=manifest.items,
        users=manifest.users,
    )
    (position,) = await stores.log.append([(manifest.import_id, encode_event(marker))])
    await asyncio.to_thread(lake.close, manifest, str(position))
    return position


async def finish_pending(lake: Lake, stores: ImportStores, now: int, tell: Reporter) -> list[str]:
    """Complete imports that were committed and then cut off; return their ids. For the holder of the import lease.

    Where the marker stands in the log already, its position alone was not noted. Writing profiles and history again
    would bring back users who were erased since.
    """
    await asyncio.to_thread(lake.clear_staging)
    pending = [manifest for manifest in lake.manifests() if manifest.position is None]
    for manifest in pending:
        position = await _marker_position(stores.log, manifest.import_id)
        if position is None:
            await finish(lake, manifest, stores, now, tell)
        else:
            await asyncio.to_thread(lake.close, manifest, str(position))
    return [manifest.import_id for manifest in pending]


async def _marker_position(log: EventLog, import_id: str) -> Position | None:
    """Return where an import's first marker stands in the log, None when it was never appended."""
    for partition in await all_partitions(log):
        after = Position(0, partition, -1)
        while records := await log.read(after, _RECORDS_PER_READ):
            for record in records:
                if _is_marker(record, import_id):
                    return record.position
            after = records[-1].position
            await asyncio.sleep(0)
    return None


def _is_marker(record: LogRecord, import_id: str) -> bool:
    # Decoding the whole log would take a hundred times as long.
    if import_id.encode() not in record.data:
        return False
    try:
        event = decode_event(record.data)
    except InvalidInput:
        return False
    return isinstance(event, Imported) and event.import_id == import_id


async def _write_profiles(lake: Lake, manifest: ImportManifest, stores: ImportStores) -> None:
    decoder = msgspec.msgpack.Decoder(Profile)
    for fold in read_fold(lake.folder, manifest.import_id):
        profiles = [decoder.decode(data) for data in fold.profiles if data]
        for start in range(0, len(profiles), _PROFILES_PER_WRITE):
            await stores.profiles.upsert(profiles[start : start + _PROFILES_PER_WRITE])


async def _write_history(lake: Lake, manifest: ImportManifest, stores: ImportStores, tell: Reporter) -> None:
    done, parts = 0, lake.parts(manifest)
    while (rows := await asyncio.to_thread(next, parts, None)) is not None:
        await stores.interactions.add_columns(_history_columns(rows))
        done += len(rows)
        tell.tell("history", done, done / max(manifest.interactions, 1))


def _history_columns(rows: pl.DataFrame) -> InteractionColumns:
    """Return a part of the lake as columns of the history."""
    return InteractionColumns(
        row_ids=row_id_array(rows[ROW_ID]),
        users=rows["user_id"].to_list(),
        items=rows["ordinal"].to_numpy().astype(np.int32),
        event_types=rows["event_type"].to_list(),
        timestamps=rows["timestamp"].to_numpy().astype(np.int64),
        values=rows["value"].fill_null(np.nan).to_numpy().astype(np.float64),
    )
