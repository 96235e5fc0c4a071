"""What each placement showed and what came of it, slot by slot: one record per placement and partition of users."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.changes import PlacementCredit

SLOTS = 20


def _zeros() -> list[int]:
    return [0] * SLOTS


class PlacementRecord(msgspec.Struct, frozen=True, array_like=True):
    """Totals by slot 0 to 19 (19: and beyond): exposures, clicks and conversions due to them, ms of dwell."""

    exposures: list[int] = msgspec.field(default_factory=_zeros)
    clicks: list[int] = msgspec.field(default_factory=_zeros)
    conversions: list[int] = msgspec.field(default_factory=_zeros)
    dwell_ms: list[int] = msgspec.field(default_factory=_zeros)

    def columns(self) -> NDArray[np.int64]:
        """Return the totals (4, 20) in the order of the fields."""
        return np.array([self.exposures, self.clicks, self.conversions, self.dwell_ms], np.int64)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(PlacementRecord)


def encode_placement(record: PlacementRecord) -> bytes:
    """Write a record."""
    return _encoder.encode(record)


def decode_placement(data: bytes) -> PlacementRecord:
    """Read a record; no bytes are an empty one. Raise InvalidInput when the bytes are no record."""
    if not data:
        return PlacementRecord()
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a placement record: {error}") from error


def fold_placement(
    record: PlacementRecord, folded: Position, credits: Sequence[PlacementCredit]
) -> PlacementRecord | None:
    """Add the credits behind `folded`, all of one placement, to its record; None when there are none."""
    totals = record.columns()
    fresh = [credit for credit in credits if credit.position > folded]
    if not fresh:
        return None
    slots = [credit.slot for credit in fresh]
    gained = [(credit.exposures, credit.clicks, credit.conversions, credit.dwell_ms) for credit in fresh]
    np.add.at(totals.T, slots, gained)
    return PlacementRecord(*totals.tolist())
