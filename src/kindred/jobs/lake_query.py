"""SQL over the lake: events, interactions of imports and events together, and the catalogue."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.core.item import CatalogItem
from kindred.ingest.importing.lake import Lake
from kindred.ports.catalog import CatalogStore
from kindred.training.controls import Controls
from kindred.training.lake_events import LakeEvents

_PAGE = 5_000
_READS = ("select", "with", "show", "describe")
_TIME = pl.Datetime("ms", "UTC")

INTERACTION_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "event_type": pl.String,
    "timestamp": _TIME,
    "value": pl.Float64,
}
ITEM_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "ordinal": pl.Int32,
    "title": pl.String,
    "category": pl.String,
    "tags": pl.List(pl.String),
    "creator": pl.String,
    "price": pl.Float64,
    "rating": pl.Float64,
    "stock": pl.Int64,
    "created": _TIME,
    "active": pl.Boolean,
    "listed": pl.Boolean,
}
TRACKED = "tracked"
"""What `interactions.source` says of rows that came as events."""


async def query(lake: Path, catalog: CatalogStore, sql: str, limit: int = 0) -> pl.DataFrame:
    """Run one SELECT over the tables `events`, `interactions` and `items`; return at most `limit` rows (0: all).

    Files are read as far as the query needs them. Raises InvalidInput where the query cannot be run, saying why.
    """
    if not sql.strip().lower().startswith(_READS):
        raise InvalidInput("the lake is only read: a query begins with SELECT or WITH")
    tables = {"events": events(lake), "interactions": interactions(lake)}
    # Only a query that may ask for it pays for a copy of the catalogue.
    wanted = "items" in sql.lower() or sql.strip().lower().startswith(("show", "describe"))
    tables["items"] = (await items(catalog) if wanted else pl.DataFrame(schema=ITEM_SCHEMA)).lazy()
    try:
        found = pl.SQLContext(tables).execute(sql, eager=False)
        return (found.head(limit) if limit else found).collect(engine="streaming")
    except OSError as error:
        raise StoreUnavailable(f"the lake cannot be read: {error}") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        said = str(error).partition("\n")[0].strip()
        raise InvalidInput(f"the query cannot be run: {said}; the tables are {', '.join(tables)}") from error


def events(lake: Path) -> pl.LazyFrame:
    """Return every event that the lake holds, without its original bytes."""
    folder = LakeEvents(lake)
    return folder.scan(folder.manifest().ordered()).drop("raw")


def interactions(lake: Path) -> pl.LazyFrame:
    """Return the interactions of finished imports and those that were tracked, known repeats left out.

    Merged people are one. Those who were forgotten leave it with the next compaction.
    """
    files = LakeEvents(lake)
    held = files.manifest()
    controls = Controls.of_lake(files, held)
    tracked = files.scan(held.ordered()).filter(
        (pl.col("kind") == "interaction") & ~pl.col("duplicate").fill_null(False) & pl.col("user_id").is_not_null()
    )
    tracked = _without_retold(tracked, controls)
    parts = [tracked.with_columns(pl.lit(TRACKED).alias("source")).select(_columns())]
    folder = Lake(lake)
    for manifest in folder.manifests():
        paths = sorted(folder.rows_folder(manifest).glob("part-*.parquet"))
        if manifest.position is not None and paths:
            rows = pl.scan_parquet(paths, hive_partitioning=False).filter(pl.col("user_id").is_not_null())
            parts.append(rows.with_columns(pl.lit(manifest.source).alias("source")).select(_columns()))
    found = pl.concat(parts)
    return found.with_columns(pl.col("user_id").replace(controls.aliases)) if controls.aliases else found


def _without_retold(rows: pl.LazyFrame, controls: Controls) -> pl.LazyFrame:
    """Leave out what came for a user behind their merge: it was told again for the known one, and stands there too."""
    sealed = {user: place for user, (_, (place, _)) in controls.merged.items() if controls.aliases[user] != user}
    if not sealed:
        return rows
    places = pl.LazyFrame(
        [(user, place.epoch, place.offset) for user, place in sealed.items()],
        schema={"user_id": pl.String, "m_epoch": pl.Int64, "m_offset": pl.Int64},
        orient="row",
    )
    before = (pl.col("epoch") < pl.col("m_epoch")) | (
        (pl.col("epoch") == pl.col("m_epoch")) & (pl.col("offset") <= pl.col("m_offset"))
    )
    return rows.join(places, on="user_id", how="left").filter(before.fill_null(True)).drop("m_epoch", "m_offset")


async def items(catalog: CatalogStore) -> pl.DataFrame:
    """Return the catalogue as a table."""
    rows: list[tuple[object, ...]] = []
    after = ""
    while page := await catalog.page(after, _PAGE):
        rows += [_item(found) for found in page]
        after = page[-1].item.item_id
    stored = {name: pl.Int64 if kind == _TIME else kind for name, kind in ITEM_SCHEMA.items()}
    return pl.DataFrame(rows, schema=stored, orient="row").with_columns(pl.col("created").cast(_TIME))


def printable(frame: pl.DataFrame) -> pl.DataFrame:
    """Return columns that fit a cell of text: lists joined by `|`, bytes in hexadecimal, times in ISO 8601."""
    changed: list[pl.Expr] = []
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.List):
            changed.append(pl.col(name).cast(pl.List(pl.String)).list.join("|"))
        elif kind == pl.Binary:
            changed.append(pl.col(name).bin.encode("hex"))
        elif isinstance(kind, pl.Datetime):
            changed.append(pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
        elif isinstance(kind, pl.Struct):
            changed.append(pl.col(name).struct.json_encode())
    return frame.with_columns(changed)


def _columns() -> Iterable[pl.Expr]:
    return [pl.col(name).cast(kind) for name, kind in INTERACTION_SCHEMA.items()]


def _item(found: CatalogItem) -> tuple[object, ...]:
    item = found.item
    return (
        item.item_id, found.ordinal, item.title, item.category, item.tags, item.creator, item.price, item.rating,
        item.stock, item.created, item.active, found.listed,
    )  # fmt: skip
