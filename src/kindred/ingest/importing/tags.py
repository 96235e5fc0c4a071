"""Tags that users gave to items, from a file of their own."""

from collections import defaultdict
from collections.abc import Iterable

import polars as pl

from kindred.ingest.importing.columns import identifiers, texts
from kindred.ingest.importing.identifiers import RULE, faulty_identifiers
from kindred.ingest.importing.mapping import TagTable
from kindred.ingest.importing.readers import RawBatch
from kindred.ingest.importing.rejects import Rejects
from kindred.ingest.importing.row_filter import RowFilter


def collect_tags(batches: Iterable[RawBatch], table: TagTable, rejects: Rejects) -> dict[str, list[str]]:
    """Return each item's tags, most used first, in small letters; memory holds the distinct (item, tag) pairs."""
    where = RowFilter(table.where, "item_tags.where") if table.where else None
    counts = pl.DataFrame(schema={"item": pl.String, "tag": pl.String, "uses": pl.UInt32})
    for batch in batches:
        frame = batch.frame.filter(where.apply(batch.frame).kept) if where else batch.frame
        items, tags = identifiers(frame, table.columns["item_id"]), texts(frame, table.columns["tag"])
        bad = items.is_null() | faulty_identifiers(items) | tags.is_null()
        if bad.any():
            rejects.add_rows(frame.filter(bad), batch.file, "bad tag", f"needs an item and a tag; {RULE}")
        pairs = pl.DataFrame({"item": items, "tag": tags.str.to_lowercase()}).filter(~bad)
        found = pairs.group_by("item", "tag").agg(pl.len().cast(pl.UInt32).alias("uses"))
        counts = pl.concat([counts, found]).group_by("item", "tag").agg(pl.col("uses").sum())
    return _most_used(counts, table)


def _most_used(counts: pl.DataFrame, table: TagTable) -> dict[str, list[str]]:
    """Drop rare tags and keep each item's most used ones."""
    common = counts.filter(pl.col("uses").sum().over("tag") >= table.min_count)
    ordered = common.sort(["item", "uses", "tag"], descending=[False, True, False])
    tags: dict[str, list[str]] = defaultdict(list)
    for item, tag in ordered.select("item", "tag").iter_rows():
        if len(tags[item]) < table.max_tags:
            tags[item].append(tag)
    return dict(tags)


def needed_columns(table: TagTable) -> set[str]:
    """Return the columns of the file that are read."""
    names = {name for column in table.columns.values() for name in column.names}
    return names | (RowFilter(table.where, "item_tags.where").columns if table.where else set())
