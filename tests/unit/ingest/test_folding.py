"""How a batch is folded beside the requests of the same process."""

from collections.abc import Sequence
from pathlib import Path

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.dead_letters import MemoryDeadLetters
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import FixedClock
from kindred.core.event import Interaction, encode_event
from kindred.core.position import Position
from kindred.features.groups import FoldConfig, user_key
from kindred.features.users import decode_user
from kindred.ingest.folding import Folder, IngestStores
from kindred.ingest.trends import TrendBoard
from kindred.ports.log import LogRecord
from kindred.ports.state import StateKey, StateView
from kindred.ports.telemetry import NoMeter

NOW = 1_700_000_000_000


class CountingState(MemoryStateStore):
    """Remembers how many records each read asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def read(self, keys: Sequence[StateKey], partition: int = 0) -> StateView:
        self.sizes.append(len([key for key in keys if key.group == "user@1"]))
        return await super().read(keys, partition)


async def test_a_batch_of_many_users_is_read_in_pieces(tmp_path: Path) -> None:
    """Reads run in the event loop, so none of them may take a whole batch; every user is folded all the same."""
    state = CountingState()
    stores = IngestStores(
        MemoryEventLog(),
        state,
        MemoryInteractions(),
        MemoryCatalog(),
        MemoryProfiles(),
        tmp_path / "lake",
        MemoryDeadLetters(),
    )
    folder = Folder(stores, FoldConfig(), TrendBoard(), FixedClock(NOW), NoMeter(), "consumer")
    events = [
        Interaction(event_id=f"e{n}", timestamp=NOW, ingested_at=NOW, user_id=f"u{n}", item_id="i", event_type="view")
        for n in range(700)
    ]
    records = [LogRecord(Position(0, 0, n), encode_event(event)) for n, event in enumerate(events)]
    assert await folder.fold(records) == Position(0, 0, 699)
    assert max(state.sizes) <= 32
    stored = (await state.read([user_key(f"u{n}") for n in range(700)])).records
    folded = [decode_user(record.value) for record in stored if record is not None]
    assert [user and user.interactions for user in folded] == [1] * 700
