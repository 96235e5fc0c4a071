"""Trending lists by country: one record per window, and where it and the lists of all countries together stand."""

from collections.abc import Mapping

import msgspec

from kindred.core.errors import InvalidInput
from kindred.features.groups import TRENDING
from kindred.features.trending_list import TrendingList
from kindred.ports.state import StateKey


class CountryTrends(msgspec.Struct, frozen=True, array_like=True):
    """The most trending items of a window in each country, by its two letters."""

    as_of: int
    countries: dict[str, TrendingList]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CountryTrends)


def encode_country_trends(as_of: int, countries: Mapping[str, TrendingList]) -> bytes:
    """Write a record of lists made at `as_of` (ms)."""
    return _encoder.encode(CountryTrends(as_of, dict(countries)))


def decode_country_trends(data: bytes) -> CountryTrends:
    """Read a record; raise InvalidInput when the bytes are none."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"no trending lists by country: {error}") from error


def window_trends_key(window: str, partition: int = 0) -> StateKey:
    """Return where the trending list of a window stands that one partition of the items makes."""
    return StateKey(TRENDING, f"{window}/{partition}" if partition else window)


def country_trends_key(window: str, partition: int = 0) -> StateKey:
    """Return where the trending lists by country of a window stand that one partition of the items makes."""
    return StateKey(TRENDING, f"{window}@countries/{partition}" if partition else f"{window}@countries")


PARTITIONS = StateKey(TRENDING, "partitions")
"""In how many partitions items are folded, as text; one where there is no such record."""
