"""Refusals of malformed arrays, each naming the argument and the fix."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kindred.core.errors import InvalidInput


def integers(name: str, values: ArrayLike, ndim: int = 1) -> NDArray[np.int64]:
    """Return `values` as int64 of `ndim` dimensions; raise InvalidInput for another kind or shape."""
    array = np.asarray(values)
    if array.ndim != ndim:
        raise InvalidInput.at(name, f"has {array.ndim} dimensions; pass an array of {ndim}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise InvalidInput.at(name, f"is {array.dtype}; pass integers, leaving out rows without a value")
    return array.astype(np.int64, copy=False)


def ordinals(name: str, values: ArrayLike, below: int | None = None) -> NDArray[np.int64]:
    """Return `values` as int64 ordinals; raise InvalidInput for a negative one or one not under `below`."""
    array = integers(name, values)
    if array.size and array.min() < 0:
        raise InvalidInput.at(name, f"holds {array.min()}; ordinals start at 0")
    if below is not None and array.size and array.max() >= below:
        raise InvalidInput.at(name, f"holds {array.max()}; every value must be under {below}")
    return array


def same_length(**arrays: NDArray[Any]) -> int:
    """Return the common length of the named arrays; raise InvalidInput when they differ."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput.at(next(iter(lengths)), f"lengths differ: {lengths}; pass one value per row")
    return next(iter(lengths.values()))


def at_least(name: str, value: int, floor: int) -> int:
    """Return the whole number `value`; raise InvalidInput when it is under `floor`."""
    if value < floor:
        raise InvalidInput.at(name, f"is {value}; it must be at least {floor}")
    return value


def share(name: str, value: float) -> float:
    """Return `value`; raise InvalidInput unless it lies strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise InvalidInput.at(name, f"is {value}; it must lie strictly between 0 and 1")
    return value
