"""The way into the log: durable first, then the wake-up."""

import asyncio

import pytest

from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.core.errors import Overloaded, StoreUnavailable
from kindred.core.event import Interaction, ItemDeleted, ProfileErased, decode_event
from kindred.core.position import START, Position
from kindred.ingest.journal import Journal
from kindred.ports.log import positions_of

STAMP = {"event_id": "e", "timestamp": 5, "ingested_at": 5}
EVENTS = [ItemDeleted(**STAMP, item_id="i"), ProfileErased(**STAMP, user_id="u")]


async def test_events_are_appended_in_order_and_the_consumer_is_woken():
    """Each event has its position, and the log holds it."""
    log, woken = MemoryEventLog(), []
    positions = await Journal(log, lambda: woken.append(log._epochs[0][0].next)).record(EVENTS)
    assert positions == [Position(0, 0, 0), Position(0, 0, 1)]
    assert [decode_event(record.data) for record in await log.read(START, 10)] == EVENTS
    assert woken == [2]


async def test_nothing_to_record_touches_nothing():
    """An empty list is no append."""
    woken = []
    assert await Journal(MemoryEventLog(), lambda: woken.append(1)).record([]) == []
    assert woken == []


async def test_a_full_queue_is_passed_on_and_nobody_is_woken():
    """Nothing was claimed, and the caller learns when to try again."""

    class Full(MemoryEventLog):
        async def append(self, records):
            raise Overloaded("the queue is full", retry_after=3)

    woken = []
    with pytest.raises(Overloaded) as caught:
        await Journal(Full(), lambda: woken.append(1)).record(EVENTS)
    assert caught.value.retry_after == 3
    assert woken == []


class Slow(MemoryEventLog):
    """A log whose appends wait to be let go, and that remembers how large they were."""

    def __init__(self):
        super().__init__()
        self.sizes = []
        self.let_go = asyncio.Event()
        self.failure = None

    async def append(self, records):
        self.sizes.append(len(records))
        await self.let_go.wait()
        if self.failure is not None:
            raise self.failure
        return await super().append(records)


async def _calls(journal, count, events=1):
    calls = [asyncio.create_task(journal.record(EVENTS[:1] * events)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return calls


async def test_calls_that_come_together_share_an_append_and_each_has_its_own_positions():
    """The first round is one group; what comes during its append is the next."""
    log = Slow()
    journal = Journal(log)
    calls = await _calls(journal, 3)
    calls += await _calls(journal, 2, events=2)
    log.let_go.set()
    offsets = [[position.offset for position in await call] for call in calls]
    assert offsets == [[0], [1], [2], [3, 4], [5, 6]]
    assert log.sizes == [3, 4]


async def test_a_group_has_its_limit_and_a_call_is_never_split():
    """1,500 and 1,500 are two groups; 2,500 of one call are one."""
    log = Slow()
    log.let_go.set()
    journal = Journal(log)
    for call in [*await _calls(journal, 2, events=1_500), *await _calls(journal, 1, events=2_500)]:
        await call
    assert log.sizes == [1_500, 1_500, 2_500]


@pytest.mark.parametrize(
    ("failure", "told"),
    [(Overloaded("busy", retry_after=3), Overloaded), (RuntimeError("the driver"), StoreUnavailable)],
)
async def test_a_failed_append_fails_all_its_calls_each_with_its_own_error_and_none_after(failure, told):
    """Nothing of the group was claimed, and the next one is tried anew."""
    log, woken = Slow(), []
    journal = Journal(log, lambda: woken.append(1))
    calls = await _calls(journal, 3)
    log.failure = failure
    log.let_go.set()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in errors] == [told] * 3
    assert len({id(error) for error in errors}) == 3
    assert {getattr(error, "retry_after", None) for error in errors} == {3 if told is Overloaded else 1}
    log.failure = None
    assert await journal.record(EVENTS) == [Position(0, 0, 0), Position(0, 0, 1)]
    assert woken == [1]


async def test_a_full_queue_claims_nothing():
    """While one append hangs, 50,000 events may wait, and not one more."""
    log = Slow()
    journal = Journal(log)
    first = await _calls(journal, 1)
    waiting = await _calls(journal, 20, events=2_500)
    with pytest.raises(Overloaded, match="50000 events wait"):
        await journal.record(EVENTS[:1])
    log.let_go.set()
    assert len([await call for call in [*first, *waiting]]) == 21
    assert sum(log.sizes) == 50_001


async def test_who_gave_up_before_the_append_gets_nothing_written():
    """The others of the group are not touched by it."""
    log = Slow()
    journal = Journal(log)
    first = await _calls(journal, 1)
    gone, kept = await _calls(journal, 2)
    gone.cancel()
    log.let_go.set()
    assert await first[0] == [Position(0, 0, 0)]
    assert await kept == [Position(0, 0, 1)]
    assert sum(log.sizes) == 2


class Parted(MemoryEventLog):
    """A log of four partitions, one of which refuses its records or, until it is let go, does not answer."""

    def __init__(self, down, hangs=False):
        super().__init__(4)
        self.down, self.hangs, self.let_go = down, hangs, asyncio.Event()

    async def append(self, records):
        own = [self.partition_of(key) == self.down for key, _ in records]
        if self.hangs and any(own):
            await self.let_go.wait()
        good = iter(await super().append([each for each, down in zip(records, own, strict=True) if not down]))
        return positions_of([StoreUnavailable("no leader", 2) if down else next(good) for down in own])


class Moving:
    """The same log at a moment when the journal cannot tell its partitions apart: they share appends."""

    def __init__(self, log):
        self.append = log.append

    def partition_of(self, key):
        return 0


def _seen(user):
    return Interaction(**STAMP, user_id=user, item_id="i", event_type="view")


USERS = [f"u{number}" for number in range(40)]


@pytest.mark.parametrize("shared", [False, True])
async def test_a_partition_that_fails_fails_the_calls_that_write_to_it_and_no_others(shared):
    """All others are told their position, also where they shared an append with it."""
    log, woken = Parted(down=2), []
    journal = Journal(Moving(log) if shared else log, lambda: woken.append(1))
    answers = await asyncio.gather(*(journal.record([_seen(user)]) for user in USERS), return_exceptions=True)
    for user, answer in zip(USERS, answers, strict=True):
        if log.partition_of(user) == 2:
            assert isinstance(answer, StoreUnavailable)
            assert (answer.detail, answer.retry_after) == ("no leader", 2)
        else:
            (position,) = answer
            (found,) = await log.read(position._replace(offset=position.offset - 1), 1)
            assert decode_event(found.data).user_id == user
    assert {isinstance(answer, StoreUnavailable) for answer in answers} == {True, False}
    assert woken


async def test_a_partition_that_does_not_answer_keeps_no_other_waiting():
    log = Parted(down=2, hangs=True)
    journal = Journal(log)
    stuck = [asyncio.create_task(journal.record([_seen(user)])) for user in USERS if log.partition_of(user) == 2]
    await asyncio.sleep(0)
    for user in USERS:
        if log.partition_of(user) != 2:
            assert len(await journal.record([_seen(user)])) == 1
    assert not any(task.done() for task in stuck)
    log.let_go.set()
    assert {type(each) for each in await asyncio.gather(*stuck, return_exceptions=True)} == {StoreUnavailable}


async def test_a_call_of_many_partitions_has_its_positions_in_order_and_fails_where_one_does():
    events = [_seen(user) for user in USERS]
    log = Parted(down=-1)
    positions = await Journal(log).record(events)
    assert [position.partition for position in positions] == [log.partition_of(user) for user in USERS]
    for event, position in zip(events, positions, strict=True):
        (found,) = await log.read(position._replace(offset=position.offset - 1), 1)
        assert decode_event(found.data) == event
    with pytest.raises(StoreUnavailable, match="no leader"):
        await Journal(Parted(down=1)).record(events)


async def test_what_waits_for_one_partition_leaves_the_others_their_share():
    """A fourth of 50,000 each: beyond that who is over it is refused, the others are not."""
    log = Parted(down=2, hangs=True)
    journal = Journal(log)
    by_partition = {log.partition_of(user): _seen(user) for user in USERS}
    for partition in (0, 1, 3):
        await journal.record([by_partition[partition]])
    waiting = []
    for count in (1, 20):
        waiting += [asyncio.create_task(journal.record([by_partition[2]] * 2_500)) for _ in range(count)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="50000 events wait"):
        await journal.record([by_partition[2]])
    others = [asyncio.create_task(journal.record([by_partition[0]] * 100)) for _ in range(3)]
    assert [len(await other) for other in others] == [100, 100, 100]
    log.let_go.set()
    await asyncio.gather(*waiting, return_exceptions=True)
