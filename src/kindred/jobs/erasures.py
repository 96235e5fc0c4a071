"""Who asked to be forgotten, and taking their rows out of the lake: events and imports alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from kindred.core.files import sync, translating
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.bulk import owners_of
from kindred.features.circumstances import Circumstances
from kindred.features.groups import erased_key
from kindred.features.user_folding import country_of_profile
from kindred.ingest.fold_columns import NOBODY, FoldColumns, fold_parts
from kindred.ingest.importing.lake import ImportManifest, Lake
from kindred.ingest.importing.row_ids import ROW_ID
from kindred.jobs.forgotten_acts import anonymous_rows
from kindred.training.controls import Controls
from kindred.training.lake_events import LakeEvents, LakeManifest

PERSON = "person"
_profiles = msgspec.msgpack.Decoder(Profile)


def person_digest(user_id: str) -> str:
    """Return the hash under which a forgotten person is remembered, the same in the lake and in the state."""
    return erased_key(user_id).key


@dataclass(frozen=True, slots=True)
class Gone:
    """People to be forgotten, with the ids they once had as anonymous users: id → position and arrival (ms).

    `remains`: what takes the place of their events, so that counts of items stay.
    """

    people: Mapping[str, tuple[Position, int]]
    controls: Controls
    remains: Mapping[Position, bytes] = field(default_factory=dict)

    def touches(self, users: pl.Series) -> bool:
        """Say whether any of the people is among user ids."""
        return bool(users.is_in(list(self.people)).any())

    def leave_out(self, rows: pl.DataFrame, naming: bool) -> tuple[pl.DataFrame, int]:
        """Take out event rows of the people, but for what they added to items; say how many rows that were.

        Of the rows that ask for it, only a hash is kept where not `naming`.
        """
        marked = rows.with_columns(pl.col("ingested_at").dt.timestamp("ms").alias("arrived"))
        asking = (pl.col("kind") == "erased") & pl.col("user_id").is_in(list(self.people))
        before = marked.filter(~asking.fill_null(False))
        others = self._controls().unerased(before)
        theirs = before.join(others, on=["epoch", "partition", "offset"], how="anti")
        others = pl.concat([others.select(rows.columns), anonymous_rows(theirs, self.remains)])
        asked = marked.filter(asking)
        if not naming:
            said = asked.select("user_id", "metadata").iter_rows()
            hashes = [_hashed(user, metadata) for user, metadata in said]
            asked = asked.with_columns(
                pl.lit(None, pl.String).alias("user_id"),
                pl.Series("metadata", hashes, dtype=pl.String),
                pl.lit(None, pl.Binary).alias("raw"),
            )
        left = pl.concat([others, asked.select(rows.columns)]).sort("epoch", "offset")
        return left, len(theirs)

    def _controls(self) -> Controls:
        return Controls(erased=dict(self.people))


def _hashed(user_id: str, metadata: str | None) -> str:
    """Return what a row that asks to be forgotten says when it names nobody any more."""
    said = msgspec.json.decode(metadata) if metadata else {}
    return msgspec.json.encode({**said, PERSON: person_digest(user_id)}).decode()


def erasures(lake: LakeEvents, manifest: LakeManifest) -> Gone:
    """Return who is still named by a row of the lake that asks to be forgotten."""
    asked = any(file.erasures for file in manifest.files)
    controls = Controls.of_lake(lake, manifest) if asked else Controls()
    return Gone(controls.forgotten, controls)


def without_people(folder: Path, gone: Gone) -> int:
    """Take people's rows out of finished imports; return how many.

    Row ids stay, so that no import brings them back, and so does what they add to items, of nobody.
    """
    lake, count = Lake(folder), 0
    for manifest in lake.manifests():
        if manifest.position is None:
            continue
        users = _of_import(manifest, gone)
        for path in sorted(lake.rows_folder(manifest).glob("part-*.parquet")):
            rows = pl.read_parquet(path, hive_partitioning=False)
            theirs = rows["user_id"].is_in(users).fill_null(False)
            if theirs.any():
                blank = [pl.when(~theirs).then(pl.col(name)).alias(name) for name in rows.columns if name != ROW_ID]
                draft = path.with_name(f".{path.name}")
                with translating(folder):
                    rows.with_columns(blank).write_parquet(draft, compression="zstd", compression_level=1)
                    _replace(draft, path)
                count += int(theirs.sum())
        for path in fold_parts(folder, manifest.import_id):
            columns = FoldColumns.load(path)
            if not set(users).isdisjoint(columns.users):
                draft = path.with_name(f".{path.stem}.npz")
                with translating(folder):
                    _nameless(columns, set(users)).save(draft)
                    _replace(draft, path)
    return count


def _of_import(manifest: ImportManifest, gone: Gone) -> list[str]:
    """Return who asked to be forgotten behind an import's marker."""
    found = gone.controls.markers.get(manifest.import_id)
    place, arrived = found or (Position.parse(manifest.position or "0.0.-1"), manifest.created)
    users = []
    for user, (position, when) in gone.people.items():
        same = (place.epoch, place.partition) == (position.epoch, position.partition)
        before = place <= position if same or place.epoch != position.epoch else arrived <= when
        if before:
            users.append(user)
    return users


def _nameless(columns: FoldColumns, users: set[str]) -> FoldColumns:
    """Return the columns with the rows of `users` as those of nobody."""
    others = columns.of_users(lambda user: user not in users and user != NOBODY)
    named = np.array([user in users or user == NOBODY for user in columns.users], np.bool_)
    theirs = np.repeat(named, np.diff(columns.starts))
    order = np.lexsort((np.where(theirs, columns.timestamps, 0), theirs))
    told = columns.told
    if columns.profiles:
        # Nobody has a home: where their profile said it, each row says it from now on.
        homes = [country_of_profile(_profiles.decode(data) if data else None) for data in columns.profiles]
        told = (told or Circumstances.unknown(len(columns))).in_countries(owners_of(columns.starts), homes)
    return FoldColumns(
        [*others.users, NOBODY],
        np.append(others.starts, len(columns)).astype(np.int64),
        columns.ordinals[order],
        columns.timestamps[order],
        columns.types[order],
        columns.values[order],
        columns.names,
        [*others.profiles, b""] if columns.profiles else [],
        told.take(order) if told is not None else None,
    )


def _replace(draft: Path, path: Path) -> None:
    sync(draft)
    draft.replace(path)
