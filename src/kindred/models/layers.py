"""Layers: a bundle's folder with the folders of later changes over it, and the arrays that they make together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kindred.core.candidates import Ordinals
from kindred.core.errors import BundleCorrupt

ROWS = "rows"
VALUES = "values"
SPARE = 1_024
"""Least rows of room that a base array's file has behind its end; a sixteenth of its rows where that is more."""


@dataclass(frozen=True, slots=True)
class Layers:
    """A base folder and delta folders over it, oldest first."""

    base: Path
    deltas: tuple[Path, ...] = ()

    def __truediv__(self, name: str) -> "Layers":
        """Return the same layers of a folder inside."""
        return Layers(self.base / name, tuple(delta / name for delta in self.deltas))

    @property
    def name(self) -> str:
        """Return the name of the newest folder."""
        return self.folders[-1].name

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return all folders, the base first."""
        return (self.base, *self.deltas)

    def newest(self, file: str) -> Path:
        """Return where a file stands in the newest layer that has it whole; in the base where none has."""
        return next((path for one in reversed(self.folders) if (path := one / file).exists()), self.base / file)

    def changed(self, name: str) -> Ordinals:
        """Return the rows (m,) int32 of an array that some delta replaced or added, ascending."""
        found = [load_patch(delta, name)[0] for delta in self.deltas if has_patch(delta, name)]
        return np.unique(np.concatenate(found)).astype(np.int32) if found else np.empty(0, np.int32)


Folder: TypeAlias = Path | Layers


def layered(folder: Folder) -> Layers:
    """Return a folder as layers; a plain one is its own base."""
    return folder if isinstance(folder, Layers) else Layers(folder)


def has_patch(folder: Path, name: str) -> bool:
    """Say whether a delta folder changes rows of an array."""
    return (folder / f"{name}.{ROWS}.npy").exists()


def save_patch(folder: Path, name: str, rows: Ordinals, values: NDArray[Any]) -> None:
    """Write `values (m, ...)` for `rows (m,)` of an array; the folder is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.{ROWS}.npy", np.asarray(rows, np.int32), allow_pickle=False)
    np.save(folder / f"{name}.{VALUES}.npy", np.ascontiguousarray(values), allow_pickle=False)


def load_patch(folder: Path, name: str) -> tuple[Ordinals, NDArray[Any]]:
    """Read the rows (m,) int32, ascending, and values (m, ...) of a patch; raise BundleCorrupt where they misfit."""
    try:
        rows = np.load(folder / f"{name}.{ROWS}.npy", allow_pickle=False)
        values = np.load(folder / f"{name}.{VALUES}.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleCorrupt(f"{name}.{ROWS}.npy in {folder} cannot be read: {error}") from error
    ascending = rows.ndim == 1 and rows.dtype == np.int32 and bool(np.all(np.diff(rows) > 0))
    if not ascending or len(values) != len(rows) or (len(rows) and rows[0] < 0):
        raise BundleCorrupt(f"{name}.{ROWS}.npy in {folder} does not ascend, or does not fit its values")
    return rows, values


def changed_rows(before: NDArray[Any], after: NDArray[Any], rows: Ordinals, fill: float) -> NDArray[np.bool_]:
    """Say for each of `rows (m,)` whether `after (m, ...)` differs in any bit from `before (n, ...)` there.

    Rows that `before` does not cover are compared with `fill`.
    """
    old = np.full(after.shape, fill, after.dtype)
    covered = rows < len(before)
    old[covered] = before[rows[covered]]
    return np.asarray((_bits(old) != _bits(np.ascontiguousarray(after))).any(axis=1), np.bool_)


def leave_room(path: Path, array: NDArray[Any]) -> None:
    """Lengthen an array's file by unwritten rows, so that later items fit into a private mapping of it."""
    row = array.nbytes // max(len(array), 1) if len(array) else 0
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + row * max(SPARE, len(array) // 16))


def map_patched(
    path: Path,
    patches: Sequence[Path],
    name: str,
    dtype: DTypeLike,
    shape: tuple[int, ...],
    fill: float,
    places: Ordinals | None = None,
) -> NDArray[Any]:
    """Map an array's file privately (copy on write), grown to `shape`, with the rows of patches written over it.

    Only the pages of changed rows take memory of their own while the file has room behind its end; without it the
    array is copied. `places (n,)`: the row of each ordinal that a patch names, None where they are the same. Raises
    BundleCorrupt when something does not fit.
    """
    try:
        base = np.lib.format.open_memmap(path, mode="r")
        grown = _private(path, base, shape)
    except (OSError, ValueError) as error:
        raise BundleCorrupt(f"{path.name} in {path.parent} cannot be read: {error}") from error
    if base.dtype != np.dtype(dtype) or base.shape[1:] != shape[1:] or len(base) > shape[0]:
        raise BundleCorrupt(f"{path.name} in {path.parent} is {base.dtype} {base.shape}, expected {dtype} {shape}")
    grown[len(base) :] = fill
    for folder in patches:
        rows, values = load_patch(folder, name)
        ordinals = shape[0] if places is None else len(places)
        if values.dtype != grown.dtype or values.shape[1:] != shape[1:] or (len(rows) and rows[-1] >= ordinals):
            raise BundleCorrupt(f"{name}.{VALUES}.npy in {folder} does not fit {dtype} {shape}")
        grown[rows if places is None else places[rows]] = values
    grown.flags.writeable = False
    return grown


def _private(path: Path, base: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    offset = int(getattr(base, "offset", 0))
    needed = offset + int(np.prod(shape, dtype=np.int64)) * base.dtype.itemsize
    if needed > offset and path.stat().st_size >= needed:
        return np.memmap(path, base.dtype, "c", offset, shape).view(np.ndarray)
    grown = np.empty(shape, base.dtype)
    grown[: len(base)] = base
    return grown


def _bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of rows (m, ...) as (m, b)."""
    width = values.dtype.itemsize * int(np.prod(values.shape[1:], dtype=np.int64))
    return np.frombuffer(values.tobytes(), np.uint8).reshape(len(values), width)
