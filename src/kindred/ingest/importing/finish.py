"""The last steps of a committed import; each may be done again, so the next run completes one that was cut off."""

import asyncio

import msgspec
import numpy as np
import polars as pl

from kindred.core.event import Imported, encode_event
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.ingest.fold_columns import read_fold
from kindred.ingest.importing.lake import ImportManifest, Lake
from kindred.ingest.importing.options import ImportStores, Reporter
from kindred.ingest.importing.row_ids import ROW_ID, row_id_array
from kindred.ports.interactions import InteractionColumns

_PROFILES_PER_WRITE = 2_000


async def finish(lake: Lake, manifest: ImportManifest, stores: ImportStores, now: int, tell: Reporter) -> Position:
    """Publish the rows, write profiles and history, append the marker to the log; return the marker's position.

    A marker that was appended before a crash is appended again: the consumer folds the first one of an import only.
    """
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
    """Complete imports that were committed and then cut off; return their ids. For the holder of the import lease."""
    await asyncio.to_thread(lake.clear_staging)
    pending = [manifest for manifest in lake.manifests() if manifest.position is None]
    for manifest in pending:
        await finish(lake, manifest, stores, now, tell)
    return [manifest.import_id for manifest in pending]


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
