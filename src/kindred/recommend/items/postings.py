"""Postings: which items bear which names, both ways round, as arrays with what changed lately beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Mask, Ordinals
from kindred.models.arrays import load_array, load_json, load_offsets, save_array, save_json

_LOOSE = 65_536
_LOOSE_SHARE = 8
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists by number: that of n is `values[offsets[n]:offsets[n + 1]]`; `offsets (k + 1,) int64`, `values int32`."""

    offsets: NDArray[np.int64]
    values: NDArray[np.int32]

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Self:
        """Lay lists behind one another."""
        offsets = np.zeros(len(lists) + 1, np.int64)
        np.cumsum([len(one) for one in lists], out=offsets[1:])
        return cls(offsets, np.array([value for one in lists for value in one], np.int32))

    def __len__(self) -> int:
        """Return how many lists there are."""
        return len(self.offsets) - 1

    def at(self, number: int) -> NDArray[np.int32]:
        """Return one list; an empty one beyond the last."""
        if number >= len(self):
            return self.values[:0]
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def rows(self) -> NDArray[np.int32]:
        """Return the number of the list that each value stands in."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))

    def inverted(self, count: int) -> "Lists":
        """Return for each value of [0, count) the numbers of the lists that hold it, ascending."""
        pairs = self.values.astype(np.uint64) << np.uint64(32)
        pairs |= self.rows().astype(np.uint64)
        pairs.sort()
        offsets = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(self.values, minlength=count), out=offsets[1:])
        pairs &= _LOW
        return Lists(offsets, pairs.astype(np.int32))


class Postings:
    """Which ordinals bear a name: a category, a tag, a country; names compare without regard to case.

    `names` are spelled as they first came, by code; `counts (k,) int64` says how many ordinals bear each. Arrays hold
    what `settle` has seen; what changed since is held item by item.
    """

    def __init__(self) -> None:
        """Start with no names."""
        self.names: list[str] = []
        self._codes: dict[str, int] = {}
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._by_item = self._by_name = Lists.of([])
        self._loose: dict[int, tuple[int, ...]] = {}

    @property
    def unsettled(self) -> bool:
        """Say whether so much is held item by item that `settle` pays."""
        return len(self._loose) > max(_LOOSE, len(self._by_item) // _LOOSE_SHARE)

    def __contains__(self, name: str) -> bool:
        """Say whether any ordinal bears, or once bore, a name."""
        return name.casefold() in self._codes

    def code(self, name: str) -> int:
        """Return the code of a name; a new one gets the next."""
        code = self._codes.get(name)
        if code is None:
            key = name.casefold()
            code = self._codes.get(key)
            if code is None:
                code = self._codes[key] = len(self.names)
                self.names.append(name)
            # As it is spelled too: folding costs more than looking up.
            self._codes[name] = code
        return code

    def put(self, ordinals: Iterable[int], names: Iterable[Sequence[str]]) -> None:
        """Let each ordinal, distinct, bear its names and no others."""
        gone: list[int] = []
        come: list[int] = []
        for ordinal, own in zip(ordinals, names, strict=True):
            before, codes = self._of(ordinal), tuple(dict.fromkeys(map(self.code, own))) if own else ()
            if codes != before:
                gone += before
                come += codes
                self._loose[ordinal] = codes
        size = len(self.names)
        counts = np.bincount(come, minlength=size) - np.bincount(gone, minlength=size)
        counts[: len(self.counts)] += self.counts
        self.counts = counts

    def bears(self, ordinal: int, name: str) -> bool:
        """Say whether an ordinal bears a name."""
        return self._codes.get(name.casefold()) in self._of(ordinal)

    def any_of(self, names: Sequence[str], size: int, rows: Ordinals | None = None) -> Mask:
        """Return which of some ordinals (m,), of [0, size) for None, bear at least one of the names."""
        wanted = {self._codes[key] for key in map(str.casefold, names) if key in self._codes}
        if rows is not None:
            return self._bearing(wanted, rows)
        # In this order: `settle` empties the one last.
        loose, by_name = self._loose, self._by_name
        mask = np.zeros(size, np.bool_)
        for code in wanted:
            mask[by_name.at(code)] = True
        changed = np.fromiter(loose, np.int32, len(loose))
        mask[changed] = self._bearing(wanted, changed)
        return mask

    def settle(self, size: int) -> None:
        """Put everything of ordinals [0, size) into arrays; meant to run where nothing else changes this."""
        loose, old = self._loose, self._by_item
        if not loose and (len(old), len(self._by_name)) == (size, len(self.names)):
            return
        sizes = np.zeros(size, np.int64)
        sizes[: len(old)] = np.diff(old.offsets)
        changed = np.array(sorted(loose), np.int32)
        stale = np.zeros(size, np.bool_)
        stale[changed] = True
        standing = old.values[~stale[old.rows()]] if len(old.values) else old.values
        new = Lists.of([loose[ordinal] for ordinal in changed.tolist()])
        sizes[changed] = np.diff(new.offsets)
        offsets = np.zeros(size + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        values = np.empty(int(offsets[-1]), np.int32)
        from_new = np.repeat(stale, sizes)
        values[from_new], values[~from_new] = new.values, standing
        self._by_item = Lists(offsets, values)
        self._by_name = self._by_item.inverted(len(self.names))
        self._loose = {}

    def save(self, folder: Path) -> None:
        """Write the arrays and the names into `folder`; what is not settled is left out."""
        save_json(folder, "names", self.names)
        for name, lists in (("item", self._by_item), ("name", self._by_name)):
            save_array(folder, f"{name}_offsets", lists.offsets)
            save_array(folder, f"{name}_values", lists.values)

    @classmethod
    def open(cls, folder: Path, size: int) -> Self:
        """Map what was written for ordinals [0, size); raise BundleCorrupt."""
        postings = cls()
        postings.names = load_json(folder, "names", list[str])
        postings._codes = {name.casefold(): code for code, name in enumerate(postings.names)}
        postings._by_item = _load(folder, "item", size)
        postings._by_name = _load(folder, "name", len(postings.names))
        postings.counts = np.diff(postings._by_name.offsets)
        return postings

    def _bearing(self, wanted: set[int], rows: Ordinals) -> Mask:
        return np.fromiter((not wanted.isdisjoint(self._of(row)) for row in rows.tolist()), np.bool_, len(rows))

    def _of(self, ordinal: int) -> tuple[int, ...]:
        found = self._loose.get(ordinal)
        if found is not None:
            return found
        # Most items are new while a catalogue is filled.
        return tuple(self._by_item.at(ordinal).tolist()) if ordinal < len(self._by_item) else ()


def _load(folder: Path, name: str, count: int) -> Lists:
    values = load_array(folder, f"{name}_values", np.int32, (None,))
    return Lists(load_offsets(folder, f"{name}_offsets", count, len(values)), values)
