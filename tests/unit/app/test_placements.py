"""Placements that change while servers run: what holds, from when on, and what an answer says of it."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.unit.recommend.world import NOW, Platform, build

from kindred.adapters.memory.rules import MemoryRules
from kindred.app.placements import SETTINGS, LivePlacements, Placements
from kindred.core.clock import FixedClock
from kindred.core.errors import ConfigError, Conflict, NotFound, StoreUnavailable
from kindred.core.event import Served, decode_event, encode_event
from kindred.core.position import START
from kindred.monitoring.prometheus import PrometheusMeter
from kindred.ports.rules import RuleVersion
from kindred.recommend.ask import Served as Answer
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.reserves.config import ReservesConfig

CONFIG = RecommendConfig(exploration=0.0, seed=7, trace_share=0.0)
CONFIGURED = {"home": PlacementConfig(count=5, diversity=0.2), "search": PlacementConfig(count=3)}


class Rules(MemoryRules):
    """A store that can be away."""

    away = False

    async def newest(self) -> RuleVersion | None:
        if self.away:
            raise StoreUnavailable("the rules are away")
        return await super().newest()


def pin(item: str, slot: int = 1) -> dict:
    return {"home": {"rules": [{"kind": "pin", "items": [item], "slot": slot}]}}


@pytest.fixture
def store() -> Rules:
    return Rules()


@pytest.fixture
def meter() -> PrometheusMeter:
    return PrometheusMeter()


@pytest.fixture
def live(store: Rules, meter: PrometheusMeter) -> LivePlacements:
    return LivePlacements(store, CONFIGURED, FixedClock(NOW), meter)


@pytest.fixture
async def running(live: LivePlacements) -> AsyncIterator[LivePlacements]:
    task = asyncio.create_task(live.run())
    yield live
    task.cancel()


async def until(question) -> None:
    async with asyncio.timeout(60):
        while not question():
            await asyncio.sleep(0.01)


async def test_what_a_version_names_is_whole_and_the_rest_is_as_in_the_settings(live: LivePlacements) -> None:
    assert (live.now.by_name, live.now.version, live.looked) == (CONFIGURED, 0, False)
    change = await live.put({"home": {"count": 9}}, 0, "ann", "", False)
    assert (change.changed, live.looked) == (["home"], True)
    assert live.now.by_name == {**CONFIGURED, "home": PlacementConfig(count=9)}
    assert live.now.about == RuleVersion(version=1, created=NOW, author="ann")
    assert (await live.roll_back(0, 1, "ann", "", False)).changed == ["home"]
    assert (live.now.by_name, live.now.version) == (CONFIGURED, 2)


async def test_another_process_s_version_is_taken_over(running: LivePlacements, store: Rules) -> None:
    other = LivePlacements(store, CONFIGURED, FixedClock(NOW), PrometheusMeter())
    await other.put({"home": {"count": 9}}, 0, "ann", "", False)
    held = running.now
    await until(lambda: running.now.version == 1)
    assert running.now.by_name["home"].count == 9
    # Whoever took the placements before goes on with them.
    assert (held.by_name, held.about) == (CONFIGURED, SETTINGS)


async def test_while_the_store_is_away_the_last_version_goes_on_and_it_is_said(
    running: LivePlacements, store: Rules, meter: PrometheusMeter, caplog: pytest.LogCaptureFixture
) -> None:
    await running.put({"home": {"count": 9}}, 0, "ann", "", False)
    store.away = True
    await until(lambda: running.trouble)
    assert running.trouble == "version 1 of the placements goes on serving: the rules are away"
    assert running.now.by_name["home"].count == 9
    await until(lambda: b"kindred_placements_failures_total 2" in meter.expose())
    assert caplog.text.count("goes on serving") == 1
    assert b"kindred_placements_version 1" in meter.expose()
    with pytest.raises(StoreUnavailable):
        await running.put({}, 1, "ann", "", False)
    store.away = False
    await until(lambda: running.trouble is None)
    assert (running.now.version, (await running.read()).version) == (1, 1)


async def test_a_version_of_another_release_is_left_alone_and_can_be_replaced(
    live: LivePlacements, store: Rules
) -> None:
    await live.put({"home": {"count": 9}}, 0, "ann", "", False)
    bodies = (b'{"home": {"rules": [{"kind": "of a later release"}]}}', b'{"home": {"count": "many"}}', b"{")
    for version, body in enumerate(bodies, start=2):
        await store.append(RuleVersion(version=version, created=NOW), body)
        with pytest.raises(ConfigError, match=f"version {version} of the placements cannot be used"):
            await live.step()
        assert live.now.by_name["home"].count == 9
    assert (await live.put({"home": {"count": 8}}, 4, "ann", "", False)).changed == ["home"]
    assert live.now.by_name["home"].count == 8


async def test_a_version_that_nobody_made_is_not_found(live: LivePlacements) -> None:
    for version in (1, -1):
        with pytest.raises(NotFound, match="the newest is 0"):
            await live.roll_back(version, None, "ann", "", False)
    with pytest.raises(Conflict, match="at version 0, not 1"):
        await live.put({}, 1, "ann", "", False)


# --- answers


@pytest.fixture
async def platform(tmp_path) -> Platform:
    return await build(tmp_path, config=CONFIG, reserves=ReservesConfig(enabled=True))


def ids(served: Answer) -> list[str]:
    return [one.catalog_item.item.item_id for one in served.items]


def placements_of(platform: Platform) -> LivePlacements:
    return platform.serving._placements


async def test_a_change_holds_for_the_next_answer_whatever_reserve_there_is(platform: Platform) -> None:
    live, before = placements_of(platform), ids(await platform.ask("u1"))
    assert ids(await platform.ask("u1")) == before
    low, high = before[-1], before[1]
    await live.put(pin(low), 0, "ann", "", False)
    assert ids(await platform.ask("u1"))[0] == low
    assert ids(await platform.ask("u1"))[0] == low
    await live.put({"home": {"rules": [{"kind": "bury", "items": before[:3], "factor": 0}]}}, 1, "ann", "", False)
    assert not set(before[:3]) & set(ids(await platform.ask("u1"))[:10])
    await live.put(pin(high, 4), 2, "ann", "", False)
    assert ids(await platform.ask("u1"))[3] == high
    await live.roll_back(0, 3, "ann", "", False)
    assert ids(await platform.ask("u1")) == before


async def test_an_answer_says_under_which_version_it_was_asked(platform: Platform) -> None:
    """In its trace, in what is logged as served, and when somebody asks why an item is not there."""
    live, before = placements_of(platform), await platform.ask("u1")
    await live.put(pin(ids(before)[-1]), 0, "ann", "", False)
    after, asked = await platform.ask("u1"), await platform.ask("u1", trace=True)
    await live.put({}, 1, "ann", "", False)
    assert asked.trace.placements_version == 1
    for served, version in ((before, 0), (after, 1)):
        trace = await platform.serving.trace(served.request_id)
        assert (trace.placements_version, trace.exact) == (version, True)
        why = await platform.serving.why_not(served.request_id, ids(before)[-1])
        assert (why.placements_version, why.slot) == (version, 1 if version else len(before.items))
    await platform.serving.drain()
    events = [decode_event(record.data) for record in await platform.stores.log.read(START, 1_000) if record.data]
    logged = {event.request_id: event.placements_version for event in events if isinstance(event, Served)}
    assert (logged[before.request_id], logged[after.request_id]) == (0, 1)


RULES = [{"kind": "boost", "items": [f"item-{n:0100}-{rule}" for n in range(100)], "factor": 2} for rule in range(10)]


async def test_a_record_holds_no_rules_and_is_answered_again_under_those_of_its_version(platform: Platform) -> None:
    live = placements_of(platform)
    last = ids(await platform.ask("u1"))[-1]
    await live.put({"home": {"rules": [*pin(last)["home"]["rules"], *RULES]}}, 0, "ann", "", False)
    served = await platform.ask("u1")
    await live.put({}, 1, "ann", "", False)
    await platform.serving._follow_ups.done_with(served.request_id)
    kept = await platform.stores.traces.get(served.request_id)
    assert len(kept) <= 2_048
    trace = await platform.serving.trace(served.request_id)
    assert (trace.exact, trace.cause) == (True, None)
    assert (await platform.serving.why_not(served.request_id, last)).slot == 1


async def test_rules_of_the_settings_that_were_changed_since_are_named(platform: Platform) -> None:
    live = placements_of(platform)
    last = ids(await platform.ask("u1"))[-1]
    pinned = msgspec.convert(pin(last)["home"], PlacementConfig)
    live.now = Placements({**live.configured, "home": pinned})
    served = await platform.ask("u1")
    assert (await platform.serving.trace(served.request_id)).exact
    live.now = Placements(live.configured)
    trace = await platform.serving.trace(served.request_id)
    assert not trace.exact
    assert "rules of then" in trace.cause


def test_records_of_earlier_releases_are_read() -> None:
    """They are without a version, and none is the settings' own."""
    fields = {"user_id": "u", "request_id": "r", "placement": "home", "bundle": "b", "items": []}
    plain = Served(event_id="e", timestamp=1, ingested_at=1, propensities=[], sources=[], **fields)
    data = encode_event(plain)
    assert b"placements_version" not in data
    assert decode_event(data).placements_version == 0
    versioned = msgspec.structs.replace(plain, placements_version=3)
    assert decode_event(encode_event(versioned)) == versioned


async def test_health_says_what_the_placements_miss(platform: Platform) -> None:
    assert platform.serving.ready() == []
    placements_of(platform).trouble = "version 0 of the placements goes on serving: away"
    assert platform.serving.warnings() == ["version 0 of the placements goes on serving: away"]
    placements_of(platform).looked = False
    assert platform.serving.ready() == ["version 0 of the placements goes on serving: away"]
