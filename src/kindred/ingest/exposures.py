"""Who tells what was shown at a placement: the server that answered, until a first client does."""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence

from kindred.core.errors import InvalidInput
from kindred.core.event import Anonymous, Interaction, Served
from kindred.core.position import Position
from kindred.features.groups import FoldConfig
from kindred.ingest.plan import PersonEvent
from kindred.ports.state import StateKey, StateRecord, StateStore, StateWrite

EXPOSURE = "exposure@1"

_CACHED = 10_000


class Exposures:
    """Since when clients tell for each placement, as far as one batch of one partition knows.

    The switch stands in the state at the position of the impression that made it, so that a replay makes it again.
    """

    def __init__(self, since: Mapping[str, Position], clients: Iterable[str]) -> None:
        """Start from what the state holds (`since`); at the placements `clients` only clients ever tell."""
        self.since = dict(since)
        self.new: dict[str, Position] = {}
        self._clients = frozenset(clients)

    def told(self, placement: str, position: Position) -> None:
        """Note that a client told what a placement showed; the first time counts."""
        if placement and (placement not in self.since or position < self.since[placement]):
            self.since[placement] = self.new[placement] = position

    def by_server(self, placement: str, position: Position) -> bool:
        """Say whether a slate at `position` counts as shown."""
        if placement in self._clients:
            return False
        since = self.since.get(placement)
        return since is None or position < since

    def writes(self, partition: int) -> list[StateWrite]:
        """Return the records of the switches that this batch made."""
        return [
            StateWrite(_key(placement, partition), StateRecord(position, str(position).encode()))
            for placement, position in self.new.items()
        ]


async def load_exposures(
    people: Sequence[tuple[Position, PersonEvent | Anonymous]],
    partition: int,
    state: StateStore,
    cache: MutableMapping[str, Position | None],
    config: FoldConfig,
) -> Exposures:
    """Return what is known of the placements that a batch names; `cache` keeps it for the next batches."""
    if len(cache) > _CACHED:
        # Where no placements are configured, clients name them as they like.
        cache.clear()
    named = {
        placement
        for _, event in people
        for placement in (_placement(event, config),)
        if placement and placement not in cache
    }
    if named:
        wanted = sorted(named)
        view = await state.read([_key(placement, partition) for placement in wanted], partition)
        for placement, stored in zip(wanted, view.records, strict=True):
            cache[placement] = None if stored is None else _position(stored.value)
    return Exposures({name: since for name, since in cache.items() if since is not None}, config.client_placements)


def _placement(event: PersonEvent | Anonymous, config: FoldConfig) -> str | None:
    if isinstance(event, Anonymous):
        return event.told
    if isinstance(event, Served):
        return event.placement
    if isinstance(event, Interaction) and event.event_type in config.impressions:
        return config.placement(event.context.placement)
    return None


def _key(placement: str, partition: int) -> StateKey:
    return StateKey(EXPOSURE, f"{placement}/{partition}")


def _position(value: bytes) -> Position:
    try:
        return Position.parse(value.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput("a record of exposures is no position") from error
