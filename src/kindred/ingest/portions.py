"""Appends of any size: what is more than a log takes at once goes to it in several portions."""

from collections.abc import Iterable

from kindred.ports.log import EventLog

# What one append may hold is the log's affair; these keep it far below any limit.
_RECORDS, _BYTES = 20_000, 16 << 20


async def append_in_portions(records: Iterable[tuple[str, bytes]], log: EventLog) -> int:
    """Append (key, data) records in their order, durable on return; return how many they were.

    Where an append fails, the portions before it stand: what calls this begins again, and each record counts once.
    """
    portion: list[tuple[str, bytes]] = []
    size = made = 0
    for record in records:
        size += len(record[1])
        if portion and (len(portion) == _RECORDS or size > _BYTES):
            made += len(await log.append(portion))
            portion, size = [], len(record[1])
        portion.append(record)
    return made + (len(await log.append(portion)) if portion else 0)
