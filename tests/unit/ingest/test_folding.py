"""A batch is read in pieces, and written in an order that makes a crash harmless."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.dead_letters import MemoryDeadLetters
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import FixedClock
from kindred.core.event import EventContext, Interaction, ProfileErased, encode_event
from kindred.core.position import START, Position
from kindred.features.groups import ERASED, ITEM, ITEM_COUNTRY, PLACEMENT, USER, FoldConfig, user_key
from kindred.features.users import decode_user
from kindred.ingest.exposures import EXPOSURE
from kindred.ingest.folding import IngestStores, UserStage
from kindred.ingest.trends import TrendBoard
from kindred.ports.log import LogRecord
from kindred.ports.state import StateKey, StateView, StateWrite
from kindred.ports.telemetry import NoMeter

NOW = 1_700_000_000_000


class WatchedState(MemoryStateStore):
    """Counts the users of each read, and keeps the groups of each write in order."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.written: list[str] = []

    async def read(self, keys: Sequence[StateKey], partition: int = 0) -> StateView:
        self.sizes.append(len([key for key in keys if key.group == USER]))
        return await super().read(keys, partition)

    async def write(self, writes: Sequence[StateWrite], watermark: Position, standing: Position | None = None) -> int:
        self.written += [write.key.group for write in writes]
        return await super().write(writes, watermark, standing)


def stage(state: MemoryStateStore, folder: Path) -> UserStage:
    stores = IngestStores(
        MemoryEventLog(),
        state,
        MemoryInteractions(),
        MemoryCatalog(),
        MemoryProfiles(),
        folder / "lake",
        MemoryDeadLetters(),
    )
    return UserStage(stores, FoldConfig(), TrendBoard, FixedClock(NOW), NoMeter())


def did(number: int, kind: str = "view", **other: object) -> Interaction:
    return Interaction(
        event_id=f"e{number}",
        timestamp=NOW,
        ingested_at=NOW,
        user_id=f"u{number}",
        item_id="i",
        event_type=kind,
        **other,
    )


async def test_a_batch_of_many_users_is_read_in_pieces(tmp_path: Path) -> None:
    """Reads run in the event loop, so none of them may take a whole batch; every user is folded all the same."""
    state = WatchedState()
    records = [LogRecord(Position(0, 0, n), encode_event(did(n))) for n in range(700)]
    assert await stage(state, tmp_path).fold(records, START) == Position(0, 0, 699)
    assert max(state.sizes) <= 256
    stored = (await state.read([user_key(f"u{n}") for n in range(700)])).records
    folded = [decode_user(record.value) for record in stored if record is not None]
    assert [user and user.interactions for user in folded] == [1] * 700


async def test_users_are_written_behind_everything_else(tmp_path: Path) -> None:
    """Whoever reads a user's new record finds what else came of its events."""
    state = WatchedState()
    place = EventContext(placement="home", location="DE")
    events = [
        did(1, context=place),
        did(2, "impression", context=place),
        ProfileErased(event_id="x", timestamp=NOW, ingested_at=NOW, user_id="u3"),
    ]
    records = [LogRecord(Position(0, 0, n), encode_event(event)) for n, event in enumerate(events)]
    await stage(state, tmp_path).fold(records, START)
    groups = [group for group in state.written if group != "trending@1"]
    assert set(groups) == {ITEM, ITEM_COUNTRY, PLACEMENT, EXPOSURE, ERASED, USER}
    assert groups.index(USER) == len(groups) - groups.count(USER)


async def test_what_stands_before_an_erasure_is_never_folded_again(tmp_path: Path) -> None:
    """The record is gone, but not the position up to which its user is forgotten."""
    state = WatchedState()
    erased = ProfileErased(event_id="x", timestamp=NOW, ingested_at=NOW, user_id="u1")
    events = [did(1), erased, msgspec.structs.replace(did(1), event_id="later")]
    records = [LogRecord(Position(0, 0, n), encode_event(event)) for n, event in enumerate(events)]
    folding = stage(state, tmp_path)
    history = folding._stores.interactions
    await folding.fold(records[:1], START)
    assert len(await history.by_user("u1", 10)) == 1
    await folding.fold(records[1:2], Position(0, 0, 0))
    for replayed in (records[:1], records[:2]):
        await folding.fold(replayed, Position(0, 0, 1))
        assert await history.by_user("u1", 10) == []
    await folding.fold(records[2:], Position(0, 0, 1))
    assert len(await history.by_user("u1", 10)) == 1
