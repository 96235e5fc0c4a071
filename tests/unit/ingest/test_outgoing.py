"""What folding adds to logs: copies of markers, handed-over records, re-keyed events, acts on their way to items."""

import itertools
from types import SimpleNamespace

import pytest

from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.core.errors import InvalidInput, TooLarge
from kindred.core.event import HandedOver, Imported, Interaction, Merged, ProfileUpdated, decode_event, encode_event
from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.features.changes import Handing, ItemAct, Rekeyed
from kindred.features.user_fold import Person
from kindred.ingest.forwarding import forward, item_side, log_side, read_forwarded
from kindred.ingest.outgoing import append_outgoing, copy_marker, outgoing_event

STAMP = {"event_id": "e", "timestamp": 5, "ingested_at": 7}
HERE = Position(0, 2, 9)


async def everything(log):
    """Return all records by partition."""
    return {end.partition: await log.read(end._replace(offset=-1), 1_000) for end in await log.ends()}


async def test_a_marker_is_copied_to_every_other_partition_once():
    """Its copies, which are folded in turn, make no more of them."""
    log, marker = MemoryEventLog(5), Imported(**STAMP, import_id="m", source="s")
    (position,) = await log.append([(marker.import_id, encode_event(marker))])
    await copy_marker(position, marker, log)
    found = await everything(log)
    assert {partition: [decode_event(record.data) for record in records] for partition, records in found.items()} == {
        partition: [marker] for partition in range(5)
    }
    for records in found.values():
        if records[0].position != position:
            await copy_marker(records[0].position, marker, log)
    assert await everything(log) == found


async def test_a_log_of_one_partition_has_no_copies():
    log, marker = MemoryEventLog(), Imported(**STAMP, import_id="m", source="s")
    await copy_marker(Position(0, 0, 0), marker, log)
    assert await log.read(START, 10) == []


def test_a_sealed_record_is_handed_over_under_the_merge_s_id():
    """At the merge's own time, so that the same merge always makes the same event."""
    merged = Merged(**{**STAMP, "event_id": "m1"}, user_id="anon", into="ann")
    made = outgoing_event("anon", Handing(HERE, "m1", "ann", b"record"), {HERE: merged})
    assert made == HandedOver(
        event_id="m1.handed", timestamp=5, ingested_at=7, user_id="ann", merge_id="m1", source="anon", record=b"record"
    )


def test_a_later_event_changes_its_user_and_nothing_else():
    """Its id stays, so that it counts once however often it is sent on."""
    event = Interaction(**STAMP, user_id="anon", item_id="i", event_type="view", metadata={"a": 1})
    made = outgoing_event("anon", Rekeyed(HERE, "ann"), {HERE: event})
    assert made == Interaction(**STAMP, user_id="ann", item_id="i", event_type="view", metadata={"a": 1})
    said = ProfileUpdated(**STAMP, profile=Profile(user_id="anon", country="DE"))
    made = outgoing_event("anon", Rekeyed(HERE, "ann"), {HERE: said})
    assert made == ProfileUpdated(**STAMP, profile=Profile(user_id="ann", country="DE"))
    with pytest.raises(InvalidInput, match="cannot be re-keyed"):
        outgoing_event("anon", Rekeyed(HERE, "ann"), {HERE: Merged(**STAMP, user_id="anon", into="bob")})


async def test_acts_of_one_item_share_a_record():
    """In order of their source, keyed by the ordinal; what comes back is what was sent."""
    log = MemoryEventLog(3)
    acts = [ItemAct(Position(0, 1, n), n % 4, "view", 1_000 + n, country="DE", extra=b"x") for n in (7, 3, 5, 8, 4)]
    assert await forward(acts, log) == 3
    found = [read_forwarded(record.data) for records in (await everything(log)).values() for record in records]
    assert sorted(act.source.offset for each in found for act in each) == [3, 4, 5, 7, 8]
    for each in found:
        assert len({act.item for act in each}) == 1
        assert each == sorted(each, key=lambda act: act.source)
        assert set(map(str, each)) <= set(map(str, acts))
    assert await forward([], log) == 0


class Limited(MemoryEventLog):
    """A log that takes what the narrowest one takes at once: 64 MiB in records of up to 4 MiB."""

    async def append(self, records):
        sizes = [len(key) + len(data) for key, data in records]
        if len(sizes) > 50_000 or sum(sizes) > 64 << 20 or max(sizes, default=0) > 4 << 20:
            raise TooLarge(f"{len(sizes)} records of {sum(sizes)} bytes")
        return await super().append(records)


async def test_acts_of_any_size_are_forwarded():
    """Those of an import hold whole counters, and lists of countries too."""
    log = Limited()
    acts = [ItemAct(HERE, number, "", 0, 0.5, 0.5, extra=bytes(4_000)) for number in range(19_000)]
    assert await forward(acts, log) == 19_000
    assert [read_forwarded(record.data) for record in await log.read(START, 20_000)] == [[act] for act in acts]


async def test_an_item_s_acts_fill_several_records_where_they_must_and_those_of_one_event_share_one():
    log = Limited()
    acts = [ItemAct(HERE._replace(offset=n // 5), 7, "view", n, 0.5, 0.5, extra=bytes(90_000)) for n in range(97)]
    records = await forward(acts, log)
    found = [read_forwarded(record.data) for record in await log.read(START, 100)]
    assert records == len(found) > 1
    assert list(itertools.chain(*found)) == acts
    for before, after in itertools.pairwise(found):
        assert before[-1].source < after[0].source
    large = [ItemAct(HERE, 7, "view", 1, extra=bytes(1_500_000))] * 2
    assert await forward(large, log) == 1


async def test_handed_over_records_of_any_size_are_appended_in_order():
    log = Limited()
    merges = [Merged(**{**STAMP, "event_id": f"m{n}"}, user_id=f"anon-{n}", into="ann") for n in range(70)]
    folds = [
        (
            Person(merge.user_id, None, START, []),
            SimpleNamespace(outgoing=[Handing(HERE._replace(offset=n), merge.event_id, "ann", bytes(1 << 20))]),
        )
        for n, merge in enumerate(merges)
    ]
    people = [(HERE._replace(offset=n), merge) for n, merge in enumerate(merges)]
    assert await append_outgoing(people, folds, log) == 70
    found = [decode_event(record.data).merge_id for record in await log.read(START, 100)]
    assert found == [merge.event_id for merge in merges]
    assert await append_outgoing(people, [], log) == 0


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x00", b"\x91\xc0", b"\xff" * 9])
def test_a_record_that_holds_no_acts_is_refused(data):
    with pytest.raises(InvalidInput, match="no item acts"):
        read_forwarded(data)


def test_positions_of_the_items_log_stand_apart():
    assert log_side(item_side(HERE)) == HERE
    assert item_side(HERE).partition > 999_999
