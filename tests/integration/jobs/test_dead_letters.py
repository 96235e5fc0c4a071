"""Dead letters come back once, whole, and never for people who were forgotten."""

from pathlib import Path

import pytest
from tests.integration.ingest.stores import NOW, World, happened

from kindred.core.errors import Conflict, InvalidInput
from kindred.core.event import Imported, ItemUpserted, Merged, ProfileErased, decode_event, encode_event
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.jobs.dead_letters import replay_letters
from kindred.ports.log import DeadLetter

STAMP = {"timestamp": NOW, "ingested_at": NOW}


async def buried(world: World, position: Position, event) -> None:  # type: ignore[no-untyped-def]
    """Bury an event as if its fold had failed at `position`."""
    data = event if isinstance(event, bytes) else encode_event(event)
    await world.letters.bury([DeadLetter(position, "fold_failed: KeyError", data)])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_letter_is_folded_as_if_it_had_come_now_and_is_gone(world: World) -> None:
    await world.record(happened(1, "ann", "i1"), happened(2, "ann", "i2"))
    await world.drain()
    await buried(world, Position(0, 0, 1), happened(3, "ann", "i3"))
    report = await replay_letters(world.stores)
    assert (report.replayed, report.erased, report.kept) == (1, 0, [])
    assert await world.letters.letters(None, 10) == []
    await world.drain()
    assert (await world.user("ann")).interactions == 3
    assert (await world.item("i3")).count("view") == 1


async def test_a_crash_before_the_letter_is_discarded_counts_it_once(world: World) -> None:
    await buried(world, Position(0, 0, 7), happened(3, "ann", "i3"))
    await replay_letters(world.stores)
    await world.drain()
    await buried(world, Position(0, 0, 7), happened(3, "ann", "i3"))
    assert (await replay_letters(world.stores)).replayed == 1
    await world.drain()
    assert (await world.user("ann")).interactions == 1


async def test_what_cannot_be_replayed_stays(world: World) -> None:
    await world.record(ItemUpserted(**STAMP, event_id="up", item=Item(item_id="i1", title="new")))
    await world.drain()
    await buried(world, Position(0, 0, 20), b"\xff no event")
    old = {"timestamp": NOW - 9, "ingested_at": NOW - 9}
    await buried(world, Position(0, 0, 21), ItemUpserted(**old, event_id="x", item=Item(item_id="i1", title="old")))
    await buried(world, Position(0, 0, 22), Imported(**STAMP, event_id="m", import_id="imp", source="s"))
    await buried(world, Position(0, 1_000_000, 3), b"acts")
    await buried(world, Position(0, 0, 23), happened(1, "ann", "i1"))
    report = await replay_letters(world.stores)
    assert report.replayed == 1
    assert [kept.position.offset for kept in report.kept] == [20, 21, 22, 3]
    assert ["changed since" in kept.reason for kept in report.kept] == [False, True, False, False]
    assert len(await world.letters.letters(None, 10)) == 4
    await world.drain()
    (found,) = await world.catalog.get(["i1"])
    assert found.item.title == "new"


async def test_the_later_of_two_merges_is_kept_as_a_letter(world: World) -> None:
    """Two servers took them at the same moment: first in the log wins, and replaying the other cannot help."""
    merges = [Merged(**STAMP, event_id=f"m{into}", user_id="anon", into=into) for into in ("ann", "bob", "ann")]
    await world.record(happened(1, "anon", "i1"), *merges)
    await world.drain()
    (letter,) = await world.letters.letters(None, 10)
    assert letter.reason.startswith("merge_refused: ")
    assert decode_event(letter.data) == merges[1]
    assert (await world.user("anon")).alias == "ann"
    assert (await world.user("ann")).interactions == 1
    assert await world.user("bob") is None
    report = await replay_letters(world.stores)
    assert (report.replayed, [kept.reason for kept in report.kept]) == (
        0, ["the user was merged into 'ann' before, and has one target"],
    )  # fmt: skip


async def test_people_who_were_forgotten_stay_forgotten(world: World) -> None:
    await world.record(happened(1, "ann", "i1"), happened(2, "bob", "i2"))
    (erased,) = await world.record(ProfileErased(**STAMP, event_id="gone", user_id="ann"))
    await world.drain()
    await buried(world, Position(0, 0, 1), happened(3, "ann", "i3"))
    await buried(world, erased._replace(offset=erased.offset + 5), happened(4, "ann", "i4"))
    report = await replay_letters(world.stores)
    assert (report.replayed, report.erased) == (1, 1)
    await world.drain()
    assert (await world.user("ann")).interactions == 1, "what came after the erasure is another life"
    assert getattr(await world.item("i3"), "counters", None) is None
    assert await world.letters.letters(None, 10) == []


async def test_who_came_back_before_the_partitions_changed_keeps_their_letters(tmp_path: Path) -> None:
    """An epoch tells what came later, whatever the partition; within one epoch another partition cannot be ordered."""
    world = World(tmp_path, partitions=4)
    (erased,) = await world.record(ProfileErased(**STAMP, event_id="gone", user_id="ann"))
    await world.drain()
    other = (erased.partition + 1) % 4
    await buried(world, Position(erased.epoch, other, 900), happened(3, "ann", "i3"))
    await buried(world, Position(erased.epoch + 1, other, 0), happened(4, "ann", "i4"))
    report = await replay_letters(world.stores)
    assert (report.replayed, report.erased) == (1, 1)


@pytest.mark.parametrize("partitions", [1, 3])
async def test_an_anonymous_user_is_forgotten_with_the_known_one(tmp_path: Path, partitions: int) -> None:
    world = World(tmp_path, partitions=partitions)
    (first,) = await world.record(happened(1, "anon", "i1"))
    await world.drain()
    await world.record(Merged(**STAMP, event_id="merge", user_id="anon", into="ann"))
    await world.drain()
    await world.record(ProfileErased(**STAMP, event_id="gone", user_id="ann"))
    await world.drain()
    await buried(world, first, happened(3, "anon", "i3"))
    report = await replay_letters(world.stores)
    assert (report.replayed, report.erased) == (0, 1)
    await world.drain()
    assert await world.user("ann") is None


async def test_an_erasure_that_waits_in_the_log_is_waited_for(world: World) -> None:
    await buried(world, Position(0, 0, 0), happened(3, "ann", "i3"))
    await world.record(ProfileErased(**STAMP, event_id="gone", user_id="ann"))
    with pytest.raises(Conflict, match="not folded"):
        await replay_letters(world.stores)
    await world.drain()
    assert (await replay_letters(world.stores)).erased == 1


async def test_only_chosen_letters_are_replayed(world: World) -> None:
    await buried(world, Position(0, 0, 5), happened(1, "ann", "i1"))
    await buried(world, Position(0, 0, 6), happened(2, "ann", "i2"))
    with pytest.raises(InvalidInput, match=r"0\.0\.9"):
        await replay_letters(world.stores, [Position(0, 0, 5), Position(0, 0, 9)])
    assert (await replay_letters(world.stores, [Position(0, 0, 6)])).replayed == 1
    assert [letter.position.offset for letter in await world.letters.letters(None, 10)] == [5]
