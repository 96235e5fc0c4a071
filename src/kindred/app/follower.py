"""Follower: keeps a server's tables current with the catalogue, the active bundle and the live trends."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from kindred.app.stores import Stores
from kindred.app.touching import touch
from kindred.app.trend_lists import TrendLists
from kindred.core.bundle import Manifest
from kindred.core.clock import Clock
from kindred.core.errors import BundleCorrupt, BundleError, KindredError, NoBundle, NotFound, StoreFull
from kindred.core.item import CatalogItem
from kindred.models.arrays import rows_at
from kindred.models.layers import Layers
from kindred.models.preference import PreferenceConfig
from kindred.ports.telemetry import Meter
from kindred.recommend.cards import WARM
from kindred.recommend.config import RecommendConfig
from kindred.recommend.item_table import ITEMS, ItemTable
from kindred.recommend.item_text import item_text
from kindred.recommend.model_set import CONTENT, ModelSet, open_layers, open_models
from kindred.recommend.side import ContentSide
from kindred.recommend.world import World

PAGE = 2_000
PERIOD = 0.1
TRENDS_EVERY = 5
"""Steps from one look at the trends to the next: their lists are written once a second."""
REFUSED_AGAIN = 10.0
"""Seconds after which a refused bundle is looked at again: it may have been restored under its version."""
SLICE = 100
HALF_PRECISION = 2.0**-10
"""How far apart numbers lie in the precision that a bundle's content vectors are stored in, as a share of each."""
OLDER_SECONDS = 60.0
"""How long the world of another bundle is kept for the next question about it."""
TOUCH_AFTER = 1.0
"""Seconds after a swap when the memory of the new bundle is touched."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Older:
    """The world of another bundle, the change of the catalogue that it has come to, and what lets go of it in time."""

    world: World
    seq: int
    ending: asyncio.TimerHandle


class Follower:
    """Polls cheaply, ten times a second; swaps the world between requests, never under one."""

    def __init__(
        self, stores: Stores, clock: Clock, config: RecommendConfig, preference: PreferenceConfig, meter: Meter
    ) -> None:
        """Follow `stores`."""
        self._stores = stores
        self._config = config
        self._preference = preference
        self._meter = meter
        self._clock = clock
        self._table = ItemTable()
        self._opened = False
        self._trends = TrendLists(stores.state, clock)
        self._world: World | None = None
        self._refused: tuple[str, BundleError] | None = None
        self._refused_until = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._one_older = asyncio.Lock()
        self._older: _Older | None = None
        # A command that asks once reads little of what a server would have touched.
        self.touches = False
        self.trouble: str | None = None
        self.crowded: str | None = None

    @property
    def world(self) -> World:
        """Return the present world; before the first one raise NoBundle, or why the active bundle was refused."""
        if self._world is None:
            if self._refused is None:
                raise NoBundle
            error = self._refused[1]
            raise type(error)(error.detail)
        return self._world

    @property
    def has_world(self) -> bool:
        """Say whether any bundle was taken over."""
        return self._world is not None

    @property
    def table(self) -> ItemTable:
        """Return the live item table."""
        return self._table

    @property
    def refused(self) -> str | None:
        """Return why the active bundle could not be taken over, or None."""
        return self._refused[1].detail if self._refused else None

    async def step(self, trends: bool = True) -> None:
        """Take over what has changed since the last step; the lists of what trends only where `trends` says so."""
        async with self._one_at_a_time:
            if not self._opened:
                self._table = await self._open_table() or self._table
                self._opened = True
            await self._follow_catalogue()
            await self._follow_bundle()
            if trends:
                await self._trends.step()

    async def catch_up(self) -> None:
        """Take over what the catalogue holds now, for a caller that has just changed it."""
        async with self._one_at_a_time:
            await self._follow_catalogue()

    async def kept(self, version: str) -> World:
        """Return the world of another bundle over the live tables; the last one is kept for a minute behind its use.

        Raises NotFound where it is not kept, BundleError where it cannot be used, StoreFull where this server has no
        room for it.
        """
        async with self._one_older:
            # Also for one that is open: what was deleted since answers nothing any more.
            found, older = await open_layers(self._stores.models, version), self._older
            if older is not None and older.world.models.version == version:
                world, (seq, _) = older.world, await self._catch_up(older.world, older.seq)
            else:
                world, seq, _ = await self._over(*found)
                await asyncio.to_thread(world.newcomers.follow, world.new_until(self._clock.now()))
            if self._older is not None:
                self._older.ending.cancel()
            self._older = _Older(world, seq, asyncio.get_running_loop().call_later(OLDER_SECONDS, self._let_go))
            return world

    def _let_go(self) -> None:
        self._older = None

    async def run(self) -> None:
        """Step until cancelled; whatever fails is tried again and noted in `trouble`."""
        for number in count():
            try:
                await self.step(trends=number % TRENDS_EVERY == 0)
                self.trouble = None
            except Exception as error:
                # A follower that stopped would leave its server answering from an ever older catalogue.
                trouble = error.detail if isinstance(error, KindredError) else f"{type(error).__name__}: {error}"
                if trouble != self.trouble:
                    _logger.warning("the server cannot follow the stores: %s", trouble, exc_info=error)
                self.trouble = trouble
                self._meter.count("follower_failures")
            await asyncio.sleep(PERIOD)

    async def _open_table(self) -> ItemTable | None:
        """Map the catalogue as the active bundle saw it, so that the feed need only give what changed since.

        None where there is no such thing, and where the catalogue is older than the bundle: it was put back.
        """
        version = await self._stores.models.active()
        try:
            folder = None if version is None else (await open_layers(self._stores.models, version))[1].base / ITEMS
            if folder is None or not folder.is_dir():
                return None
            table = await asyncio.to_thread(ItemTable.open, folder)
        except (BundleError, NotFound) as error:
            _logger.warning("the catalogue is read anew, bundle %s cannot give it: %s", version, error.detail)
            return None
        (newest,) = await self._stores.catalog.by_ordinals([table.newest])
        return table if newest is not None and newest.seq >= table.seq else None

    async def _follow_catalogue(self) -> None:
        while True:
            changes = await self._stores.catalog.changes_since(self._table.seq, PAGE)
            if not changes:
                return
            for part in _slices(changes):
                self._table.apply(part)
                if self._world is not None:
                    self.crowded = _taken_over(self._world, part)
                await asyncio.sleep(0)
            # Each page at once: what has forgotten half of the changes would be made anew by a request.
            now = self._clock.now()
            self._table.available(now)
            if self._world is not None:
                self._world.newcomers.follow(self._world.new_until(now))
            if self._table.unsettled:
                await asyncio.to_thread(self._table.settle)

    async def _follow_bundle(self) -> None:
        version = await self._stores.models.active()
        current = None if self._world is None else self._world.models.version
        if version is not None and version == current:
            self._refused = None
        refused = self._refused is not None and self._refused[0] == version
        if version is None or version == current or (refused and time.monotonic() < self._refused_until):
            return
        try:
            self._world = await self._build(*await open_layers(self._stores.models, version))
            self._refused = None
            self._meter.count("bundle_swaps")
        except (BundleError, NotFound, StoreFull) as error:
            self._refused_until = time.monotonic() + REFUSED_AGAIN
            if not refused:
                _logger.warning("bundle %s is refused: %s", version, error.detail)
                self._meter.count("bundles_refused")
            self._refused = (version, error if isinstance(error, BundleError) else BundleCorrupt(error.detail))

    async def _build(self, manifest: Manifest, folder: Layers) -> World:
        world, _, trouble = await self._over(manifest, folder)
        if self._world is None:
            await asyncio.to_thread(self._table.available, self._clock.now())
        await asyncio.to_thread(world.newcomers.follow, world.new_until(self._clock.now()))
        await world.cards.of(world.models.popularity.top(WARM)[0].tolist())
        if self.touches:
            # Nobody waits for it: from a slow disk it takes a while, and what is not touched yet is only slower.
            # The memory of the bundle before it is given back by then.
            later = threading.Timer(0 if self._world is None else TOUCH_AFTER, touch, [self._stores.home])
            later.daemon = True
            later.start()
        self.crowded = trouble
        return world

    async def _over(self, manifest: Manifest, folder: Layers) -> tuple[World, int, str | None]:
        """Map a bundle, and return it when it has caught up with the catalogue, with what `_catch_up` returned."""
        models = await asyncio.to_thread(open_models, manifest, folder, self._stores.vectors)
        world = World(
            models=models,
            table=self._table,
            side=ContentSide(models.content.dimensions),
            trends=self._trends.board,
            state=self._stores.state,
            catalog=self._stores.catalog,
            config=self._config,
            preference=self._preference,
            partition_of=self._stores.log.partition_of,
        )
        return world, *await self._catch_up(world, manifest.window.catalogue_seq)

    async def _catch_up(self, world: World, seq: int) -> tuple[int, str | None]:
        """Have a world take over all changes since one; return the last of them, and what it had no room for."""
        trouble = None
        while changes := await self._stores.catalog.changes_since(seq, PAGE):
            for part in _slices(changes):
                trouble = _taken_over(world, part) or trouble
                await asyncio.sleep(0)
            seq = changes[-1].seq
        return seq, trouble


def _taken_over(world: World, changes: Sequence[CatalogItem]) -> str | None:
    """Have a world take over what its content model says of changed items; return what it has no room for."""
    world.cards.forget(change.ordinal for change in changes)
    try:
        encode_changes(world.models, world.side, changes)
    except StoreFull as error:
        # Those items can still be found as new, popular or trending; only content cannot propose them.
        return error.detail
    return None


def _slices(changes: Sequence[CatalogItem]) -> Iterator[Sequence[CatalogItem]]:
    """Cut a page so that no request waits long for the event loop."""
    return (changes[start : start + SLICE] for start in range(0, len(changes), SLICE))


def encode_changes(models: ModelSet, side: ContentSide, changes: Sequence[CatalogItem]) -> None:
    """Give items with another text a content vector at once.

    It is a pure function of the bundle and the text, so all servers agree. What has the vector that the bundle holds of
    it, and had no other since, bears the same text: its list stays true, and takes no room.
    """
    latest = {change.ordinal: change for change in changes if change.listed}
    if not latest:
        return
    ordinals = np.array(sorted(latest), np.int32)
    vectors = np.stack([models.content.encode(item_text(latest[o].item)) for o in ordinals.tolist()])
    stored = rows_at(models.content.item_vectors, ordinals)
    differs = ~np.isclose(vectors, stored, rtol=HALF_PRECISION, atol=1e-6).all(axis=1) | side.holds(ordinals)
    ordinals, vectors = ordinals[differs], vectors[differs]
    if not len(ordinals):
        return
    # The index first: what it has no room for must not make the side grow either.
    models.indexes[CONTENT].upsert(ordinals, vectors)
    side.put(ordinals, vectors)
