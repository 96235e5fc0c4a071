"""Item acts on their way through the items' log: one record for each item of a batch, keyed by its ordinal."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

import msgspec

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.changes import ItemAct
from kindred.ingest.portions import append_in_portions
from kindred.ports.log import EventLog

ITEM_SIDE = 1_000_000
"""The state keeps positions of the items' log under partitions from here on, apart from those of the events' log."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[ItemAct])
# What a record may hold is the log's affair; this keeps it below any limit.
_RECORD_BYTES = 2 << 20
_source = attrgetter("source")


def by_item(acts: Sequence[ItemAct]) -> dict[int, list[ItemAct]]:
    """Return each item's acts, in order of their source."""
    found: dict[int, list[ItemAct]] = {}
    for act in acts:
        if act.item in found:
            found[act.item].append(act)
        else:
            found[act.item] = [act]
    for of_item in found.values():
        if len(of_item) > 1:
            of_item.sort(key=lambda act: act.source)
    return found


async def forward(acts: Sequence[ItemAct], log: EventLog) -> int:
    """Append acts to the items' log, durable on return; return how many records they made.

    What is appended again after a crash is recognised by its source; acts of one event and one item share a record.
    """
    return await append_in_portions(_records(acts), log)


def _records(acts: Sequence[ItemAct]) -> Iterator[tuple[str, bytes]]:
    """Yield the records of acts: one for each item, several where its acts are too large for one."""
    for ordinal, of_item in by_item(acts).items():
        for data in _cut(of_item):
            yield str(ordinal), data


def _cut(acts: Sequence[ItemAct]) -> Iterator[bytes]:
    """Yield acts of one item, encoded, in halves of halves until each is small enough; those of one source together."""
    data = _encoder.encode(acts)
    if len(data) > _RECORD_BYTES:
        middle = acts[len(acts) // 2].source
        place = bisect_left(acts, middle, key=_source) or bisect_right(acts, middle, key=_source)
        if place < len(acts):
            yield from _cut(acts[:place])
            yield from _cut(acts[place:])
            return
    yield data


def read_forwarded(data: bytes) -> list[ItemAct]:
    """Read a record of the items' log; raise InvalidInput when the bytes are none."""
    try:
        acts = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"no item acts: {error}") from error
    if not acts:
        raise InvalidInput("no item acts: the list is empty")
    return acts


def item_side(position: Position) -> Position:
    """Return how the state keeps a position of the items' log."""
    return position._replace(partition=position.partition + ITEM_SIDE)


def log_side(position: Position) -> Position:
    """Return the position of the items' log that the state keeps as `position`."""
    return position._replace(partition=position.partition - ITEM_SIDE)
