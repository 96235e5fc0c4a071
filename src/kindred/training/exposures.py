"""How much less a lower slot is looked at, from slots that were filled by a draw: what stood there was chance."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from kindred.core.candidates import Floats
from kindred.training.controls import Controls
from kindred.training.lake_events import LakeEvents, LakeManifest

# The greedy choice of a slot has a propensity of at least 1 - ε; what lies below was drawn. Where a record does not
# tell ε, it is taken to be at most this.
DRAWN = 0.5
# A propensity and its ε were rounded apart.
_ROUNDING = 1e-6
LEAST = 0.1
# Bots click wherever something stands; who was shown so many times as much as the median person is taken for one.
BOT = 10
_COLUMNS = (
    "epoch",
    "partition",
    "offset",
    "ingested_at",
    "kind",
    "user_id",
    "request_id",
    "item_id",
    "event_type",
    "metadata",
)
_NO_REACTION = ("impression", "search", "skip", "dislike")


class _Slate(msgspec.Struct):
    """What a `served` row says of its slate."""

    items: list[str] = []
    propensities: list[float] = []
    epsilons: list[float] = []
    exposure: bool = True


_slates = msgspec.json.Decoder(_Slate)


@dataclass(frozen=True, slots=True)
class Exposures:
    """Of items drawn at random into slots: how many were shown and how many led to something, both (s,) int64.

    Who was shown more than `BOT` times as much as the median person is left out.
    """

    shown: NDArray[np.int64]
    followed: NDArray[np.int64]

    @classmethod
    def of(cls, frames: Iterable[pl.DataFrame]) -> Self:
        """Count over event columns (those of `_COLUMNS`), in any order; a reaction names request and item."""
        drawn, reactions = [pl.DataFrame(schema=_DRAWN)], [pl.DataFrame(schema=_REACTION)]
        for frame in frames:
            drawn.append(_drawn(frame.filter(pl.col("kind") == "served")))
            acts = frame.filter((pl.col("kind") == "interaction") & pl.col("request_id").is_not_null())
            acts = acts.filter(~pl.col("event_type").is_in(_NO_REACTION))
            reactions.append(acts.select(pl.struct("request_id", "item_id").hash().alias("pair")).unique())
        slots, found = pl.concat(drawn), pl.concat(reactions).unique()
        shown_to = slots.group_by("user").len()
        people = shown_to.filter(pl.col("len") <= BOT * pl.col("len").median())
        slots = slots.join(people, on="user", how="semi")
        slots = slots.with_columns(pl.col("pair").is_in(found["pair"].implode()).alias("followed"))
        size = int(slots["slot"].max()) + 1 if len(slots) else 0  # type: ignore[arg-type]
        places = slots["slot"].to_numpy()
        shown = np.bincount(places, minlength=size)
        followed = np.bincount(places[slots["followed"].to_numpy()], minlength=size)
        return cls(shown.astype(np.int64), followed.astype(np.int64))

    def examination(self, least: int = 100) -> Floats | None:
        """Return how likely each slot is looked at, (s,) float32, as a share of the first, never rising.

        Result randomisation (Joachims, Swaminathan, Schnabel 2017): under the position-based model the rates of what
        was drawn at random are proportional to examination. Where a slot is so rare that chance would decide, it goes
        with its neighbours (isotonic regression); None while fewer than `least` draws led to anything.
        """
        if int(self.followed.sum()) < least:
            return None
        from sklearn.isotonic import IsotonicRegression

        rates = self.followed / np.maximum(self.shown, 1)
        falling = IsotonicRegression(increasing=False).fit_transform(
            np.arange(len(rates)), rates, sample_weight=np.maximum(self.shown, 1e-9)
        )
        shares: Floats = np.clip(falling / falling[0], LEAST, 1.0).astype(np.float32)
        return shares


_DRAWN = {"pair": pl.UInt64, "user": pl.UInt64, "slot": pl.Int64}
_REACTION = {"pair": pl.UInt64}


def read_exposures(lake: LakeEvents, manifest: LakeManifest, tail: pl.DataFrame, controls: Controls) -> Exposures:
    """Count over the lake's files and the columns of what the log holds behind them, without forgotten people."""
    frames = chain((lake.read(file, _COLUMNS) for file in manifest.ordered()), [tail.select(_COLUMNS)])
    arrived = pl.col("ingested_at").dt.timestamp("ms").alias("arrived")
    return Exposures.of(controls.unerased(frame.with_columns(arrived)) for frame in frames)


def _drawn(served: pl.DataFrame) -> pl.DataFrame:
    """Return request with item as one hash, and the slot, of every item that a draw put there and a person saw."""
    users: list[str] = []
    requests: list[str] = []
    items: list[str] = []
    slots: list[int] = []
    for user, request, body in served.select("user_id", "request_id", "metadata").iter_rows():
        slate = _slates.decode(body or "{}")
        if not slate.exposure:
            continue
        epsilons = slate.epsilons or [DRAWN] * len(slate.items)
        for slot, (item, chance, epsilon) in enumerate(zip(slate.items, slate.propensities, epsilons, strict=False)):
            if chance < min(DRAWN, 1 - epsilon) - _ROUNDING:
                users.append(user)
                requests.append(request)
                items.append(item)
                slots.append(slot)
    frame = pl.DataFrame(dict(zip(_NAMED, (users, requests, items, slots), strict=True)), schema=_NAMED)
    pair = pl.struct("request_id", "item_id").hash().alias("pair")
    return frame.select(pair, pl.col("user_id").hash().alias("user"), "slot")


_NAMED = {"user_id": pl.String, "request_id": pl.String, "item_id": pl.String, "slot": pl.Int64}
