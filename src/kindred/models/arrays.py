"""Array files: `.npy` mapped read-only with small JSON beside them, and the array steps that several models share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import BundleCorrupt
from kindred.models.layers import Folder, has_patch, layered, leave_room, map_patched

T = TypeVar("T")

# A sum over the whole catalogue beats sorting while the catalogue is this many times the summed values, or less.
DENSE_RATIO = 20


def save_array(folder: Path, name: str, array: NDArray[Any], *, room: bool = False) -> None:
    """Write `array` as `folder/name.npy`, without pickle; the folder is made where it is missing.

    `room`: leave unwritten rows behind its end, for arrays over the catalogue's ordinals.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    if room:
        leave_room(folder / f"{name}.npy", array)


def load_array(
    folder: Folder,
    name: str,
    dtype: DTypeLike,
    shape: Sequence[int | None],
    fill: float = 0,
    places: Ordinals | None = None,
) -> NDArray[Any]:
    """Map `folder/name.npy` read-only; None in `shape` accepts any length.

    In layers the newest whole file counts, with the rows that later deltas changed written over a private mapping;
    rows that no layer holds are `fill`. `places (n,)`: the row of each ordinal that a delta names, None where they are
    the same. Raises BundleCorrupt when the file is missing, cut short, no array, or of another dtype or shape.
    """
    layers = layered(folder)
    path = layers.newest(f"{name}.npy")
    behind = layers.folders.index(path.parent) + 1
    patches = [one for one in layers.folders[behind:] if has_patch(one, name)]
    try:
        # Unlike `load`, this opens nothing but `.npy`, so a damaged file cannot pass for an archive or a pickle.
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise BundleCorrupt(f"{path.name} in {path.parent} cannot be read: {error}") from error
    wanted = tuple(have if want is None else want for want, have in zip(shape, array.shape, strict=False))
    grows = layers.deltas and len(wanted) == len(shape) == array.ndim and wanted and wanted[0] > len(array)
    if patches or grows:
        return map_patched(path, patches, name, dtype, wanted, fill, places)
    if array.dtype != np.dtype(dtype) or array.shape != wanted or len(shape) != array.ndim:
        found = f"{array.dtype} {array.shape}"
        raise BundleCorrupt(f"{path.name} in {path.parent} is {found}, expected {np.dtype(dtype)} {tuple(shape)}")
    return array.view(np.ndarray)


def save_json(folder: Path, name: str, value: object) -> None:
    """Write `value` as `folder/name.json`; the folder is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))


def load_json(folder: Folder, name: str, kind: type[T]) -> T:
    """Read `folder/name.json`, of layers the newest, as `kind`; raise BundleCorrupt where it cannot be."""
    path = layered(folder).newest(f"{name}.json")
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleCorrupt(f"{path.name} in {path.parent} cannot be read: {error}") from error


def load_offsets(folder: Folder, name: str, groups: int, total: int) -> NDArray[np.int64]:
    """Map CSR offsets `(groups + 1,) int64`; raise BundleCorrupt unless they rise from 0 to `total`."""
    offsets = load_array(folder, name, np.int64, (groups + 1,))
    if offsets[0] != 0 or offsets[-1] != total or bool(np.any(np.diff(offsets) < 0)):
        raise BundleCorrupt(f"{name}.npy in {folder} does not rise from 0 to {total}")
    return offsets


def check_ordinals(folder: Folder, name: str, ordinals: NDArray[Any], n_items: int) -> None:
    """Raise BundleCorrupt when a small list of ordinals leaves `[0, n_items)`."""
    if len(ordinals) and (int(ordinals.min()) < 0 or int(ordinals.max()) >= n_items):
        raise BundleCorrupt(f"{name}.npy in {folder} holds ordinals outside [0, {n_items})")


def rows_at(values: NDArray[Any], items: Ordinals) -> NDArray[Any]:
    """Return the row of `values (n, ...)` at each ordinal (c,), zero for ordinals that it does not cover.

    What is stored in half precision comes in single precision, since sums of it are to be exact enough, and fast.
    """
    kind = np.dtype(np.float32) if values.dtype == np.float16 else values.dtype
    if not len(values):
        return np.zeros((len(items), *values.shape[1:]), kind)
    found = values.take(items, axis=0, mode="clip").astype(kind, copy=False)
    covered = known(items, len(values))
    if not covered.all():
        found[~covered] = 0
    return found


def values_at(ordinals: Ordinals, values: Floats, wanted: Ordinals) -> Floats:
    """Return the value of each wanted ordinal (c,) float32 from `ordinals (n,)` ascending, 0 where it is not there."""
    found = np.zeros(len(wanted), np.float32)
    if len(ordinals):
        place = np.minimum(np.searchsorted(ordinals, wanted), len(ordinals) - 1)
        hit = ordinals[place] == wanted
        found[hit] = values[place[hit]]
    return found


def top_k(scores: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Return the positions of the k highest positive scores, highest first, ties by position."""
    kept = np.flatnonzero(scores > 0)
    values = scores[kept]
    if k <= 0:
        return kept[:0]
    if len(kept) > k:
        # Everything equal to the k-th value stays until the sort, or a tie at the edge would be cut at random.
        threshold = np.partition(values, len(values) - k)[len(values) - k]
        above = values >= threshold
        kept, values = kept[above], values[above]
    return kept[np.argsort(-values, kind="stable")[:k]]


def known(items: Ordinals, n_items: int) -> NDArray[np.bool_]:
    """Return the mask of ordinals that arrays over `[0, n_items)` cover; newer items are not covered."""
    return (items >= 0) & (items < n_items)


def sum_by_item(items: Ordinals, values: Floats, n_items: int) -> tuple[Ordinals, Floats]:
    """Sum `values (m,)` per ordinal; return the distinct ordinals, ascending, and their sums, both (n,)."""
    if not len(items):
        return np.empty(0, np.int32), np.empty(0, np.float32)
    size = n_items if n_items <= DENSE_RATIO * len(items) else int(items.max()) + 1
    if size <= DENSE_RATIO * len(items):
        touched = np.zeros(size, np.bool_)
        touched[items] = True
        ordinals = np.flatnonzero(touched).astype(np.int32)
        return ordinals, np.bincount(items, values, size)[ordinals].astype(np.float32)
    order = np.argsort(items, kind="stable")
    ordered = items[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[starts], np.add.reduceat(values[order], starts)
