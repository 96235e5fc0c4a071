"""An item's record and its fold: commutative integers only, so that users may interleave in any way."""

from collections.abc import Sequence

import msgspec

from kindred.core.errors import InvalidInput
from kindred.features.changes import ItemAct
from kindred.features.counters import BUCKET_BITS, Amounts, name_bucket, reduced, unpack_entries
from kindred.features.groups import FoldConfig
from kindred.features.item_acts import Sources, Touched, fresh_acts
from kindred.features.item_blocks import BLOCK, HEAD, Blocks, add, read_blocks, read_heads
from kindred.features.item_counters import ITEM_COUNTERS, TYPES, item_amounts

_SHOWN = "impression"


class ItemRecord(msgspec.Struct, frozen=True):
    """What the state holds of an item.

    `cells`: a `BLOCK`, or no bytes where nothing was ever counted. `types`: how many events there were by hash of the
    type's name. `sources`: by partition of the users' log, the (epoch, offset) of the last event that is counted.
    """

    cells: bytes = b""
    types: dict[int, int] = {}
    sources: Sources = {}

    def count(self, event_type: str) -> int:
        """Return how many events of a type there were."""
        return self.types.get(name_bucket(event_type), 0)

    @property
    def interactions(self) -> int:
        """Return how many interactions there were, impressions left out."""
        return sum(self.types.values()) - self.count(_SHOWN)


class _Rest(msgspec.Struct, frozen=True, array_like=True):
    """What stands behind a record's block, where requests do not read."""

    types: dict[int, int]
    sources: Sources


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Rest)
_NOTHING = bytes(BLOCK.itemsize)


def encode_item(record: ItemRecord) -> bytes:
    """Write a record: its block, so that the first bytes of any are a `HEAD`, and the rest.

    The same acts in another order make the same bytes.
    """
    rest = _Rest(dict(sorted(record.types.items())), dict(sorted(record.sources.items())))
    return (record.cells or _NOTHING) + _encoder.encode(rest)


def decode_item(data: bytes) -> ItemRecord:
    """Read a record; no bytes are an empty one. Raise InvalidInput when the bytes are no record."""
    if not data:
        return ItemRecord()
    try:
        rest = _decoder.decode(memoryview(data)[BLOCK.itemsize :])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not an item record: {error}") from error
    return ItemRecord(data[: BLOCK.itemsize], rest.types, rest.sources)


def heads_of(records: Sequence[ItemRecord]) -> Blocks:
    """Return the heads of n records, as a state store gives them of records that it holds."""
    return read_heads(b"".join([(record.cells or _NOTHING)[: HEAD.itemsize] for record in records]))


def fold_items(touched: Sequence[Touched[ItemRecord]], config: FoldConfig) -> list[ItemRecord | None]:
    """Add acts to the records of their items, as columns; None where all of them are counted already.

    Of each partition of the users' log, acts must come in order of their source from one call to the next: a record
    keeps the highest source it holds, so a repeat changes nothing.
    """
    fresh = fresh_acts(touched)
    result: list[ItemRecord | None] = [None] * len(touched)
    if not fresh.places:
        return result
    added = item_amounts(fresh.deeds, fresh.exposed, config)
    if fresh.entries:
        added = Amounts.join([added, unpack_entries(fresh.entries, fresh.entry_owners)])
    blocks = read_blocks([record.cells for record in fresh.records])
    add(blocks, added)
    types = _types(fresh.records, added)
    data, size = blocks.tobytes(), BLOCK.itemsize
    for owner, place in enumerate(fresh.places):
        cells = data[owner * size : (owner + 1) * size]
        result[place] = ItemRecord(cells, types[owner], fresh.sources[owner])
    return result


def _types(records: Sequence[ItemRecord], added: Amounts) -> list[dict[int, int]]:
    """Return how many events of each type there were of each item."""
    found = [dict(record.types) for record in records]
    chosen = added.slots >> BUCKET_BITS == TYPES.kind
    told = reduced(Amounts(added.owners[chosen], added.slots[chosen], added.amounts[chosen]), ITEM_COUNTERS.keep)
    columns = (told.owners, told.slots - TYPES.first, told.amounts)
    for owner, name, amount in zip(*(column.tolist() for column in columns), strict=True):
        found[owner][name] = found[owner].get(name, 0) + amount
    return found


def fold_item(record: ItemRecord, acts: Sequence[ItemAct], config: FoldConfig) -> ItemRecord | None:
    """Fold acts into the record of one item."""
    return fold_items([Touched(record, acts)], config)[0]
