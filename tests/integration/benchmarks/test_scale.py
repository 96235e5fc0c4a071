"""A made-up shop is written by the project's own stores and savers, served, and the same for the same numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmarks.scale.make import make
from benchmarks.scale.people import histories
from benchmarks.scale.planted import planted_models
from benchmarks.scale.shop import PART, Shop, ShopConfig, item_id

from kindred.app.app import build_app
from kindred.app.sections import SCHEMA
from kindred.models.text import ItemText
from kindred.recommend.ask import Ask
from kindred.settings.load import load_settings

SMALL = ShopConfig(items=2_000, users=50, learners=30)
NOW = 1_700_000_000_000


async def test_a_small_shop_is_made_and_answers(tmp_path: Path) -> None:
    await make(SMALL, tmp_path)
    app = await build_app(load_settings(SCHEMA, {"KINDRED_HOME": str(tmp_path)}, tmp_path))
    try:
        await app.follower.step()
        known = await app.serving.recommend(Ask(user_id="user-000001", count=20))
        unknown = await app.serving.recommend(Ask(user_id="nobody", count=20, device="tv"))
        colours = app.follower.world.table.metadata._stored.columns([("attributes", "colour")])
        has_ranker = app.follower.world.models.ranker is not None
        (card,) = await app.stores.catalog.by_ordinals([7])
    finally:
        await app.close()
    assert len(known.items) == len(unknown.items) == 20
    assert (known.strategy, unknown.strategy) == ("standard", "cold_start_user")
    assert {source for item in known.items for source in item.sources} > {"als", "item_item", "content"}
    assert "segment" in {source for item in unknown.items for source in item.sources}
    assert colours, "a filter does not read the catalogue first"
    assert has_ranker
    assert card is not None
    assert card.item.item_id == item_id(7)


def test_the_same_numbers_make_the_same_shop(tmp_path: Path) -> None:
    made = []
    for name, config in (("a", SMALL), ("b", SMALL), ("c", _reseeded(SMALL))):
        (tmp_path / name).mkdir()
        shop = Shop.draw(config)
        models = planted_models(shop, tmp_path / name, NOW)
        (items,) = (part.items(NOW) for part in shop.parts())
        made.append((items, np.array(models.content.item_vectors), histories(shop, NOW).ordinals))
    first, second, other = made
    assert first[0] == second[0] != other[0]
    assert all(np.array_equal(a, b) for a, b in zip(first[1:], second[1:], strict=True))
    assert not np.array_equal(first[2], other[2])


def test_vectors_are_what_the_content_model_makes_of_the_texts(tmp_path: Path) -> None:
    shop = Shop.draw(SMALL)
    model = planted_models(shop, tmp_path, NOW).content
    for ordinal, item in list(enumerate(shop.part(0).items(NOW)))[:200]:
        text = ItemText(
            title=item.title,
            categories=tuple(item.categories),
            tags=tuple(item.tags),
            description=item.description,
        )
        np.testing.assert_allclose(model.encode(text), model.item_vectors[ordinal], atol=1e-5)


def test_lists_hold_each_item_once_and_never_itself(tmp_path: Path) -> None:
    shop = Shop.draw(SMALL)
    lists = planted_models(shop, tmp_path, NOW).item_item
    used = np.flatnonzero(shop.users)
    for ordinal in used[::20].tolist():
        nearest, similarities = lists.similar(ordinal, 50)
        assert len(set(nearest.tolist())) == len(nearest) > 0
        assert ordinal not in nearest
        assert (np.diff(similarities) <= 0).all()
    unused = np.flatnonzero(shop.users == 0)
    assert (lists.neighbours[unused] == -1).all()
    assert not np.isin(lists.neighbours, unused).any()


def test_parts_are_cut_without_a_gap() -> None:
    shop = replace(Shop.draw(SMALL), config=ShopConfig(items=2 * PART + 1))
    rows = [part.rows for part in shop.parts()]
    assert [(one.start, one.stop) for one in rows] == [(0, PART), (PART, 2 * PART), (2 * PART, 2 * PART + 1)]


def _reseeded(config: ShopConfig) -> ShopConfig:
    return ShopConfig(items=config.items, users=config.users, learners=0, seed=config.seed + 1)
