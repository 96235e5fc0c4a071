"""Collect the dataset of a training run from the stores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from kindred.core.item import CatalogItem
from kindred.models.preference import Interactions
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.log import EventLog
from kindred.training.dataset import Dataset
from kindred.training.lake_rows import SCHEMA, lake_rows
from kindred.training.log_rows import read_log

_PAGE = 5_000
_NO_SIGNAL = ("impression", "search")


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


async def collect(stores: DataStores) -> Dataset:
    """Read lake, log, catalogue and profiles.

    Client duplicates count once, erased users are left out, impressions and searches say nothing and are left out too.
    Changes nothing.
    """
    log = await read_log(stores.log)
    frames = [*lake_rows(stores.lake, log.erased, log.markers), await log.frame(stores.catalog)]
    rows = pl.concat(frames).filter(~pl.col("event_type").is_in(_NO_SIGNAL))
    items, seq = await _catalogue(stores.catalog)
    interactions, user_ids = as_interactions(rows, len(items))
    return Dataset(
        interactions=interactions,
        user_ids=user_ids,
        countries=await _countries(stores.profiles, user_ids),
        items=items,
        position=None if log.end is None else str(log.end),
        catalogue_seq=seq,
    )


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


async def _countries(profiles: ProfileStore, user_ids: Sequence[str]) -> list[str | None]:
    """Return each user's country in capitals."""
    found: list[str | None] = []
    for first in range(0, len(user_ids), _PAGE):
        for profile in await profiles.get(user_ids[first : first + _PAGE]):
            country = None if profile is None else profile.country
            found.append(country.upper() if country else None)
    return found
