"""Records that change what other records mean: erasures, merges of people, removals from history, import markers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import msgspec
import polars as pl

from kindred.core.clock import DAY
from kindred.core.position import Position
from kindred.training.lake_events import CONTROLS, LakeEvents, LakeManifest

CONTROL_COLUMNS = ("epoch", "partition", "offset", "kind", "user_id", "item_id", "ingested_at", "metadata")
_REACTIONS = ("like", "dislike")


@dataclass(slots=True)
class Controls:
    """What was said about other records, by whom it concerns.

    `erased`: user → position and arrival (ms) of the last erasure. `merged`: anonymous user → known one, as said, with
    the place of the merge; `aliases` follows chains to their end. `removed`: (user, item, reactions only) → position
    and arrival of the last one. `markers`: import → position and arrival of its first marker.
    """

    erased: dict[str, tuple[Position, int]] = field(default_factory=dict)
    merged: dict[str, tuple[str, tuple[Position, int]]] = field(default_factory=dict)
    removed: dict[tuple[str, str, bool], tuple[Position, int]] = field(default_factory=dict)
    markers: dict[str, tuple[Position, int]] = field(default_factory=dict)
    _flat: dict[str, str] | None = None

    @property
    def aliases(self) -> dict[str, str]:
        """Return anonymous user → who they are known as: the end of their chain, or the first name of a circle."""
        if self._flat is None:
            self._flat = {user: self._followed(user) for user in self.merged}
        return self._flat

    @property
    def forgotten(self) -> dict[str, tuple[Position, int]]:
        """Return `erased`, with those who had been merged into a person by the time that one asked to be forgotten."""
        found = dict(self.erased)
        for anonymous in self.merged:
            for user, merged in self._chain(anonymous):
                asked = self.erased.get(user)
                if asked is not None and merged <= asked[1]:
                    found.setdefault(anonymous, asked)
        return found

    def _followed(self, user: str) -> str:
        names = [user, *(known for known, _ in self._chain(user))]
        closing = self.merged.get(names[-1])
        return names[-1] if closing is None else min(names[names.index(closing[0]) :])

    def _chain(self, user: str) -> Iterator[tuple[str, int]]:
        """Go through whom a user was merged into, each with the arrival (ms) of the last merge on the way there."""
        seen, latest = {user}, 0
        while (merge := self.merged.get(user)) is not None and merge[0] not in seen:
            user, (_, arrived) = merge
            latest = max(latest, arrived)
            seen.add(user)
            yield user, latest

    @classmethod
    def of_lake(cls, lake: LakeEvents, manifest: LakeManifest) -> Self:
        """Read all that a lake holds."""
        controls = cls()
        for file in manifest.ordered():
            if file.controls:
                controls.add(lake.read(file, CONTROL_COLUMNS))
        return controls

    def add(self, events: pl.DataFrame) -> None:
        """Take over the controls among event columns, which come in order of position within a partition."""
        found = events.filter(pl.col("kind").is_in(CONTROLS)).select(CONTROL_COLUMNS)
        self._flat = None
        for epoch, partition, offset, kind, user, item, arrived, metadata in found.with_columns(
            pl.col("ingested_at").dt.timestamp("ms")
        ).iter_rows():
            place = Position(epoch, partition, offset), int(arrived or 0)
            said = msgspec.json.decode(metadata) if metadata else {}
            if kind == "erased" and user is not None:
                self.erase(user, place, bool(said.get("follows")))
            elif kind == "merged":
                self.merged.setdefault(user, (said["into"], place))
            elif kind == "removed":
                self.removed[user, item, bool(said.get("reactions"))] = place
            elif kind == "imported":
                self.markers.setdefault(said["import_id"], place)

    def erase(self, user: str, place: tuple[Position, int], follows: bool) -> None:
        """Take an erasure over."""
        # What follows from another's erasure may be told twice, and counts once.
        if not follows or user not in self.erased or place[1] > self.erased[user][1]:
            self.erased[user] = place
            # Whoever comes back is someone new, and may be merged into another.
            self.merged.pop(user, None)

    def unerased(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Leave out rows (with their places), under the names they came with, that were forgotten at or behind them."""
        if not self.erased:
            return rows
        forgotten = self.forgotten
        gone = pl.DataFrame({"user_id": list(forgotten)}).hstack(_places(list(forgotten.values())))
        return _without(rows, gone, ["user_id"])

    def kept(self, rows: pl.DataFrame, ordinals: Mapping[str, int]) -> pl.DataFrame:
        """Leave out rows (with their places) that were taken out of a history."""
        for reactions in (False, True):
            keys = [key for key in self.removed if key[1] in ordinals and key[2] is reactions]
            if keys:
                gone = pl.DataFrame(
                    {
                        "user_id": [self.aliases.get(key[0], key[0]) for key in keys],
                        "ordinal": [ordinals[key[1]] for key in keys],
                    },
                    schema={"user_id": pl.String, "ordinal": pl.Int32},
                ).hstack(_places([self.removed[key] for key in keys]))
                gone = gone.sort("c_arrived").unique(["user_id", "ordinal"], keep="last", maintain_order=True)
                rows = _without(rows, gone, ["user_id", "ordinal"], _REACTIONS if reactions else ())
        return rows


def _places(places: Sequence[tuple[Position, int]]) -> pl.DataFrame:
    """Lay out places as columns."""
    columns = dict.fromkeys(("c_epoch", "c_partition", "c_offset", "c_arrived"), pl.Int64)
    return pl.DataFrame([(*position, arrived) for position, arrived in places], schema=columns, orient="row")


def _without(rows: pl.DataFrame, gone: pl.DataFrame, on: list[str], types: tuple[str, ...] = ()) -> pl.DataFrame:
    """Leave out rows that stand at or before the place that concerns them.

    Positions of one partition tell; between partitions the time of arrival does.
    """
    same = (pl.col("epoch") == pl.col("c_epoch")) & (pl.col("partition") == pl.col("c_partition"))
    before = (
        pl.when(same)
        .then(pl.col("offset") <= pl.col("c_offset"))
        .when(pl.col("epoch") != pl.col("c_epoch"))
        .then(pl.col("epoch") < pl.col("c_epoch"))
        .otherwise(pl.col("arrived") <= pl.col("c_arrived"))
    )
    if types:
        before &= pl.col("event_type").is_in(types)
    joined = rows.join(gone, on=on, how="left", maintain_order="left")
    return joined.filter(~before.fill_null(False)).select(rows.columns)


def without_repeats(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out what a client sent again within a day of its arrival; the first one counts."""
    numbered = rows.with_row_index("row")
    suspects = (
        numbered.filter(pl.col("key").is_not_null())
        .filter(pl.col("key").is_duplicated())
        .sort("arrived", "epoch", "offset", maintain_order=True)
    )
    if suspects.is_empty():
        return rows
    first: dict[int, int] = {}
    repeated = []
    for row, key, arrived in suspects.select("row", "key", "arrived").iter_rows():
        before = first.get(key)
        if before is not None and before >= arrived - DAY:
            repeated.append(row)
        else:
            first[key] = arrived
    return numbered.filter(~pl.col("row").is_in(repeated)).drop("row")
