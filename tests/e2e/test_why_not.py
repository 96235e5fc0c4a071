"""Why an item is not there: each answer agrees with the rules as the catalogue and the user tell them, and with all
that the stages of the same request proposed, ranked and showed.
"""

import random

import msgspec
import numpy as np
import pytest

from kindred.app.app import App
from kindred.core.errors import NotFound
from kindred.core.trace import Trace
from kindred.recommend.ask import Ask, Served
from kindred.recommend.why_not import WhyNot

REQUESTS, ITEMS = 100, 10
USERS = 610


def asks(draw: random.Random, categories: list[str]) -> Ask:
    """Return a random request: known and unknown users, with and without filters."""
    user = str(draw.randint(1, USERS)) if draw.random() < 0.9 else f"nobody-{draw.random()}"
    wanted = (draw.choice(categories),) if draw.random() < 0.3 else ()
    return Ask(
        user_id=user,
        categories=wanted,
        exclude_seen=draw.random() < 0.8,
        count=draw.choice((5, 20, 100)),
        where="rating > 3.5" if draw.random() < 0.2 else None,
        trace=True,
    )


class Brute:
    """What is true of one request, told without the code that is asked why."""

    def __init__(self, ask: Ask, served: Served, seen: set[str], where: set[str]) -> None:
        assert served.trace is not None
        self.ask, self.seen, self.where = ask, seen, where
        self.slots = {shown.ordinal: slot for slot, shown in enumerate(served.items, start=1)}
        self.proposed = {
            stage.stage: list(stage.detail["proposed"]) for stage in served.trace.stages if stage.kind == "source"
        }
        self.ranked = next(stage.left for stage in reversed(served.trace.stages) if stage.kind in ("fine", "filter"))

    def barred(self, item_id: str, categories: list[str]) -> set[str]:
        """Return the rules that keep an item out."""
        found = {"seen"} if self.ask.exclude_seen and item_id in self.seen else set()
        wanted = {name.casefold() for name in self.ask.categories}
        if wanted and wanted.isdisjoint(name.casefold() for name in categories):
            found.add("category")
        if self.ask.where is not None and item_id not in self.where:
            found.add("where")
        return found


def check(said: WhyNot, brute: Brute, ordinal: int, categories: list[str]) -> None:
    """Compare an answer with what is true."""
    assert said.exact, said.cause
    barred = brute.barred(said.item_id, categories)
    assert set(said.filtered_by) - {"hidden"} == barred
    # The trace names the first 200 of each proposal.
    by = {name: items.index(ordinal) + 1 for name, items in brute.proposed.items() if ordinal in items}
    assert {one.source: one.place for one in said.proposed_by if one.place <= 200} == by
    slot = brute.slots.get(ordinal)
    assert said.slot == slot
    if slot is not None:
        assert said.outcome == "shown"
    elif said.filtered_by:
        assert said.outcome == "filtered"
    elif not said.proposed_by:
        assert said.outcome == "never_proposed"
    else:
        assert said.outcome in ("cut", "outranked")
        assert (said.place is None) == (said.outcome == "cut")
    if said.outcome in ("shown", "outranked"):
        assert said.ranked == brute.ranked
        assert said.why is not None
        assert set(said.why.sources) == {one.source for one in said.proposed_by}


async def listing(app: App) -> dict[str, tuple[int, list[str], float]]:
    """Return ordinal, categories and rating of every item."""
    found, after = {}, ""
    while page := await app.stores.catalog.page(after, 1000):
        after = page[-1].item.item_id
        found |= {one.item.item_id: (one.ordinal, one.item.categories, one.item.rating) for one in page}
    return found


async def seen_by(app: App, user_id: str, names: dict[int, str]) -> set[str]:
    """Return what the history holds of a user."""
    facts = await app.stores.interactions.by_user(user_id, 10_000)
    return {names[row.item] for row in facts}


async def test_a_thousand_answers_agree_with_what_the_request_did(app: App) -> None:
    draw = random.Random(11)
    items = await listing(app)
    names = {ordinal: item_id for item_id, (ordinal, _, _) in items.items()}
    categories = sorted({name for _, each, _ in items.values() for name in each})
    rated = app.follower.world.ratings_of
    outcomes: dict[str, int] = {}
    for _ in range(REQUESTS):
        ask = asks(draw, categories)
        served = await app.serving.recommend(ask)
        where: set[str] = set()
        if ask.where is not None:
            ordinals = np.array(sorted(names), np.int32)
            passing = ordinals[rated(ordinals) > 3.5]
            where = {names[each] for each in passing.tolist()}
        brute = Brute(ask, served, await seen_by(app, ask.user_id, names), where)
        proposed = sorted({each for one in brute.proposed.values() for each in one})
        shown = sorted(brute.slots)
        pool = draw.sample(sorted(names), ITEMS - 5) + draw.choices(proposed, k=4) + draw.choices(shown, k=1)
        for ordinal in pool:
            said = await app.serving.why_not(served.request_id, names[ordinal])
            check(said, brute, ordinal, items[names[ordinal]][1])
            outcomes[said.outcome] = outcomes.get(said.outcome, 0) + 1
    assert set(outcomes) >= {"shown", "filtered", "never_proposed", "cut", "outranked"}, outcomes
    assert sum(outcomes.values()) == REQUESTS * ITEMS


async def test_a_trace_says_of_each_shown_item_what_moved_it(app: App) -> None:
    served = await app.serving.recommend(Ask(user_id="1", trace=True))
    assert isinstance(served.trace, Trace)
    assert [one.item for one in served.trace.items] == [shown.ordinal for shown in served.items]
    for one, shown in zip(served.trace.items, served.items, strict=True):
        assert tuple(one.sources) == shown.sources
        assert one.parts
    assert msgspec.json.decode(msgspec.json.encode(served.trace), type=Trace) == served.trace


async def test_what_nobody_knows_is_not_found(app: App) -> None:
    served = await app.serving.recommend(Ask(user_id="1"))
    with pytest.raises(NotFound, match="no item"):
        await app.serving.why_not(served.request_id, "no-such-item")
    with pytest.raises(NotFound, match="no request"):
        await app.serving.why_not("rec_unknown", "1")
