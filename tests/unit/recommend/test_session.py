"""What the latest session says, how recency weighs in the fold-in, and what was shown in vain."""

import numpy as np
import pytest
from tests.unit.recommend.world import NOW, build, changed

from kindred.core.clock import DAY
from kindred.core.query import Context, Query, UserFacts
from kindred.features.attribution import CLICK, EXPOSURE, OUTCOME
from kindred.features.users import UserRecord
from kindred.features.values.shown import shown_in_vain
from kindred.recommend.config import RecommendConfig
from kindred.recommend.session import fold_weights, session_size, session_strength
from kindred.recommend.taste import spread, whole_history

MINUTE = 60_000
PLAIN = RecommendConfig(exploration=0.0, seed=7, diversity=0.0, category_cap=1.0)


def facts(*minutes_ago: float, disliked: tuple[int, ...] = ()) -> UserFacts:
    """Return a history of items 0, 1, … that were last touched so many minutes ago."""
    n = len(minutes_ago)
    return UserFacts(
        known=True,
        history=np.arange(n, dtype=np.int32),
        confidence=np.full(n, 3.0, np.float32),
        positive=~np.isin(np.arange(n), disliked),
        last=np.array([NOW - int(ago * MINUTE) for ago in minutes_ago], np.int64),
        interactions=n,
    )


def query(known: UserFacts) -> Query:
    return Query(user_id="u", request_id="r", context=Context(time=NOW), facts=known)


@pytest.mark.parametrize(
    ("ago", "size"),
    [((), 0), ((5,), 1), ((5, 20, 49, 80), 3), ((5, 35, 65), 3), ((5, 36), 1), ((90, 100, 200), 2)],
)
def test_a_session_goes_on_while_gaps_are_short(ago, size):
    assert session_size(facts(*ago), NOW, 1_800) == size


def test_rows_without_a_time_are_no_session():
    known = facts(1)
    known.last[:] = -1
    assert session_size(known, NOW, 1_800) == 0


async def test_a_session_that_ended_fades_as_configured(tmp_path):
    platform = await build(tmp_path, config=changed(PLAIN, session_memory=3_600.0))
    world = platform.world
    assert session_strength(world, query(facts(10, 500))) == 1.0
    assert session_strength(world, query(facts(60))) == pytest.approx(0.5)
    assert session_strength(world, query(facts())) == 0.0
    still = await build(tmp_path / "still", config=PLAIN)
    assert session_strength(still.world, query(facts(60))) == 0.0


async def test_older_items_weigh_less_and_the_open_session_more(tmp_path):
    config = changed(PLAIN, fold_half_life=3_600.0, session_boost=1.0)
    platform = await build(tmp_path, config=config)
    found = fold_weights(platform.world, query(facts(0, 60, 120)))
    assert found.tolist() == pytest.approx([2.0, 0.5, 0.25])
    plain = await build(tmp_path / "plain", config=PLAIN)
    assert fold_weights(plain.world, query(facts(0, 60, 120))).tolist() == [1.0, 1.0, 1.0]


async def test_the_last_click_moves_the_slate_and_more_so_with_a_session(tmp_path):
    """A user of one taste looks at two things of another."""
    shares = {}
    for name, weight in (("without", 0.0), ("with", 0.6)):
        platform = await build(tmp_path / name, config=changed(PLAIN, session_weight=weight))
        for item in ("i1", "i6"):
            await platform.track("u0", item, "click")
        served = await platform.ask("u0", count=10)
        names = await platform.shown_items(served)
        shares[name] = sum(int(one[1:]) % 5 == 1 for one in names)
    assert shares["with"] > shares["without"]


async def test_what_resembles_a_disliked_item_is_lowered(tmp_path):
    platform = await build(tmp_path, config=PLAIN)
    world = platform.world
    liked, also = (query(facts(0, 1, disliked=gone)) for gone in ((), (0,)))
    items, before = spread(world, liked, "item_item")
    same, after = spread(world, also, "item_item")
    assert items.tolist() == same.tolist()
    near = world.models.item_item.similar(0, 100)[0]
    kept = np.isin(items, near)
    assert kept.any()
    assert (after[kept] < before[kept]).all()
    assert (after[~kept] == before[~kept]).all()
    first = world.models.als.score(whole_history(world, liked), near[:5])
    assert (world.models.als.score(whole_history(world, also), near[:5]) < first).all()


def exposed(*items: int, back: int = 0, clicked: int | None = None) -> UserRecord:
    """Return the record of who was shown items `back` ms before now, and then clicked one."""
    rows, clicks = np.zeros(len(items), EXPOSURE), np.zeros(int(clicked is not None), OUTCOME)
    rows["item"], rows["timestamp"] = items, NOW - back
    if clicked is not None:
        clicks["item"], clicks["timestamp"], clicks["kind"] = clicked, NOW, CLICK
    return UserRecord(exposures=rows.tobytes(), outcomes=clicks.tobytes())


def test_what_was_shown_in_vain_is_counted_by_item():
    """For a day, and until the item is clicked: who comes back after months is shown it as new."""

    def counted(record, as_of=NOW):
        items, counts = shown_in_vain(record, as_of)
        return dict(zip(items.tolist(), counts.tolist(), strict=True))

    assert counted(exposed(7, 3, 7)) == {3: 1, 7: 2}
    assert counted(exposed(7, 3, 7, back=1, clicked=7)) == {3: 1, 7: 0}
    assert counted(exposed(7, 3, 7), NOW + DAY) == {}
    assert counted(exposed(7), NOW - 1) == {}
    assert counted(UserRecord()) == {}


async def test_what_was_shown_in_vain_sinks_only_when_asked_to(tmp_path, monkeypatch):
    from kindred.recommend.hydrators import user as hydrator

    found = {}
    for name, fatigue in (("off", 0.0), ("on", 0.5)):
        platform = await build(tmp_path / name, config=changed(PLAIN, fatigue=fatigue))
        first = (await platform.ask("u3", count=10)).items[0].catalog_item.ordinal
        with monkeypatch.context() as patch:
            record = exposed(first, first, first)
            patch.setattr(hydrator, "shown_in_vain", lambda _, now, record=record: shown_in_vain(record, NOW))
            served = await platform.ask("u3", count=10)
        found[name] = (
            [one.catalog_item.ordinal for one in served.items].index(first)
            if first in [one.catalog_item.ordinal for one in served.items]
            else 99
        )
    assert found["off"] == 0
    assert found["on"] > 0
