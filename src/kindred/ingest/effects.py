"""What a batch does to catalogue and profiles, all of it safe to do twice; and the ordinals of its items."""

import contextlib
from collections.abc import Mapping, Sequence

import msgspec

from kindred.core.errors import KindredError
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.changes import ProfileChange, Rekeyed
from kindred.features.user_fold import Person, UserFold
from kindred.ingest.plan import Plan
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.operations import Cache, reserves_key

_CACHED = 500_000


class Ordinals:
    """Item ids to ordinals; these are permanent, so what was looked up once is kept."""

    def __init__(self, catalog: CatalogStore) -> None:
        """Ask `catalog`, and reserve there what it does not know."""
        self._catalog = catalog
        self._known: dict[str, int] = {}

    async def of(self, item_ids: Sequence[str], now: int) -> Mapping[str, int]:
        """Return the ordinal of each id, and of others."""
        wanted = set(item_ids)
        missing = [item_id for item_id in wanted if item_id not in self._known]
        if missing:
            if len(self._known) > _CACHED:
                self._known.clear()
            # In order, so that the same events reserve the same ordinals in every run.
            missing = list(dict.fromkeys(item_id for item_id in item_ids if item_id not in self._known))
            resolved = await self._catalog.resolve(missing, now)
            self._known.update(zip(missing, resolved, strict=True))
        return self._known


async def write_catalogue(made: Plan, catalog: CatalogStore, watermark: Position, now: int) -> None:
    """Bring the catalogue to the last word on each item, but for words that it has heard before (`watermark`)."""
    fresh = [(item_id, item) for item_id, (position, item) in made.items.items() if position > watermark]
    upserts = [item for _, item in fresh if item is not None]
    off = [item_id for item_id, position in made.switched_off.items() if position > watermark]
    if off:
        known = [each.item for each in await catalog.get(off) if each is not None and each.listed]
        upserts += [msgspec.structs.replace(item, active=False) for item in known if item.active]
    deletions = [item_id for item_id, item in fresh if item is None]
    if upserts:
        await catalog.upsert(upserts, now)
    if deletions:
        await catalog.delete(deletions, now)


async def write_profiles(folds: Sequence[tuple[Person, UserFold]], end: Position, profiles: ProfileStore) -> None:
    """Bring the profiles to the last word that took effect on each user, up to `end`.

    What is said of a merged user goes on to the known one, who also has what a handed-over record brought.
    """
    upserts: list[Profile] = []
    deletions: list[str] = []
    for person, fold in folds:
        since = person.folded if fold.erased is None else fold.erased
        passed = {out.position for out in fold.outgoing if isinstance(out, Rekeyed)}
        said = [
            each.profile
            for each in person.changes
            if isinstance(each, ProfileChange) and each.position > since and each.position not in passed
        ]
        if fold.absorbed and fold.record is not None and fold.record.profile is not None:
            said.append(fold.record.profile)
        if said:
            upserts.append(said[-1])
        elif fold.erased is not None:
            deletions.append(person.user_id)
    if upserts:
        await profiles.upsert(upserts, end)
    if deletions:
        await profiles.delete(deletions, end)


async def drop_reserves(folds: Sequence[tuple[Person, UserFold]], cache: Cache | None) -> None:
    """Drop what was ranked for users who are forgotten, or who turned out to be another.

    A cache that fails keeps it until its time is over; nothing is answered from it, for the user's record is gone.
    """
    gone = [
        person.user_id
        for person, fold in folds
        if fold.erased is not None or (fold.record is not None and fold.record.alias is not None)
    ]
    if cache is not None and gone:
        with contextlib.suppress(KindredError):
            await cache.delete([reserves_key(user_id) for user_id in gone])
