"""Text feed: keeps the text index of this machine current with the catalogue."""

import asyncio
import logging
import time
from collections.abc import Sequence

from kindred.core.errors import KindredError
from kindred.core.item import CatalogItem
from kindred.ports.catalog import CatalogStore
from kindred.ports.telemetry import Meter
from kindred.ports.text import TextDocument, TextIndex, TextMark

PAGE = 1_000
COMMIT_EVERY = 50_000
"""Changes after which they can be searched while many more wait; every commit costs a sync and a file to merge."""
PERIOD = 0.2

_logger = logging.getLogger(__name__)


class TextFeed:
    """Writes the index where no other process of the machine does, and reads what that one wrote where one does."""

    def __init__(self, catalog: CatalogStore, text: TextIndex, meter: Meter) -> None:
        """Follow `catalog`."""
        self._catalog = catalog
        self._text = text
        self._meter = meter
        self._mark: TextMark | None = None
        self.trouble: str | None = None

    async def run(self, patience: float = 0.0) -> None:
        """Step until cancelled, for the first `patience` seconds without trying to write.

        Whatever fails is tried again and noted in `trouble`.
        """
        first = time.monotonic() + patience
        while True:
            try:
                await self.step(write=time.monotonic() >= first)
                self.trouble = None
            except Exception as error:
                # What stopped here would leave searches without whatever comes into the catalogue.
                self._mark = None
                trouble = error.detail if isinstance(error, KindredError) else f"{type(error).__name__}: {error}"
                if trouble != self.trouble:
                    _logger.warning("the text index does not follow the catalogue: %s", trouble, exc_info=error)
                self.trouble = trouble
                self._meter.count("text_feed_failures")
            await asyncio.sleep(PERIOD)

    async def step(self, write: bool = True) -> None:
        """Take over what has changed: from the catalogue where this process writes, else from the one that does."""
        if not (write and await self._text.claim()):
            self._mark = None
            await self._text.refresh()
            return
        mark = await self._text.mark()
        if self._mark is None and not await self._continues(mark):
            await self._text.clear()
            mark = TextMark()
        self._mark = mark
        await self._follow(mark)

    async def _continues(self, mark: TextMark) -> bool:
        """Say whether the catalogue still holds the change that the mark names: not if it was restored from before."""
        if not mark.seq:
            return True
        (item,) = await self._catalog.by_ordinals([mark.ordinal])
        return item is not None and item.seq >= mark.seq

    async def _follow(self, mark: TextMark) -> None:
        waiting = 0
        while changes := await self._catalog.changes_since(mark.seq, PAGE):
            await self._take(changes)
            mark = TextMark(seq=changes[-1].seq, ordinal=changes[-1].ordinal)
            waiting += len(changes)
            if waiting >= COMMIT_EVERY:
                await self._text.commit(mark)
                waiting = 0
        if waiting:
            await self._text.commit(mark)

    async def _take(self, changes: Sequence[CatalogItem]) -> None:
        shown = [change for change in changes if change.listed and change.item.active]
        gone = [change.ordinal for change in changes if not (change.listed and change.item.active)]
        await self._text.put([text_document(change) for change in shown], gone)


def text_document(change: CatalogItem) -> TextDocument:
    """Return what can be searched of an item; its id stands for the title where it has none, as it does in answers."""
    item = change.item
    creator = [item.creator] if item.creator else []
    names = dict.fromkeys([*item.categories, *item.tags, *creator])
    return TextDocument(
        ordinal=change.ordinal, title=item.title or item.item_id, names=tuple(names), description=item.description
    )
