"""The record that serves trending: the items of one window, best first."""

from typing import Self

import msgspec
import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import InvalidInput


class TrendingList(msgspec.Struct, frozen=True, array_like=True):
    """The most trending items of a window; `as_of` ms since 1970 UTC, `items` int32 and `scores` float32 packed.

    A reader drops a list whose `as_of` is further back than its window: nothing has happened since.
    """

    as_of: int
    items: bytes
    scores: bytes

    @classmethod
    def of(cls, as_of: int, items: Ordinals, scores: Floats) -> Self:
        """Pack `items (n,)` and `scores (n,)`, best first."""
        return cls(as_of, items.astype("<i4").tobytes(), scores.astype("<f4").tobytes())

    def columns(self) -> tuple[Ordinals, Floats]:
        """Return (ordinals, scores), best first."""
        return np.frombuffer(self.items, "<i4"), np.frombuffer(self.scores, "<f4")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TrendingList)


def encode_trending(record: TrendingList) -> bytes:
    """Write a record."""
    return _encoder.encode(record)


def decode_trending(data: bytes) -> TrendingList:
    """Read a record; raise InvalidInput when the bytes are no record."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a trending list: {error}") from error
