"""Columns of the item table: mapped from a snapshot, or in memory, written over where items changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.core.errors import BundleCorrupt
from kindred.core.item import CatalogItem
from kindred.core.rng import seed_of
from kindred.models.arrays import save_array

NEVER = np.iinfo(np.int64).max
_FIRST = 1024
_KINDS: dict[str, tuple[type, object]] = {
    "listed": (np.bool_, False),
    "available_from": (np.int64, 0),
    "available_until": (np.int64, NEVER),
    "stock": (np.int32, -1),
    "rating": (np.float32, np.nan),
    "created": (np.int64, 0),
    "updated": (np.int64, 0),
    "limited": (np.bool_, False),
    "price": (np.float32, np.nan),
    "creator": (np.int32, -1),
    "primary": (np.int32, -1),
    "secondary": (np.int32, -1),
}


class Columns:
    """Arrays over ordinals [0, size), by name.

    `listed bool`; `available_from`, `available_until`, `created`, `updated` int64 ms; `stock int32` (-1 = not counted);
    `rating`, `price` float32 (NaN = none); `limited bool`: shown in some countries only; `creator int32`: a number for
    each name (-1 = none); `primary`, `secondary` int32 codes of the first and the second category (-1 = none).
    """

    def __init__(self) -> None:
        """Start empty."""
        self.size = 0
        self._arrays: dict[str, NDArray[Any]] = {name: np.empty(_FIRST, kind) for name, (kind, _) in _KINDS.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column (size,)."""
        return self._arrays[name][: self.size]

    def grow(self, size: int) -> None:
        """Cover [0, size), what is new with nothing known of it."""
        if size <= self.size:
            return
        before, self.size = self.size, size
        for name, (kind, blank) in _KINDS.items():
            array = self._arrays[name]
            if size > len(array):
                array = np.empty(max(size, 2 * before), kind)
                array[:before] = self._arrays[name][:before]
                self._arrays[name] = array
            array[before:size] = blank

    def write(self, ordinals: Ordinals, changes: Sequence[CatalogItem], primary: Ordinals, secondary: Ordinals) -> None:
        """Write what changed (m,), at distinct ordinals below `size`, with the codes of their categories."""
        for name, values in {**_values(changes), "primary": primary, "secondary": secondary}.items():
            array = self._arrays[name]
            wanted = np.asarray(values, array.dtype)
            # A page that nothing is written to stays shared with the file.
            moved = _comparable(array[ordinals]) != _comparable(wanted)
            array[ordinals[moved]] = wanted[moved]

    def save(self, folder: Path) -> None:
        """Write all columns, with room for later items behind each."""
        for name in _KINDS:
            save_array(folder, name, self[name], room=True)

    @classmethod
    def open(cls, folder: Path, size: int) -> Self:
        """Map columns privately: what is written to them stays in this process. Raises BundleCorrupt."""
        columns = cls()
        columns.size = size
        columns._arrays = {name: mapped(folder / f"{name}.npy", kind, size) for name, (kind, _) in _KINDS.items()}
        return columns


def creator_number(name: str) -> int:
    """Return 31 bits of a creator's name: no table of all names is kept, and two that meet are only kept apart."""
    return seed_of("creator", name.casefold()) >> 33


def _values(changes: Sequence[CatalogItem]) -> dict[str, list[Any]]:
    items = [change.item for change in changes]
    return {
        "listed": [change.listed and change.item.active for change in changes],
        "available_from": [item.available_from or 0 for item in items],
        "available_until": [NEVER if item.available_until is None else item.available_until for item in items],
        "stock": [-1 if item.stock is None else min(max(item.stock, 0), 2**31 - 1) for item in items],
        "rating": [np.nan if item.rating is None else item.rating for item in items],
        "created": [item.created or 0 for item in items],
        "updated": [change.updated for change in changes],
        "limited": [bool(item.regions) for item in items],
        "price": [np.nan if item.price is None else item.price for item in items],
        "creator": [-1 if item.creator is None else creator_number(item.creator) for item in items],
    }


def _comparable(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of which no value is one (NaN) and equal to another such."""
    return values.view(np.int32) if values.dtype == np.float32 else values


def mapped(path: Path, kind: type, size: int) -> NDArray[Any]:
    """Map a saved array (size,) privately, with the room behind it; raise BundleCorrupt."""
    try:
        base = np.lib.format.open_memmap(path, mode="r")
        offset = int(getattr(base, "offset", 0))
        room = max((path.stat().st_size - offset) // base.dtype.itemsize, size)
        if base.dtype != np.dtype(kind) or base.shape != (size,):
            raise BundleCorrupt(f"{path.name} in {path.parent} is {base.dtype} {base.shape}, expected {size} of {kind}")
        return np.memmap(path, kind, "c", offset, (room,)).view(np.ndarray) if room else np.empty(_FIRST, kind)
    except (OSError, ValueError, EOFError) as error:
        raise BundleCorrupt(f"{path.name} in {path.parent} cannot be read: {error}") from error
