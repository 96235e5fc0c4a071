"""A placement's rules through the whole funnel: pins, boosts, buried and promoted items, and what is logged of them."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from tests.unit.recommend.world import NOW, build, item

from kindred.core.errors import ConfigError, KindredError
from kindred.core.event import Served, decode_event, encode_event
from kindred.core.position import Position
from kindred.core.rules import Rule
from kindred.core.slate import ReasonCode
from kindred.recommend.config import PlacementConfig, RecommendConfig

CONFIG = RecommendConfig(exploration=0.0, seed=7)


async def platform_with(tmp_path, *rules, config=CONFIG, **placement):
    return await build(tmp_path, config=config, placements={"home": PlacementConfig(rules=rules, **placement)})


def ids(served):
    return [one.catalog_item.item.item_id for one in served.items]


async def served_record(platform):
    await platform.serving.drain()
    records = await platform.stores.log.read(Position(0, 0, -1), 100)
    return next(event for one in records[1:] if isinstance(event := decode_event(one.data), Served))


async def test_a_pinned_item_stands_at_its_slot_and_says_so(tmp_path):
    pin = Rule(kind="pin", items=("i119",), slot=3)
    platform = await platform_with(tmp_path, pin, config=RecommendConfig(exploration=0.5, seed=7))
    served = await platform.ask("u1", count=10)
    assert ids(served)[2] == "i119"
    assert served.propensities[2] == 1.0
    assert (served.items[2].source, served.items[2].reason.code) == ("promoted", ReasonCode.PROMOTED)
    record = await served_record(platform)
    assert record.pinned == [2]
    assert record.policy == "epsilon"
    assert record.seed == 7
    assert len(record.epsilons) == len(record.pools) == 10
    assert (record.epsilons[2], record.pools[2], record.propensities[2]) == (0.0, 0, 1.0)


async def test_a_pin_is_flagged_without_exploration_too(tmp_path):
    platform = await platform_with(tmp_path, Rule(kind="pin", items=("i119",), slot=1))
    assert ids(await platform.ask("u1", count=5))[0] == "i119"
    record = await served_record(platform)
    assert (record.pinned, record.policy, record.epsilons, record.seed) == ([0], "greedy", [], 0)


async def test_a_pin_breaks_no_filter(tmp_path):
    platform = await platform_with(tmp_path, Rule(kind="pin", items=("i119",), slot=1))
    await platform.track("u1", "i119", "dislike")
    assert "i119" not in ids(await platform.ask("u1"))
    assert "i119" not in ids(await platform.ask("u2", exclude_items=("i119",)))
    assert "i119" not in ids(await platform.ask("u2", categories=("action",)))
    await platform.upsert(msgspec.structs.replace(item(119), active=False))
    assert "i119" not in ids(await platform.ask("u2"))


async def test_an_item_that_the_catalogue_does_not_know_is_pinned_once_it_does(tmp_path):
    platform = await platform_with(tmp_path, Rule(kind="pin", items=("later",), slot=2))
    before = await platform.ask("u1", count=5)
    assert "later" not in ids(before)
    assert before.degraded == []
    await platform.upsert(msgspec.structs.replace(item(3), item_id="later", created=NOW))
    assert ids(await platform.ask("u1", count=5))[1] == "later"


async def test_boost_and_bury_by_category_and_tag(tmp_path):
    platform = await platform_with(
        tmp_path,
        Rule(kind="boost", categories=("HORROR",), factor=100.0),
        Rule(kind="bury", tags=("mood1",), factor=0.0),
        category_cap=1.0,
        diversity=0.0,
    )
    shown = (await platform.ask("u1", count=20)).items
    assert all("horror" in one.catalog_item.item.categories for one in shown[:10])
    assert not any("mood1" in one.catalog_item.item.tags for one in shown)
    assert all(0 <= one.score <= 1 for one in shown)


async def test_promoted_items_are_raised_up_to_their_cap(tmp_path):
    promoted = ("i110", "i111", "i112", "i113", "i114")
    platform = await platform_with(tmp_path, Rule(kind="promote", items=promoted, factor=50.0, cap=2))
    shown = ids(await platform.ask("nobody", count=20))
    assert len(shown) == 20
    assert len(set(promoted) & set(shown)) == 2
    assert set(shown[:2]) < set(promoted)


async def test_items_of_one_creator_keep_their_distance(tmp_path):
    config = RecommendConfig(exploration=0.0, seed=7, creator_spacing=2, category_cap=1.0)
    platform = await build(tmp_path, config=config)
    await platform.upsert(*(msgspec.structs.replace(item(n), creator=f"Studio {n % 5}") for n in range(120)))
    creators = [one.catalog_item.item.creator for one in (await platform.ask("u1", count=20)).items]
    assert all(len(set(creators[slot : slot + 3])) == 3 for slot in range(18))


async def test_a_slate_ends_short_rather_than_over_the_cap(tmp_path):
    platform = await platform_with(tmp_path, category_cap=0.3)
    served = await platform.ask("u1", count=20, tags=("mood1", "mood2"))
    assert Counter(one.catalog_item.item.category for one in served.items) == {"drama": 6, "comedy": 6}
    assert served.degraded == ["under_filled:category_cap"]


@pytest.mark.parametrize(("placements", "requests"), [(8, 25), pytest.param(40, 250, marks=pytest.mark.long)])
@pytest.mark.timeout(1_800)
async def test_no_request_breaks_a_cap_or_a_filter(tmp_path, placements, requests):
    """Random placements and random requests to each, with pins, draws, spacing and both rerankers."""
    rng = np.random.default_rng(4)
    for number in range(placements):
        pins = [
            Rule(kind="pin", items=(f"i{ordinal}",), slot=int(slot))
            for ordinal, slot in zip(rng.permutation(120)[:4], rng.permutation(20)[: rng.integers(5)] + 1, strict=False)
        ]
        most, share = int(rng.integers(1, 4)), float(rng.choice([0.1, 0.3, 0.6]))
        made = PlacementConfig(
            rules=(*pins, Rule(kind="promote", tags=("tag3",), factor=5.0, cap=most)),
            category_cap=share,
            creator_spacing=int(rng.integers(3)),
            reranker=str(rng.choice(["mmr", "dpp"])),
            exploration=float(rng.choice([0.0, 0.3, 1.0])),
        )
        config = RecommendConfig(cold_item=40, exploration_policy=str(rng.choice(["epsilon", "thompson"])))
        platform = await build(tmp_path / str(number), config=config, placements={"home": made})
        for _ in range(requests):
            tags = [(), ("tag3",), ("tag1", "tag2", "mood4")][rng.integers(3)]
            excluded = tuple(f"i{ordinal}" for ordinal in rng.integers(120, size=rng.integers(6)))
            asked = {"count": int(rng.integers(1, 41)), "tags": tags, "exclude_items": excluded}
            check(await platform.ask(f"u{rng.integers(160)}", **asked), share, most, **asked)


def check(served, share, most, count, tags, exclude_items):
    """Hold an answer against its caps and filters; a short one says why."""
    shown = [one.catalog_item.item for one in served.items]
    assert len({one.item_id for one in shown}) == len(shown)
    assert max(Counter(one.category for one in shown).values(), default=0) <= max(1, int(share * count + 1e-9))
    assert sum("tag3" in one.tags for one in shown) <= most
    assert not {one.item_id for one in shown} & set(exclude_items)
    assert all(set(one.tags) & set(tags) for one in shown if tags)
    assert all(0 < propensity <= 1 for propensity in served.propensities)
    assert len(shown) == count or any(said.startswith("under_filled:") for said in served.degraded)


# --- settings and records


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "pim", "items": ["a"]}, "did you mean `pin`"),
        ({"kind": "pin", "items": ["a"]}, "pin needs `slot`"),
        ({"kind": "pin", "items": ["a", "b"], "slot": 1}, "pin needs one id"),
        ({"kind": "pin", "slot": 1}, "pin needs one id"),
        ({"kind": "pin", "items": ["a"], "slot": 0}, "slot"),
        ({"kind": "pin", "items": ["a"], "slot": 1, "factor": 2.0}, "pin takes no `factor`"),
        ({"kind": "boost", "factor": 2.0}, "boost needs `items`, `categories` or `tags`"),
        ({"kind": "boost", "tags": ["a"], "factor": 0.5}, "at least 1"),
        ({"kind": "boost", "tags": ["a"], "factor": 101.0}, "factor"),
        ({"kind": "bury", "tags": ["a"], "factor": 1.5}, "at most 1"),
        ({"kind": "promote", "tags": ["a"], "factor": 2.0}, "promote needs `cap`"),
        ({"items": ["a", "b" * 129], "factor": 2.0}, "`items` must have 1 to 128 characters, has 129"),
        ({"items": ["a\0"], "factor": 2.0}, "`items` must not contain control characters"),
        ({"categories": ["c" * 257], "factor": 2.0}, "length <= 256"),
    ],
)
def test_a_rule_that_makes_no_sense_says_what_to_change(fields, said):
    with pytest.raises((ConfigError, msgspec.ValidationError), match=said):
        msgspec.convert(fields, Rule)


def test_two_pins_may_not_want_one_slot_or_one_item():
    first = Rule(kind="pin", items=("a",), slot=1)
    for second in (Rule(kind="pin", items=("b",), slot=1), Rule(kind="pin", items=("a",), slot=2)):
        with pytest.raises(KindredError, match="two pins"):
            PlacementConfig(rules=(first, second))


def test_records_of_earlier_releases_are_still_read():
    new = Served(
        event_id="e",
        timestamp=1,
        ingested_at=1,
        user_id="u",
        request_id="r",
        placement="home",
        bundle="b",
        items=["a"],
        propensities=[0.7],
        sources=["als"],
        epsilons=[0.3],
        pools=[4],
        pinned=[0],
        seed=2**64 - 1,
    )
    assert decode_event(encode_event(new)) == new
    fields = msgspec.msgpack.decode(encode_event(new))
    old = {key: value for key, value in fields.items() if key not in ("epsilons", "pools", "pinned", "seed")}
    read = decode_event(msgspec.msgpack.encode(old))
    assert (read.epsilons, read.pools, read.pinned, read.seed) == ([], [], [], 0)
