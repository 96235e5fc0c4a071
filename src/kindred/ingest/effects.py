"""What a batch does besides folding: catalogue, profiles and history, all of it safe to do twice."""

from collections.abc import Iterable, Mapping, Sequence

import xxhash

from kindred.core.event import ProfileErased, ProfileUpdated
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.groups import Act, FoldConfig
from kindred.features.users import UserFold
from kindred.ingest.plan import Plan
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionRow, InteractionStore

_CACHED = 500_000


class Ordinals:
    """Item ids to ordinals; these are permanent, so what was looked up once is kept."""

    def __init__(self, catalog: CatalogStore) -> None:
        """Ask `catalog`, and reserve there what it does not know."""
        self._catalog = catalog
        self._known: dict[str, int] = {}

    async def of(self, item_ids: Iterable[str], now: int) -> Mapping[str, int]:
        """Return the ordinal of each id."""
        wanted = list(dict.fromkeys(item_ids))
        missing = [item_id for item_id in wanted if item_id not in self._known]
        if missing:
            if len(self._known) > _CACHED:
                self._known.clear()
                missing = wanted
            resolved = await self._catalog.resolve(missing, now)
            self._known.update(zip(missing, resolved, strict=True))
        return self._known


async def write_catalogue(made: Plan, catalog: CatalogStore, watermark: Position, now: int) -> None:
    """Bring the catalogue to the last word on each item, but for words that it has heard before (`watermark`)."""
    fresh = [(item_id, item) for item_id, (position, item) in made.items.items() if position > watermark]
    upserts = [item for _, item in fresh if item is not None]
    deletions = [item_id for item_id, item in fresh if item is None]
    if upserts:
        await catalog.upsert(upserts, now)
    if deletions:
        await catalog.delete(deletions, now)


async def write_profiles(made: Plan, profiles: ProfileStore, watermark: Position) -> None:
    """Bring the profiles to the last word on each user, but for words that they have heard before."""
    last: dict[str, Profile | None] = {}
    for position, event in made.people:
        if position > watermark:
            match event:
                case ProfileUpdated():
                    last[event.profile.user_id] = event.profile
                case ProfileErased():
                    last[event.user_id] = None
    upserts = [profile for profile in last.values() if profile is not None]
    if upserts:
        await profiles.upsert(upserts)
    deletions = [user_id for user_id, profile in last.items() if profile is None]
    if deletions:
        await profiles.delete(deletions)


async def write_history(
    folds: Sequence[tuple[str, UserFold]], made: Plan, history: InteractionStore, config: FoldConfig
) -> None:
    """Forget who asked to be forgotten, then add the interactions that followed, and everyone else's."""
    event_ids = {position: event.event_id for position, event in made.interactions}
    for user_id, fold in folds:
        if fold.erased is not None:
            await history.forget(user_id)
    rows = [
        InteractionRow(
            row_id(event_ids[act.position], act), user_id, act.item, act.event_type, act.timestamp, act.value
        )
        for user_id, fold in folds
        for act in fold.stored
        if act.item >= 0 and act.event_type not in config.passing
    ]
    if rows:
        await history.add(rows, made.end)


def row_id(event_id: str, act: Act) -> bytes:
    """Return the 16 bytes that make adding an event to history twice a no-op."""
    return xxhash.xxh3_128_digest(f"{event_id}\x1f{act.position}".encode())
