"""Items of an import into the catalogue."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from kindred.core.item import CatalogItem, Item
from kindred.ingest.importing.entities import EntityReader, to_item
from kindred.ingest.importing.readers import RawBatch
from kindred.ingest.importing.rejects import Rejects
from kindred.ports.catalog import CatalogStore

ITEMS_PER_WRITE = 2_000
_TIMES = ("created", "available_from", "available_until")


async def reserve(catalog: CatalogStore, item_ids: Sequence[str], now: int) -> list[int]:
    """Return the ordinals of ids, reserving those that are new."""
    ordinals: list[int] = []
    for start in range(0, len(item_ids), ITEMS_PER_WRITE):
        ordinals += await catalog.resolve(item_ids[start : start + ITEMS_PER_WRITE], now)
    return ordinals


async def list_items(
    catalog: CatalogStore, items: Sequence[Item], first_times: Mapping[str, int | None], now: int
) -> None:
    """Create or replace items; one without `created` is as old as its first interaction, now or in earlier imports."""
    for start in range(0, len(items), ITEMS_PER_WRITE):
        chunk = items[start : start + ITEMS_PER_WRITE]
        known = await catalog.get([item.item_id for item in chunk])
        dated = [_dated(item, first_times.get(item.item_id), old) for item, old in zip(chunk, known, strict=True)]
        await catalog.upsert(dated, now)


async def list_stubs(
    catalog: CatalogStore, item_ids: Sequence[str], first_times: Mapping[str, int | None], now: int
) -> int:
    """List items that are known from interactions alone, under their id as title; return how many.

    Items that the catalogue describes, or that were deleted from it, are left as they are.
    """
    listed = 0
    for start in range(0, len(item_ids), ITEMS_PER_WRITE):
        chunk = item_ids[start : start + ITEMS_PER_WRITE]
        known = await catalog.get(chunk)
        bare = [i for i, old in zip(chunk, known, strict=True) if old is None or _is_bare(old)]
        await catalog.upsert([Item(item_id=i, title=i, created=first_times.get(i)) for i in bare], now)
        listed += len(bare)
    return listed


def read_items(
    batches: Iterator[RawBatch], reader: EntityReader, tags: Mapping[str, list[str]], shift: int, rejects: Rejects
) -> Iterator[list[Item]]:
    """Give the good items of each batch; the first row of an id counts. `shift` ms is added to their times."""
    seen: dict[str, int] = {}
    for batch in batches:
        items = []
        for line, fields in reader.rows(batch):
            item_id = fields["item_id"]
            if item_id in seen:
                detail = f"item {item_id!r} stands in line {seen[item_id]} already; keep one row an item"
                rejects.add(batch.file, line, "repeated item_id", detail, fields)
                continue
            seen[item_id] = line
            moved = {name: fields[name] + shift for name in _TIMES if name in fields}
            items.append(to_item(fields | moved, tags.get(item_id, [])))
        yield items


def _is_bare(item: CatalogItem) -> bool:
    """Say whether an item is known from events alone."""
    return not item.listed and item.item == Item(item_id=item.item.item_id)


def _dated(item: Item, first: int | None, old: CatalogItem | None) -> Item:
    """Give an item the time of its first interaction where it has no `created`."""
    if item.created is not None:
        return item
    times = [time for time in (first, old.item.created if old else None) if time is not None]
    return msgspec.structs.replace(item, created=min(times)) if times else item
