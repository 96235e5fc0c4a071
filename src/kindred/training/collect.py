"""Collect the dataset of a training run from the stores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from kindred.core.item import CatalogItem
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.models.preference import Interactions
from kindred.models.segments import ATTRIBUTE
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.log import EventLog
from kindred.training.controls import Controls, without_repeats
from kindred.training.dataset import Dataset
from kindred.training.exposures import read_exposures
from kindred.training.lake_events import EVENT_SCHEMA, LakeEvents, LakeManifest
from kindred.training.lake_rows import (
    EVENT_COLUMNS,
    PLACED,
    SCHEMA,
    behind,
    import_rows,
    lake_frames,
    tracked_rows,
)
from kindred.training.log_rows import event_columns, log_batches
from kindred.training.places import Places
from kindred.training.row_contexts import RowContexts

_PAGE = 5_000
_NO_SIGNAL = ("impression", "search")
_PROFILE = ("country", "gender", "birth_year", "timezone")
_TRAITS = ("region", "language")
_TAIL_COLUMNS = (*EVENT_COLUMNS, "metadata")


class DataStores(Protocol):
    """What training reads."""

    @property
    def log(self) -> EventLog:
        """Return the event log."""
        ...

    @property
    def catalog(self) -> CatalogStore:
        """Return the catalogue."""
        ...

    @property
    def profiles(self) -> ProfileStore:
        """Return the users' profiles."""
        ...

    @property
    def lake(self) -> Path:
        """Return the lake's folder."""
        ...


async def collect(
    stores: DataStores, since: Sequence[Position] = (), slots: bool = False, traits: Sequence[str] = ()
) -> Dataset:
    """Read lake, the log's tail behind it, catalogue and profiles; with `since`, only rows behind those positions.

    Client duplicates count once, erased users are left out, merged people are one, what someone took out of their
    history is gone; impressions and searches say nothing and are left out too. Memory holds columns of what is left.
    `slots`: read all slates too, for how likely each slot is looked at. `traits`: what segments are made by, which
    profiles keep besides what features read. Changes nothing.
    """
    lake = LakeEvents(stores.lake)
    tail, ends, manifest = await _tail(stores.log, lake)
    controls = Controls.of_lake(lake, manifest)
    controls.add(tail)
    numbers = _Numbers(stores.catalog)
    frames = [*import_rows(stores.lake, controls, since)]
    for frame in lake_frames(lake, manifest, controls, since):
        frames.append(await numbers.of(frame))
    tracked = tracked_rows(tail, controls)
    for place in since:
        tracked = behind(tracked, place)
    frames.append(await numbers.of(tracked))
    await numbers.know([item for _, item, _ in controls.removed])
    rows = controls.kept(without_repeats(pl.concat(frames)), numbers.known)
    rows = rows.filter(~pl.col("event_type").is_in(_NO_SIGNAL))
    items, seq = await _catalogue(stores.catalog)
    rows = rows.filter((pl.col("ordinal") >= 0) & (pl.col("ordinal") < len(items)))
    interactions, user_ids = as_interactions(rows, len(items))
    epochs, partitions, offsets = (rows[name].cast(pl.Int64).to_numpy() for name in ("epoch", "partition", "offset"))
    return Dataset(
        interactions=interactions,
        user_ids=user_ids,
        profiles=await _profiles(stores.profiles, user_ids, traits),
        items=items,
        position=",".join(map(str, ends)) or None,
        catalogue_seq=seq,
        behind=Places(epochs, partitions, offsets).behind,
        examined=read_exposures(lake, manifest, tail, controls).examination() if slots else None,
        contexts=RowContexts.of(rows),
    )


def positions(text: str | None) -> list[Position]:
    """Read what `Dataset.position` says: the last record of each partition that was read."""
    return [Position.parse(one) for one in text.split(",")] if text else []


async def _tail(log: EventLog, lake: LakeEvents) -> tuple[pl.DataFrame, list[Position], LakeManifest]:
    """Return the event columns of what the log holds behind the lake, where each partition ends, and the lake.

    The lake may go on meanwhile: what it took over since is left out of the columns.
    """
    ends = lake.manifest().ends()
    frames = [pl.DataFrame(schema=EVENT_SCHEMA).select(_TAIL_COLUMNS)]
    async for records in log_batches(log, ends):
        frames.append(event_columns(records).select(_TAIL_COLUMNS))
        ends[records[-1].position.partition] = records[-1].position
    manifest = lake.manifest()
    tail = pl.concat(frames)
    for place in manifest.ends().values():
        tail = behind(tail, place)
    return tail, [ends[partition] for partition in sorted(ends)], manifest


class _Numbers:
    """Item ids to ordinals, each looked up once."""

    def __init__(self, catalog: CatalogStore) -> None:
        self._catalog = catalog
        self._asked: set[str] = set()
        self.known: dict[str, int] = {}

    async def know(self, item_ids: Sequence[str]) -> None:
        """Look up what was not asked for yet."""
        missing = sorted(set(item_ids) - self._asked)
        self._asked.update(missing)
        for first in range(0, len(missing), _PAGE):
            page = missing[first : first + _PAGE]
            for name, found in zip(page, await self._catalog.get(page), strict=True):
                if found is not None:
                    self.known[name] = found.ordinal

    async def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Put ordinals in place of item ids; items that the catalogue has never heard of are left out."""
        ids = rows["item_id"].unique().to_list()
        await self.know(ids)
        known = [name for name in ids if name in self.known]
        table = pl.DataFrame(
            {"item_id": known, "ordinal": [self.known[name] for name in known]},
            schema={"item_id": pl.String, "ordinal": pl.Int32},
        )
        return rows.join(table, on="item_id", how="inner", maintain_order="left").select(*SCHEMA, *PLACED)


def as_interactions(rows: pl.DataFrame, n_items: int) -> tuple[Interactions, list[str]]:
    """Number users and event types densely in order of their names; rows of ordinals from `n_items` on are left out."""
    rows = rows.select(list(SCHEMA)).filter((pl.col("ordinal") >= 0) & (pl.col("ordinal") < n_items))
    user_ids, names = (rows[column].unique().sort().to_list() for column in ("user_id", "event_type"))
    users = rows["user_id"].cast(pl.Enum(user_ids)).to_physical().to_numpy()
    codes = rows["event_type"].cast(pl.Enum(names)).to_physical().to_numpy()
    interactions = Interactions(
        users.astype(np.int32),
        rows["ordinal"].to_numpy().astype(np.int32),
        rows["timestamp"].to_numpy().astype(np.int64),
        codes.astype(np.int16),
        rows["value"].to_numpy().astype(np.float32),
        tuple(names),
        rows["slot"].to_numpy().astype(np.int16),
    )
    return interactions, user_ids


async def _catalogue(catalog: CatalogStore) -> tuple[list[CatalogItem | None], int]:
    """Return what stands at each ordinal, and the sequence number of the last change."""
    found: dict[int, CatalogItem] = {}
    seq = 0
    while changes := await catalog.changes_since(seq, _PAGE):
        found |= {change.ordinal: change for change in changes}
        seq = changes[-1].seq
    return [found.get(ordinal) for ordinal in range(max(found, default=-1) + 1)], seq


async def _profiles(profiles: ProfileStore, user_ids: Sequence[str], traits: Sequence[str]) -> list[Profile | None]:
    """Return what features and segments read of each user's profile, as it is now; None where it says none of that."""
    fields = (*_PROFILE, *(name for name in traits if name in _TRAITS))
    named = [name.removeprefix(ATTRIBUTE) for name in traits if name.startswith(ATTRIBUTE)]
    found: list[Profile | None] = []
    for first in range(0, len(user_ids), _PAGE):
        for profile in await profiles.get(user_ids[first : first + _PAGE]):
            if profile is None:
                found.append(None)
                continue
            told = {name: value for name in fields if (value := getattr(profile, name)) is not None}
            attributes = {name: profile.attributes[name] for name in named if name in profile.attributes}
            known = Profile(user_id=profile.user_id, attributes=attributes, **told)
            found.append(known if told or attributes else None)
    return found
