"""No filter is ever broken, over many requests with many filters, on real data."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from tests.e2e.platform.inside import EVERYTHING

from kindred.app.app import App
from kindred.core.event import Interaction, ItemUpserted
from kindred.core.item import Item
from kindred.recommend.ask import Ask, Served
from kindred.recommend.config import RecommendConfig

CAP = RecommendConfig().category_cap
NEWCOMERS = 40
REJECTED = 2.5


def year(item: Item) -> float:
    """Return an item's year, else NaN, which is on no side of anything."""
    return item.attributes.get("year", float("nan"))


EXPRESSIONS: dict[str, Callable[[Item], bool]] = {
    "year >= 2005": lambda item: year(item) >= 2005,
    "not year >= 1960": lambda item: not year(item) >= 1960,
    "title contains 'love' or year = 1994": lambda item: "love" in item.title.lower() or year(item) == 1994,
    "category = 'drama' or has tags": lambda item: list(item.categories[:1]) == ["Drama"] or len(item.tags) > 0,
    "not (categories contains 'Comedy' or year in [1995, 1996])": lambda item: (
        "Comedy" not in item.categories and year(item) not in (1995, 1996)
    ),
    "creator = null and regions contains 'NO'": lambda item: item.creator is None and "NO" in item.regions,
}
"""Filter expressions, and what each means, said by plain Python."""


class Facts:
    """What is true of the catalogue and the bundle, read without the code under test."""

    def __init__(self, items: dict[str, Item], ordinals: dict[str, int], averages: np.ndarray) -> None:
        """Keep the facts; `averages (n,)` are the bundle's smoothed ratings by ordinal."""
        self.items, self.ordinals, self._averages = items, ordinals, averages
        self._with: dict[tuple[str, str], set[str]] = defaultdict(set)
        for item_id, item in items.items():
            for name in item.categories:
                self._with["category", name].add(item_id)
            for name in item.tags:
                self._with["tag", name].add(item_id)
        self.categories = sorted(name for kind, name in self._with if kind == "category")
        self.tags = sorted(name for kind, name in self._with if kind == "tag")

    def pool(self, ask: Ask) -> set[str]:
        """Return the items that bear what is asked for."""
        found = set(self.items)
        for kind, names in (("category", ask.categories), ("tag", ask.tags)):
            if names:
                found &= set().union(*(self._with.get((kind, name), set()) for name in names))
        return found

    def rating(self, item_id: str) -> float:
        """Return the smoothed average, else the catalogue's rating, else NaN."""
        ordinal, own = self.ordinals[item_id], self.items[item_id].rating
        smoothed = float(self._averages[ordinal]) if ordinal < len(self._averages) else float("nan")
        return smoothed if smoothed == smoothed else float("nan") if own is None else own


async def add_newcomers(app: App, dice: random.Random) -> None:
    """Add items that no bundle knows: some inactive, out of stock, for one country, or not out yet."""
    now = app.clock.now()
    hour = 3_600_000
    kinds = [{}, {"active": False}, {"stock": 0}, {"regions": ("NO",)}, {"available_from": now + hour}]
    events = []
    for number in range(NEWCOMERS):
        item = Item(
            item_id=f"new-{number}",
            title=f"New {number}",
            categories=tuple(dice.sample(["Drama", "Comedy", "Fresh"], 2)),
            rating=float(dice.randint(1, 5)),
            **kinds[number % len(kinds)],
        )
        events.append(ItemUpserted(event_id=f"e{number}", timestamp=now, ingested_at=now, item=item))
    (*_, last) = await app.journal.record(events)
    assert await app.serving.wait_for(last, 10)


async def read_facts(app: App, home: Path) -> Facts:
    """Read the whole catalogue and the active bundle's ratings."""
    changes, seq = [], 0
    while found := await app.stores.catalog.changes_since(seq, 5_000):
        changes += found
        seq = found[-1].seq
    active = (home / "bundles" / "ACTIVE").read_text().strip()
    averages = np.load(home / "bundles" / active / "ratings" / "averages.npy")
    listed = {change.item.item_id: change for change in changes if change.listed}
    ordinals = {item_id: change.ordinal for item_id, change in listed.items()}
    return Facts({item_id: change.item for item_id, change in listed.items()}, ordinals, averages)


def random_ask(dice: random.Random, facts: Facts) -> Ask:
    """Return a request with random filters, narrow and wide ones."""

    def sometimes(share: float) -> bool:
        return dice.random() < share

    wanted = {}
    if sometimes(0.5):
        wanted["categories"] = tuple(dice.sample([*facts.categories, "No such category"], dice.randint(1, 3)))
    if sometimes(0.25):
        wanted["tags"] = tuple(dice.sample(facts.tags, dice.randint(1, 20)))
    if sometimes(0.3):
        wanted["min_rating"] = dice.choice([0.5, 2.0, 3.0, 3.5, 4.0, 4.5, 5.0])
    if sometimes(0.3):
        wanted["where"] = dice.choice(list(EXPRESSIONS))
    if sometimes(0.4):
        wanted["exclude_items"] = tuple(dice.sample(list(facts.items), dice.choice([1, 10, 100])))
    if sometimes(0.2):
        wanted["item_id"] = dice.choice(list(facts.items))
        wanted["page"] = "item_page"
    return Ask(
        user_id=dice.choice([str(dice.randint(1, 610)), f"stranger-{dice.randint(1, 50)}"]),
        location=dice.choice([None, "NO", "US"]),
        exclude_seen=sometimes(0.7),
        count=dice.choice([1, 5, 20, 50, 100]),
        exploration=dice.choice([None, 0.0, 0.3, 1.0]),
        diversity=dice.choice([None, 0.0, 0.5, 1.0]),
        **wanted,
    )


class Known(NamedTuple):
    """What a user has seen, what they rated so low lately that it is hidden, and what they ever rated so; ordinals."""

    seen: set[int]
    rejected: set[int]
    disliked: set[int]


async def read_known(app: App, user_id: str) -> Known:
    """Read a user's history, newest first: in the sample each user rated each item once."""
    rows = await app.stores.interactions.by_user(user_id, EVERYTHING)
    low = [row.item for row in rows if row.value <= REJECTED]
    # Preferences are read from the last 500 distinct items; equal times make the edge of that soft.
    lately = {row.item for row in rows[:400]}
    return Known({row.item for row in rows}, lately.intersection(low), set(low))


def broken(ask: Ask, item_id: str, facts: Facts, known: Known, now: int) -> list[str]:
    """Return which filters an item breaks."""
    item = facts.items.get(item_id)
    if item is None:
        return ["listed"]
    tests = {
        "category": not ask.categories or set(ask.categories) & set(item.categories),
        "tags": not ask.tags or set(ask.tags) & set(item.tags),
        "min_rating": ask.min_rating is None or facts.rating(item_id) >= ask.min_rating - 1e-6,
        "where": ask.where is None or EXPRESSIONS[ask.where](item),
        "exclude_items": item_id not in ask.exclude_items and item_id != ask.item_id,
        "seen": not ask.exclude_seen or facts.ordinals[item_id] not in known.seen,
        "rejected": facts.ordinals[item_id] not in known.rejected,
        "active": item.active,
        "stock": item.stock is None or item.stock > 0,
        "date": item.available_from is None or item.available_from <= now,
        "region": not item.regions or ask.location in item.regions,
    }
    return [name for name, kept in tests.items() if not kept]


def full(ask: Ask, facts: Facts, shown: list[str]) -> set[str | None]:
    """Return the primary categories that fill their share of a slate; a request for categories has no shares."""
    counts = Counter(facts.items[item_id].category for item_id in shown)
    assert ask.count is not None
    most = ask.count if ask.categories else max(1, int(CAP * ask.count + 1e-9))
    assert all(count <= most for category, count in counts.items() if category is not None), (ask, counts)
    return {category for category, count in counts.items() if category is not None and count == most}


def is_allowed_somewhere(
    ask: Ask, facts: Facts, known: Known, now: int, shown: list[str], capped: set[str | None]
) -> str | None:
    """Return an item that the filters and the caps allow and that was not shown, or None."""
    rest = (
        item_id
        for item_id in facts.pool(ask).difference(shown)
        if facts.items[item_id].category not in capped
        if (ask.min_rating is None or facts.rating(item_id) >= ask.min_rating)
        and facts.ordinals[item_id] not in known.disliked
    )
    return next((item_id for item_id in rest if not broken(ask, item_id, facts, known, now)), None)


@pytest.mark.parametrize("requests", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
@pytest.mark.timeout(3_600)
async def test_no_filter_and_no_cap_is_ever_broken(app: App, home: Path, requests: int) -> None:
    dice = random.Random(11)
    await add_newcomers(app, dice)
    facts = await read_facts(app, home)
    await app.follower.step()
    users: dict[str, Known] = {}
    short = filled = 0
    for _ in range(requests):
        ask = random_ask(dice, facts)
        if ask.user_id not in users:
            users[ask.user_id] = await read_known(app, ask.user_id)
        known, now = users[ask.user_id], app.clock.now()
        served: Served = await app.serving.recommend(ask)
        shown = [each.catalog_item.item.item_id for each in served.items]
        faults = {item_id: wrong for item_id in shown if (wrong := broken(ask, item_id, facts, known, now))}
        assert not faults, (ask, faults)
        assert len(shown) == len(set(shown))
        assert ask.count is not None
        assert len(shown) <= ask.count
        capped = full(ask, facts, shown)
        if len(shown) < ask.count:
            short += 1
            assert any(said.startswith("under_filled") for said in served.degraded), (ask, served.degraded)
            assert is_allowed_somewhere(ask, facts, known, now, shown, capped) is None, (
                ask,
                len(shown),
                served.degraded,
            )
        else:
            filled += 1
            assert not any(said.startswith("under_filled") for said in served.degraded)
    assert min(short, filled) > requests / 20


async def test_what_was_seen_between_two_requests_is_gone_from_the_second(app: App) -> None:
    now = app.clock.now()
    for user in ("7", "stranger"):
        before = await app.serving.recommend(Ask(user_id=user, count=20, exploration=0.0))
        chosen = before.items[5].catalog_item.item.item_id
        event = Interaction(
            event_id=f"seen-{user}", timestamp=now, ingested_at=now, user_id=user, item_id=chosen, event_type="view"
        )
        (position,) = await app.journal.record([event])
        assert await app.serving.wait_for(position, 5)
        after = await app.serving.recommend(Ask(user_id=user, count=100, exploration=0.5))
        assert chosen not in [each.catalog_item.item.item_id for each in after.items]
