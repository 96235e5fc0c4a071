"""What a batch does to the history: in order of position, and safe to do twice."""

from types import SimpleNamespace

import pytest

from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.core.position import START, Position
from kindred.features.changes import Act, Handing, Handoff, Rekeyed, Removal
from kindred.features.groups import FoldConfig
from kindred.ingest.history import write_history

NOW = 1_700_000_000_000


def at(offset):
    return Position(0, 0, offset)


def act(offset, item, kind="view"):
    return Act(at(offset), offset, NOW, item, kind, NOW + offset, float("nan"))


def folded(user="u", changes=(), stands=START, **made):
    """Build a person and what its fold made."""
    nothing = {"stored": [], "removed": [], "absorbed": [], "outgoing": [], "erased": None}
    return SimpleNamespace(user_id=user, changes=list(changes), folded=stands), SimpleNamespace(**(nothing | made))


async def write(history, *folds):
    """Write a batch, twice: as after a crash."""
    for _ in range(2):
        ids = {position: f"e{position.offset}" for position in map(at, range(100))}
        await write_history(list(folds), ids, at(99), history, FoldConfig())


async def kept(history, user="u"):
    return sorted((row.item, row.event_type) for row in await history.by_user(user, 1_000))


@pytest.fixture
async def history():
    return MemoryInteractions()


async def test_acts_on_items_are_rows(history):
    """Searches and impressions are none."""
    await write(history, folded(stored=[act(0, 4), act(1, -1, "search"), act(2, 5, "impression"), act(3, 4, "like")]))
    assert await kept(history) == [(4, "like"), (4, "view")]


async def test_a_removal_takes_what_stood_before_it(history):
    """Also of its own batch, and nothing that follows; of reactions, only those."""
    await write(history, folded(stored=[act(0, 4), act(1, 4, "like"), act(2, 5), act(3, 5, "like")]))
    later = [act(10, 4), act(12, 4), act(14, 5, "dislike")]
    await write(history, folded(stored=later, removed=[Removal(at(11), 4), Removal(at(15), 5, True)]))
    assert await kept(history) == [(4, "view"), (5, "view")]


async def test_an_erasure_takes_everything_before_it(history):
    """What the user does afterwards is theirs again; others keep their rows."""
    await write(history, folded(stored=[act(0, 4)]), folded("other", stored=[act(1, 4)]))
    await write(history, folded(stored=[act(10, 5), act(12, 6)], erased=at(11)))
    assert await kept(history) == [(6, "view")]
    assert await kept(history, "other") == [(4, "view")]


async def test_a_merged_history_travels_once(history):
    """With what the same batch added before the merge, and without what the source does later."""
    await write(history, folded("anon", stored=[act(0, 4)]))
    handing = Handing(at(11), "m1", "ann", b"record")
    await write(history, folded("anon", stored=[act(10, 5), act(12, 6)], outgoing=[handing]))
    assert await kept(history, "anon") == [(6, "view")]
    handoff = Handoff(at(20), "m1", "anon", b"record")
    await write(history, folded("ann", [handoff], stored=[act(21, 7)], absorbed=[(at(20), "anon")]))
    assert await kept(history, "ann") == [(4, "view"), (5, "view"), (7, "view")]
    assert await kept(history, "anon") == [(6, "view")]
    assert (await history.counts())[:2] == (4, 2)


async def test_a_second_handover_leaves_nothing_behind(history):
    """The source's batch was folded again after a crash: its rows were written again, and are no one's."""
    handing = Handing(at(11), "m1", "ann", b"record")
    source = folded("anon", stored=[act(10, 5)], outgoing=[handing])
    await write(history, source)
    first, second = (Handoff(at(offset), "m1", "anon", b"record") for offset in (20, 30))
    await write(history, folded("ann", [first], absorbed=[(at(20), "anon")]))
    await write(history, source)
    await write(history, folded("ann", [second], stands=at(20)))
    assert await kept(history, "ann") == [(5, "view")]
    assert (await history.counts())[:2] == (1, 1)


async def test_a_handover_before_an_erasure_brings_nothing(history):
    """Whoever asks to be forgotten is, with what was merged before."""
    await write(history, folded("anon", stored=[act(0, 4)], outgoing=[Handing(at(1), "m1", "ann", b"record")]))
    handoff = Handoff(at(20), "m1", "anon", b"record")
    await write(history, folded("ann", [handoff], erased=at(22), stored=[act(23, 9)]))
    assert await kept(history, "ann") == [(9, "view")]
    assert (await history.counts())[:2] == (1, 1)


async def test_a_handover_that_is_passed_on_leaves_its_rows_for_the_last_one(history):
    """Whom it was meant for turned out to be a third by then: the rows wait until it gets there."""
    await write(history, folded("anon", stored=[act(0, 4)], outgoing=[Handing(at(1), "m1", "ann", b"record")]))
    first, second = (Handoff(at(offset), "m1", "anon", b"record") for offset in (20, 30))
    await write(history, folded("ann", [first], outgoing=[Rekeyed(at(20), "maria")]))
    await write(history, folded("maria", [second], absorbed=[(at(30), "anon")]))
    assert await kept(history, "maria") == [(4, "view")]
    assert (await history.counts())[:2] == (1, 1)
