"""Writes a large made-up shop into a data folder, as the project's own stores and savers would.

python -m benchmarks.scale.make --items 1000000 --home FOLDER

The catalogue with its text index, a published bundle (ALS, content, item-item lists of at most the million most used
items, popularity, trending, ratings, segments, seasons, the blend, a ranker), and users whose histories are folded. The
same numbers give the same shop; only its times are counted back from now.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.scale.people import histories, rows_of
from benchmarks.scale.planted import planted_models
from benchmarks.scale.ranker import learned_ranker
from benchmarks.scale.shop import Shop, ShopConfig
from kindred.app.app import App, build_app
from kindred.app.sections import SCHEMA
from kindred.core.bundle import DataWindow, Manifest
from kindred.core.event import Imported
from kindred.core.item import CatalogItem
from kindred.ingest.fold_columns import FOLD_FOLDER, import_folder
from kindred.models.blend import BlendConfig, BlendModel, blended
from kindred.recommend.item_table import ITEMS, ItemTable
from kindred.recommend.items.attributes import Attributes
from kindred.recommend.model_set import RANKER
from kindred.settings.load import load_settings
from kindred.training.bundle import folders, list_content, write_models
from kindred.training.fit.inputs import Progress, silent
from kindred.training.publishing import new_version, staged
from kindred.training.replay import ReplayPorts

SOURCE = "made-up shop"


async def make(config: ShopConfig, home: Path, progress: Progress = silent) -> dict[str, float]:
    """Fill an empty data folder; return what was measured of the indexes; `progress` hears each step's name."""
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise SystemExit(f"{home} is not empty: name a new folder")
    progress("shop")
    shop = Shop.draw(config)
    app = await build_app(load_settings(SCHEMA, {"KINDRED_HOME": str(home)}, home))
    now = app.clock.now()
    try:
        progress("catalogue")
        table = await _fill(app, shop, now)
        measured = await _publish(app, shop, table, now, progress)
        progress("users")
        await _import(app, shop, now)
    finally:
        await app.close()
    return measured


async def _fill(app: App, shop: Shop, now: int) -> ItemTable:
    """Put the items into the catalogue; return them as a training would."""
    table, seq = ItemTable(), 0
    table.metadata = Attributes.to_store()
    for part in shop.parts():
        items = part.items(now)
        ordinals = await app.stores.catalog.upsert(items, now)
        rows = enumerate(zip(ordinals, items, strict=True), start=seq + 1)
        table.apply([CatalogItem(ordinal=o, seq=n, listed=True, item=item, updated=now) for n, (o, item) in rows])
        seq += len(items)
        if table.unsettled:
            table.settle()
    return table


async def _publish(app: App, shop: Shop, table: ItemTable, now: int, progress: Progress) -> dict[str, float]:
    """Publish a bundle of the shop's models."""
    store = app.stores.models
    async with staged(store) as folder:
        # Beside the bundle: its arrays are larger than a temporary folder may have room for.
        with tempfile.TemporaryDirectory(dir=app.stores.home) as scratch:
            progress("models")
            models = planted_models(shop, Path(scratch), now)
            names = tuple(models.retrievers)
            blend = BlendModel.from_config(BlendConfig(), blended(names, segments=True))
            progress("write and index")
            measured = write_models(models, blend, folder, app.stores.vectors)
            progress("similar items")
            measured |= list_content(models, folder, app.stores.vectors)
        table.save(folder / ITEMS)
        kinds = [*folders(models), "blend"]
        if shop.config.learners:
            progress("ranker")
            ports = ReplayPorts(app.stores.catalog, app.stores.vectors)
            (await learned_ranker(shop.config, ports, now)).save(folder / RANKER)
            kinds.append(RANKER)
        progress("publish")
        manifest = Manifest(
            version=new_version(now),
            created=now,
            n_items=shop.config.items,
            window=DataWindow(items=shop.config.items, users=shop.config.users, catalogue_seq=table.seq),
            metrics=measured,
            models=sorted(kinds),
            retrievers=names,
        )
        await store.publish(folder, manifest)
    return measured


async def _import(app: App, shop: Shop, now: int) -> None:
    """Bring in what users did, into history and state."""
    columns = histories(shop, now)
    place = import_folder(app.stores.lake, "shop") / FOLD_FOLDER
    place.mkdir(parents=True)
    columns.save(place / "part-00000.npz")
    await app.stores.interactions.add_columns(rows_of(columns))
    marker = Imported(event_id="shop", timestamp=now, ingested_at=now, import_id="shop", source=SOURCE)
    await app.journal.record([marker])
    await app.consumer.drain_to(*await app.stores.log.ends())


def main() -> None:
    """Make the shop that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = ShopConfig()
    parser.add_argument("--items", type=int, default=usual.items)
    parser.add_argument("--users", type=int, default=usual.users)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args()
    begun = time.perf_counter()

    def tell(step: str) -> None:
        print(f"{time.perf_counter() - begun:7.1f} s  {step}", flush=True)

    config = ShopConfig(items=options.items, users=options.users, seed=options.seed)
    measured = asyncio.run(make(config, options.home, tell))
    tell("done")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"processor {usage.ru_utime + usage.ru_stime:.1f} s, peak memory {usage.ru_maxrss / 2**20:.1f} GiB")
    print({name: round(value, 4) for name, value in measured.items()})


if __name__ == "__main__":
    main()
