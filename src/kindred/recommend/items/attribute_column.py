"""The column of one attribute over the catalogue: numbers as they are, texts by code, lists as pairs."""

import math
import operator
from collections.abc import Callable, Sequence
from enum import Flag, auto
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Mask, Ordinals
from kindred.models.arrays import load_array, load_json, save_array, save_json
from kindred.recommend.items.columns import mapped
from kindred.recommend.items.values import Moment, Value, read_moment

SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FIRST = 1024
_ARRAYS: dict[str, tuple[type, object]] = {
    "numbers": (np.float64, np.nan),
    "codes": (np.int32, -1),
    "listed": (np.bool_, False),
}
_PAIRS, _WORDS = ("pair_rows", "pair_codes"), "words"
_WORD_BYTES = 150
_PARTS_KEPT = 16
_LOOSE = 65_536
_NO_MOMENT = np.iinfo(np.int64).min


class Kinds(Flag):
    """What an attribute holds, in one item or another."""

    NOTHING = 0
    NUMBER = auto()
    TEXT = auto()
    BOOL = auto()
    DATE = auto()
    LIST = auto()


class Readable(Protocol):
    """A column that terms can ask; each answer is a mask over some ordinals (m,), over [0, size) for None."""

    def within(self, values: Sequence[Value], rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold one of some values."""
        ...

    def ordered(self, sign: str, bound: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold a number or a moment on the side of `bound` that `sign` says."""
        ...

    def contains(self, part: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold a list with this element, or a text with this part."""
        ...

    def has(self, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold anything."""
        ...


Word: TypeAlias = str | bool | float


class Column:
    """An attribute's values by ordinal.

    `numbers (n,) float64` (NaN = none), `codes (n,) int32` into `words` (-1 = none), both there once a value of their
    kind came; lists are pairs of rows and codes, (m,) int32 each, with those that
    changed lately held item by item. Texts compare without regard to case. Another thread
    may read while this one puts: arrays and words only grow, or are replaced as a whole.
    """

    def __init__(self) -> None:
        """Start with nothing known."""
        self._numbers: NDArray[np.float64] | None = None
        self._codes: NDArray[np.int32] | None = None
        self._listed: NDArray[np.bool_] | None = None
        self._pairs = (np.empty(0, np.int32), np.empty(0, np.int32))
        self._loose: dict[int, tuple[int, ...]] = {}
        self._words: list[Word] = []
        self._code_of: dict[tuple[type, Word], int] = {}
        self._moments: NDArray[np.int64] = np.empty(0, np.int64)
        self._matches: dict[str, Mask] = {}
        self._size = 0
        self._room = _FIRST

    @property
    def nbytes(self) -> int:
        """Return about how many bytes it takes."""
        arrays = (self._numbers, self._codes, self._listed, *self._pairs)
        return sum(each.nbytes for each in arrays if each is not None) + len(self._words) * _WORD_BYTES

    def put(self, ordinals: Sequence[int], values: Sequence[object]) -> None:
        """Take over the values of distinct items; what is no number, text, bool or list of them counts as none."""
        rows = np.array(ordinals, np.int32)
        self._cover(int(rows.max(initial=-1)) + 1)
        self._put_numbers(rows, values)
        self._put_codes(rows, values)
        self._put_lists(rows, values)

    @property
    def distinct(self) -> int:
        """Return how many different texts, and elements of lists, it holds."""
        return len(self._words)

    def save(self, folder: Path, size: int) -> None:
        """Write what stands at the ordinals [0, size) into `folder`."""
        self.settle()
        self._cover(size)
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            array = getattr(self, f"_{name}")
            if array is not None:
                save_array(folder, name, array[:size], room=True)
        for name, array in zip(_PAIRS, self._pairs, strict=True):
            save_array(folder, name, array)
        save_json(folder, _WORDS, self._words)

    @classmethod
    def open(cls, folder: Path | None, size: int) -> Self:
        """Map what was saved over [0, size), privately; nothing known for None. Raises BundleCorrupt."""
        column = cls()
        column._cover(size)
        if folder is None:
            return column
        for name, (kind, _) in _ARRAYS.items():
            path = folder / f"{name}.npy"
            if path.exists() and size:
                setattr(column, f"_{name}", mapped(path, kind, size))
                column._room = len(getattr(column, f"_{name}"))
        rows, codes = (load_array(folder, name, np.int32, (None,)) for name in _PAIRS)
        column._pairs = (rows, codes)
        column._words = load_json(folder, _WORDS, list[str | bool | float])
        column._code_of = {_key(word): code for code, word in enumerate(column._words)}
        return column

    @property
    def unsettled(self) -> bool:
        """Say whether so many lists are held item by item that `settle` pays."""
        return len(self._loose) > _LOOSE

    def settle(self) -> None:
        """Put the lists that are held item by item into the arrays."""
        changed = np.fromiter(self._loose, np.int32, len(self._loose))
        kept = ~np.isin(self._pairs[0], changed)
        rows = np.repeat(changed, [len(codes) for codes in self._loose.values()])
        codes = np.fromiter(chain.from_iterable(self._loose.values()), np.int32, len(rows))
        self._pairs = (np.concatenate([self._pairs[0][kept], rows]), np.concatenate([self._pairs[1][kept], codes]))
        self._loose = {}

    def within(self, values: Sequence[Value], rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold one of some values; a moment is any text that means it."""
        found = _none(rows, size)
        numbers = [each for each in values if isinstance(each, float)]
        moments = [each.milliseconds for each in values if isinstance(each, Moment)]
        if numbers and self._numbers is not None:
            found |= np.isin(_part(self._numbers, rows, size), numbers)
        if self._codes is None:
            return found
        codes = [self._code(each) for each in values if isinstance(each, str | bool)]
        known = self._known_moments() if moments else self._moments[:0]
        # Last, for words may come meanwhile: it has room for all that was just looked up.
        wanted = np.zeros(len(self._words) + 1, np.bool_)
        wanted[codes] = True
        wanted[: len(known)] |= np.isin(known, moments)
        wanted[-1] = False
        return found | _of_codes(wanted, _part(self._codes, rows, size))

    def ordered(self, sign: str, bound: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold a number, or a text that means a moment, on one side of `bound`."""
        if isinstance(bound, Moment):
            if self._codes is None:
                return _none(rows, size)
            known = self._known_moments()
            right = SIGNS[sign](known, bound.milliseconds) & (known != _NO_MOMENT)
            return _of_codes(np.append(right, False), _part(self._codes, rows, size))
        if self._numbers is None:
            return _none(rows, size)
        mask: Mask = SIGNS[sign](_part(self._numbers, rows, size), bound)
        return mask

    def contains(self, part: Value, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold a list with this element, or a text with this part."""
        found = _none(rows, size)
        code = self._code(part) if not isinstance(part, Moment) else -1
        if code >= 0 and self._listed is not None:
            found |= self._bearing(code, self._listed, rows, size)
        if isinstance(part, str) and self._codes is not None:
            found |= _of_codes(np.append(self._matching(part.casefold()), False), _part(self._codes, rows, size))
        return found

    def has(self, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold anything; an empty list is nothing."""
        found = _none(rows, size)
        if self._numbers is not None:
            found |= ~np.isnan(_part(self._numbers, rows, size))
        if self._codes is not None:
            found |= _part(self._codes, rows, size) >= 0
        if self._listed is not None:
            found |= _part(self._listed, rows, size)
        return found

    def _cover(self, size: int) -> None:
        if size > self._room:
            self._room = max(size, 2 * self._room)
        before, self._size = self._size, max(self._size, size)
        for name, (_, blank) in _ARRAYS.items():
            array = getattr(self, f"_{name}")
            if array is None:
                continue
            if len(array) < self._room:
                grown = np.full(self._room, blank, array.dtype)
                grown[:before] = array[:before]
                setattr(self, f"_{name}", grown)
            else:
                # What stands in the room of a mapped file means nothing.
                array[before : self._size] = blank

    def _put_numbers(self, rows: Ordinals, values: Sequence[object]) -> None:
        numbers = [_number(value) for value in values]
        if self._numbers is None and all(map(math.isnan, numbers)):
            return
        if self._numbers is None:
            self._numbers = np.full(self._room, np.nan)
        self._numbers[rows] = numbers

    def _put_codes(self, rows: Ordinals, values: Sequence[object]) -> None:
        codes = [self._learn(value) if isinstance(value, str | bool) else -1 for value in values]
        if self._codes is None and max(codes, default=-1) < 0:
            return
        if self._codes is None:
            self._codes = np.full(self._room, -1, np.int32)
        self._codes[rows] = codes

    def _put_lists(self, rows: Ordinals, values: Sequence[object]) -> None:
        lists = [value if type(value) is list else [] for value in values]
        if self._listed is None:
            if not any(lists):
                return
            self._listed = np.zeros(self._room, np.bool_)
        for row, elements, before in zip(rows.tolist(), lists, self._listed[rows].tolist(), strict=True):
            if elements or before:
                words = (each for each in elements if isinstance(each, str | bool | int | float))
                self._loose[row] = tuple({self._learn(each) for each in words})
        self._listed[rows] = [len(elements) > 0 for elements in lists]

    def _bearing(self, code: int, listed: Mask, rows: Ordinals | None, size: int) -> Mask:
        """Return which items hold a list with an element, by its code."""
        # In this order: `settle` empties the one last.
        loose, pairs = self._loose, self._pairs
        if rows is not None and all(row in loose for row in rows[listed[rows]].tolist()):
            return np.fromiter((code in loose.get(row, ()) for row in rows.tolist()), np.bool_, len(rows))
        held = list(loose.items())
        mask = np.zeros(max(size, len(listed)), np.bool_)
        mask[pairs[0][pairs[1] == code]] = True
        mask[np.array([row for row, _ in held], np.int32)] = [code in codes for _, codes in held]
        return _part(mask, rows, size)

    def _learn(self, word: Word) -> int:
        key = _key(word)
        code = self._code_of.get(key)
        if code is None:
            self._words.append(key[1])
            code = self._code_of[key] = len(self._words) - 1
        return code

    def _code(self, word: Word) -> int:
        return self._code_of.get(_key(word), -1)

    def _known_moments(self) -> NDArray[np.int64]:
        known, words = self._moments, self._words
        if len(known) < len(words):
            more = [read_moment(each) if isinstance(each, str) else None for each in words[len(known) :]]
            read = np.array([_NO_MOMENT if each is None else each.milliseconds for each in more], np.int64)
            self._moments = known = np.concatenate([known, read])
        return known

    def _matching(self, part: str) -> Mask:
        """Return which words have a part (w,), looking only at those that are new since it was last asked."""
        known, words = self._matches.pop(part, np.empty(0, np.bool_)), self._words
        more = [isinstance(each, str) and part in each for each in words[len(known) :]]
        self._matches[part] = found = np.concatenate([known, np.array(more, np.bool_)])
        for oldest in list(self._matches)[:-_PARTS_KEPT]:
            self._matches.pop(oldest, None)
        return found


def _key(word: Word) -> tuple[type, Word]:
    """Return what a word is known under: true is not the number 1."""
    if isinstance(word, str):
        return str, word.casefold()
    return (bool, word) if isinstance(word, bool) else (float, _number(word))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _none(rows: Ordinals | None, size: int) -> Mask:
    return np.zeros(size if rows is None else len(rows), np.bool_)


def _part(array: NDArray[Any], rows: Ordinals | None, size: int) -> NDArray[Any]:
    return array[:size] if rows is None else array[rows]


def _of_codes(wanted: Mask, codes: Ordinals) -> Mask:
    """Return which codes (n,) are wanted; the last of `wanted (w + 1,)` is what -1 gets."""
    # A word may have come since `wanted` was made: its code is not in it.
    mask: Mask = wanted[np.where(codes < len(wanted) - 1, codes, -1)]
    return mask
