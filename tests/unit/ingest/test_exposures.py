"""What is known of placements is read once, kept for the next batches, and never without bound."""

from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.event import EventContext, Interaction, Served
from kindred.core.position import Position
from kindred.features.groups import FoldConfig
from kindred.ingest.exposures import Exposures, load_exposures

STAMP = {"event_id": "e", "timestamp": 5, "ingested_at": 7}


class CountingState(MemoryStateStore):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def read(self, keys, partition=0):
        self.asked += [key.key for key in keys]
        return await super().read(keys, partition)


def impression(placement):
    context = EventContext(placement=placement)
    return Interaction(**STAMP, user_id="u", item_id="i", event_type="impression", context=context)


def slate(placement):
    return Served(
        **STAMP, user_id="u", request_id="r", placement=placement, bundle="b", items=["i"], propensities=[], sources=[]
    )


def view(placement):
    context = EventContext(placement=placement)
    return Interaction(**STAMP, user_id="u", item_id="i", event_type="view", context=context)


def numbered(*events):
    return [(Position(0, 3, n), event) for n, event in enumerate(events)]


async def test_only_named_placements_are_read_and_only_once():
    """Impressions and slates name them; other events say where they happened, which is of no account here."""
    state, cache = CountingState(), {}
    people = numbered(impression("home"), slate("cart"), view("elsewhere"), impression(None))
    for _ in range(2):
        await load_exposures(people, 3, state, cache, FoldConfig())
    assert state.asked == ["cart/3", "home/3"]
    assert cache == {"home": None, "cart": None}


async def test_names_that_are_not_configured_are_not_looked_up():
    """Whatever clients call their surfaces, there are as many records as configured ones."""
    state, cache = CountingState(), {}
    people = numbered(impression("home"), impression("made up"), slate("cart"))
    await load_exposures(people, 3, state, cache, FoldConfig(placements=("home",)))
    assert state.asked == ["cart/3", "home/3"]


async def test_a_switch_is_found_again_by_the_next_owner_of_its_partition():
    """And by nobody else: each partition of users switches by itself."""
    state = CountingState()
    made = Exposures({}, ())
    made.told("home", Position(0, 3, 4))
    made.told("home", Position(0, 3, 5))
    await state.write(made.writes(3), Position(0, 3, 9))
    found = await load_exposures(numbered(slate("home")), 3, state, {}, FoldConfig())
    assert found.since == {"home": Position(0, 3, 4)}
    assert found.by_server("home", Position(0, 3, 3))
    assert not found.by_server("home", Position(0, 3, 8))
    other = await load_exposures(numbered(slate("home")), 2, state, {}, FoldConfig())
    assert other.by_server("home", Position(0, 2, 8))


async def test_made_up_placements_do_not_fill_the_memory():
    """Clients name them as they like."""
    state, cache = CountingState(), {}
    for start in range(0, 40_000, 1_000):
        await load_exposures(
            numbered(*(impression(f"p{n}") for n in range(start, start + 1_000))), 0, state, cache, FoldConfig()
        )
    assert len(cache) <= 11_000
