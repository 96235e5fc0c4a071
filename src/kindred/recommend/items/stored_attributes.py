"""Columns of attributes as a bundle holds them: mapped when first asked for, instead of read from the catalogue."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from kindred.core.errors import BundleCorrupt
from kindred.models.arrays import load_json, save_json
from kindred.recommend.items.attribute_column import Column, Kinds
from kindred.recommend.items.values import Parts

MOST_STORED = 32
"""Attributes that a bundle holds columns of: those that are met first."""
MOST_WORDS = 100_000
"""Different values of a stored column; those of one that has more are read from the catalogue when it is asked for."""

_INDEX = "index"


class _Named(msgspec.Struct, frozen=True):
    """What an attribute holds, and the number of its folder, None where it is not stored."""

    parts: tuple[str, ...]
    kinds: int
    number: int | None = None


class _Index(msgspec.Struct, frozen=True):
    """All attributes of the items [0, size), as of a place in the catalogue's feed."""

    seq: int
    size: int
    names: list[_Named]


class StoredAttributes:
    """The columns in a folder, and all names that items had when it was written."""

    def __init__(self, folder: Path, index: _Index) -> None:
        """Know what is in `folder`."""
        self._folder, self.seq, self._size = folder, index.seq, index.size
        self.kinds: dict[Parts, Kinds] = {each.parts: Kinds(each.kinds) for each in index.names}
        self._numbers = {each.parts: each.number for each in index.names if each.number is not None}

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """Read what a folder holds; None where there is none. Raises BundleCorrupt."""
        return cls(folder, load_json(folder, _INDEX, _Index)) if folder.is_dir() else None

    def columns(self, names: Sequence[Parts]) -> dict[Parts, Column] | None:
        """Return columns as they stood at `seq`; None where one of them has to be read from the catalogue."""
        if any(parts in self.kinds and parts not in self._numbers for parts in names):
            return None
        found = {}
        try:
            for parts in names:
                number = self._numbers.get(parts)
                found[parts] = Column.open(None if number is None else self._folder / str(number), self._size)
        except BundleCorrupt:
            # The bundle that was mapped at the start may have been deleted since.
            return None
        return found


def store_attributes(
    folder: Path, columns: Mapping[Parts, Column], kinds: Mapping[Parts, Kinds], seq: int, size: int
) -> None:
    """Write columns over the items [0, size), and the names of all attributes, as of `seq`."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {parts: number for number, parts in enumerate(columns)}
    for parts, number in numbers.items():
        columns[parts].save(folder / str(number), size)
    names = [_Named(parts, kind.value, numbers.get(parts)) for parts, kind in kinds.items()]
    save_json(folder, _INDEX, _Index(seq, size, names))
