"""The attributes of all items: which there are, and their columns, read from the catalogue when first asked for."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from kindred.core.errors import Overloaded
from kindred.core.item import Item
from kindred.ports.catalog import CatalogStore
from kindred.recommend.items.attribute_column import Column, Kinds
from kindred.recommend.items.stored_attributes import (
    MOST_STORED,
    MOST_WORDS,
    StoredAttributes,
    store_attributes,
)
from kindred.recommend.items.values import ATTRIBUTES, Parts

BUDGET = 512 << 20
"""Bytes that columns may take; the longest unused is dropped first."""
MAX_NAMES = 10_000
"""Names of attributes that are known: a catalogue that makes up more of them can be filtered by the first."""
WAIT = 5.0
"""Seconds that a request waits for a column that is being read."""

_PAGE = 2_000
_FIELDS: dict[Parts, Kinds] = {("creator",): Kinds.TEXT, ("title",): Kinds.TEXT}
_KINDS = {str: Kinds.TEXT, bool: Kinds.BOOL, int: Kinds.NUMBER, float: Kinds.NUMBER, list: Kinds.LIST}


class Schema:
    """Which attributes items have, and of which kinds their values are."""

    def __init__(self) -> None:
        """Start with none."""
        self.kinds = dict(_FIELDS)
        self._seen: set[tuple[Parts, type]] = set()

    def learn(self, items: Iterable[Item]) -> None:
        """Take note of what some items have."""
        for item in items:
            for parts, kind in _described(item.attributes, (ATTRIBUTES,)):
                if (parts, kind) in self._seen or (parts not in self.kinds and len(self.kinds) >= MAX_NAMES):
                    continue
                self._seen.add((parts, kind))
                self.kinds[parts] = self.kinds.get(parts, Kinds.NOTHING) | _KINDS[kind]


class Attributes:
    """Columns of what items hold beside the item table's own columns, current with every change that is applied."""

    def __init__(self, budget: int = BUDGET) -> None:
        """Start with nothing read; columns may take `budget` bytes together."""
        self._budget = budget
        self._schema: Schema | None = None
        self._columns: dict[Parts, Column] = {}
        self._too_large: set[Parts] = set()
        # Bytes that columns took when they were last counted, also of those that were dropped.
        self._sizes: dict[Parts, int] = {}
        self._reading: asyncio.Task[None] | None = None
        self._stored: StoredAttributes | None = None
        self._keeps_all = False

    @classmethod
    def to_store(cls) -> Self:
        """Return what keeps a column of each attribute from its first item on, to be saved."""
        attributes = cls()
        attributes._schema, attributes._keeps_all = Schema(), True
        return attributes

    def save(self, folder: Path, seq: int, size: int) -> None:
        """Write all columns that are kept, over the items [0, size) as of `seq`; nothing if not made `to_store`."""
        if self._keeps_all:
            store_attributes(folder, self._columns, self.known, seq, size)

    @classmethod
    def open(cls, folder: Path, budget: int = BUDGET) -> Self:
        """Return attributes whose columns are mapped from `folder` when they are asked for; raise BundleCorrupt."""
        attributes = cls(budget)
        attributes._stored = StoredAttributes.open(folder)
        return attributes

    @property
    def known(self) -> Mapping[Parts, Kinds]:
        """Return what each attribute holds; before the first one was asked for only what every catalogue may have."""
        return _FIELDS if self._schema is None else self._schema.kinds

    def column(self, parts: Parts) -> Column:
        """Return an attribute's column; raise KeyError where it was not read, or was dropped since."""
        found = self._columns[parts] = self._columns.pop(parts)
        return found

    def is_too_large(self, parts: Parts) -> bool:
        """Say whether an attribute has more distinct values than there is room for."""
        return parts in self._too_large

    def apply(self, latest: Mapping[int, Item]) -> None:
        """Take over items that changed, by ordinal."""
        if self._schema is not None:
            before = len(self.known)
            self._schema.learn(latest.values())
            if self._keeps_all:
                self._add_columns(list(self.known)[before:])
            for parts, column in self._columns.items():
                _put(column, parts, latest)
            if not self._keeps_all:
                self._fit()

    async def read(self, names: Iterable[Parts], catalog: CatalogStore, seq: Callable[[], int]) -> bool:
        """Have the columns of those attributes that some item has; `seq()`: how far changes were applied.

        Return False where they take more room together than there is. Raises Overloaded where it takes longer than a
        request may wait; it goes on, for those that come later.
        """
        wanted = list(names)
        try:
            async with asyncio.timeout(WAIT):
                while missing := [parts for parts in wanted if self._is_missing(parts)]:
                    if sum(self._sizes.get(parts, 0) for parts in wanted) > self._budget:
                        return False
                    if self._reading is None:
                        self._reading = asyncio.create_task(self._read(missing, wanted, catalog, seq))
                        self._reading.add_done_callback(self._ended)
                    await asyncio.shield(self._reading)
        except TimeoutError as error:
            raise Overloaded("an attribute is being read for the first time: ask again", int(WAIT)) from error
        return True

    def _is_missing(self, parts: Parts) -> bool:
        if parts in self._columns or parts in self._too_large:
            return False
        return self._schema is None or parts in self.known

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        # Where all who waited have given up, nobody is left to hear of a failure.
        if not task.cancelled():
            task.exception()

    async def _read(
        self, names: Sequence[Parts], wanted: Sequence[Parts], catalog: CatalogStore, seq: Callable[[], int]
    ) -> None:
        """Read columns that are missing of those wanted together."""
        schema = Schema() if self._schema is None else None
        stored = None if self._stored is None else await asyncio.to_thread(self._stored.columns, names)
        if stored is not None and self._stored is not None:
            columns, at = stored, self._stored.seq
        else:
            columns, at = {parts: Column() for parts in names}, 0
        if schema is not None and self._stored is not None:
            schema.kinds |= self._stored.kinds
        met_end = False
        # The table may take over a change while this waits to hear that there is none: then once more.
        while not met_end or at < seq():
            changes = await catalog.changes_since(at, _PAGE)
            if not changes and met_end:
                break
            met_end = not changes
            if changes:
                at = changes[-1].seq
                await asyncio.to_thread(self._take, schema, columns, {each.ordinal: each.item for each in changes})
                self._sizes |= {parts: column.nbytes for parts, column in columns.items()}
                if sum(self._sizes[parts] for parts in columns) > self._budget:
                    return
        self._admit(schema or self._schema, columns, wanted)

    def _add_columns(self, met: Sequence[Parts]) -> None:
        """Begin columns of attributes met for the first time, and end those of too many different values.

        A later beginning would leave out all items before: whoever asks for such a column reads the catalogue.
        """
        for parts in [parts for parts, column in self._columns.items() if column.distinct > MOST_WORDS]:
            del self._columns[parts]
            self._too_large.add(parts)
        for parts in met[: MOST_STORED - len(self._columns)]:
            self._columns[parts] = Column()

    def _take(self, schema: Schema | None, columns: dict[Parts, Column], items: Mapping[int, Item]) -> None:
        if schema is not None:
            schema.learn(items.values())
        for parts, column in list(columns.items()):
            _put(column, parts, items)
            if column.nbytes > self._budget:
                self._too_large.add(parts)
                del columns[parts]

    def _admit(self, schema: Schema | None, columns: Mapping[Parts, Column], wanted: Sequence[Parts]) -> None:
        """Keep columns, and drop others for them."""
        self._schema = schema
        self._columns.update({parts: column for parts, column in columns.items() if parts in self.known})
        self._fit(wanted)

    def _fit(self, wanted: Sequence[Parts] = ()) -> None:
        """Drop what has no room: the longest unused first, of those wanted together what has none beside the rest."""
        sizes = {parts: column.nbytes for parts, column in self._columns.items()}
        self._sizes |= sizes
        taken = sum(sizes.values())
        for parts in sorted(self._columns, key=lambda each: each in wanted):
            if taken > self._budget:
                taken -= sizes[parts]
                del self._columns[parts]


def _described(attributes: Mapping[str, Any], above: Parts) -> Iterator[tuple[Parts, type]]:
    for name, value in attributes.items():
        kind = type(value)
        if kind is dict:
            yield from _described(value, (*above, name))
        elif kind in _KINDS:
            yield (*above, name), kind


def _put(column: Column, parts: Parts, items: Mapping[int, Item]) -> None:
    first, *path = parts
    if first == ATTRIBUTES:
        values = [_at(item.attributes, path) for item in items.values()]
    else:
        values = [getattr(item, first) or None for item in items.values()]
    column.put(list(items), values)
    if column.unsettled:
        column.settle()


def _at(attributes: Any, path: Sequence[str]) -> Any:
    for part in path:
        if type(attributes) is not dict:
            return None
        attributes = attributes.get(part)
    return attributes
