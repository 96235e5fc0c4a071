"""An item's activity in one country: sparse, since most pairs have little and only trends read them."""

from collections.abc import Sequence

import msgspec
import numpy as np

from kindred.core.errors import InvalidInput
from kindred.features.counters import BUCKET_BITS, Amounts, add_up, unpack_entries
from kindred.features.groups import FoldConfig
from kindred.features.item_acts import Sources, Touched, fresh_acts
from kindred.features.item_counters import ACTIVE_D, ACTIVE_H, ITEM_COUNTERS, country_amounts


class CountryRecord(msgspec.Struct, frozen=True, array_like=True):
    """What the state holds of an item in a country.

    `counters`: entries of `ACTIVE_H` and `ACTIVE_D`, ascending. `sources`: by partition of the users' log, the (epoch,
    offset) of the last event that is counted.
    """

    counters: bytes = b""
    sources: Sources = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(CountryRecord)


def encode_country(record: CountryRecord) -> bytes:
    """Write a record."""
    return _encoder.encode(record)


def decode_country(data: bytes) -> CountryRecord:
    """Read a record; no bytes are an empty one. Raise InvalidInput when the bytes are no record."""
    if not data:
        return CountryRecord()
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not an item's record in a country: {error}") from error


def fold_countries(touched: Sequence[Touched[CountryRecord]], config: FoldConfig) -> list[CountryRecord | None]:
    """Add acts of one country each to the records of their items in that country, as `fold_items` does."""
    fresh = fresh_acts(touched)
    result: list[CountryRecord | None] = [None] * len(touched)
    added = country_amounts(fresh.deeds, config)
    if fresh.entries:
        extra = unpack_entries(fresh.entries, fresh.entry_owners)
        # What an exposure led to is counted of the item alone.
        active = np.isin(extra.slots >> BUCKET_BITS, [ACTIVE_H.kind, ACTIVE_D.kind])
        added = Amounts.join([added, Amounts(*(column[active] for column in extra))])
    counters = add_up([record.counters for record in fresh.records], added, ITEM_COUNTERS.keep)
    for place, data, sources in zip(fresh.places, counters, fresh.sources, strict=True):
        result[place] = CountryRecord(data, sources)
    return result
