"""The rows of a bulk import as plain columns, written by the import and folded by the consumer."""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.features.circumstances import Circumstances, Labels

FOLD_FOLDER = "fold"
_LABELS = ("placements", "devices", "countries")
_KEYS = ("starts", "ordinals", "timestamps", "types", "values")
UNKNOWN_TIME = -1
NOBODY = ""
"""Whose rows those of forgotten people are: they count for items alone."""
# What an absent or a damaged file is; anything else that a disk says may pass.
_FOR_GOOD = (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


def import_folder(lake: Path, import_id: str) -> Path:
    """Return where an import keeps its manifest and its fold columns (in `fold/`) inside the lake folder."""
    return lake / "imports" / import_id


@dataclass(frozen=True, slots=True)
class FoldColumns:
    """The new rows of u users, n rows in all; no user's rows are split over two parts of an import.

    `users` ids, each once; `starts (u + 1,) int64`: user i owns rows `starts[i]:starts[i + 1]`, ordered by timestamp,
    then as they stood in the source. `ordinals (n,) int32`; `timestamps (n,) int64` ms, -1 for unknown (those come
    first); `types (n,) uint8` codes into `names`; `values (n,) float32`, NaN for none. `profiles`: msgpack of a
    `core.profile.Profile` per user, empty bytes where the import brought none; such a user may have no rows. `told`:
    the circumstances of the rows, None where the import tells none.
    """

    users: Sequence[str]
    starts: NDArray[np.int64]
    ordinals: Ordinals
    timestamps: NDArray[np.int64]
    types: NDArray[np.uint8]
    values: Floats
    names: tuple[str, ...] = ()
    profiles: Sequence[bytes] = field(default_factory=list)
    told: Circumstances | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.ordinals)

    def of_users(self, chosen: Callable[[str], bool]) -> "FoldColumns":
        """Return the columns of the users that `chosen` says yes to."""
        kept = [number for number, user in enumerate(self.users) if chosen(user)]
        sizes = np.diff(self.starts)
        mask = np.zeros(len(self.users), np.bool_)
        mask[kept] = True
        rows = np.repeat(mask, sizes)
        return FoldColumns(
            [self.users[number] for number in kept],
            np.concatenate(([0], np.cumsum(sizes[mask]))).astype(np.int64),
            self.ordinals[rows],
            self.timestamps[rows],
            self.types[rows],
            self.values[rows],
            self.names,
            [self.profiles[number] for number in kept] if self.profiles else [],
            self.told.take(rows) if self.told is not None else None,
        )

    def slice(self, first: int, last: int) -> "FoldColumns":
        """Return the columns of the users from `first` to `last`, excluded."""
        low, high = int(self.starts[first]), int(self.starts[last])
        return FoldColumns(
            self.users[first:last],
            self.starts[first : last + 1] - low,
            self.ordinals[low:high],
            self.timestamps[low:high],
            self.types[low:high],
            self.values[low:high],
            self.names,
            self.profiles[first:last],
            self.told.take(slice(low, high)) if self.told is not None else None,
        )

    def check(self) -> None:
        """Raise InvalidInput when the columns do not fit one another."""
        n, u = len(self.ordinals), len(self.users)
        fits = len(self.timestamps) == len(self.types) == len(self.values) == n
        fits = fits and len(self.starts) == u + 1 and len(self.profiles) in (0, u)
        fits = fits and int(self.starts[0]) == 0 and int(self.starts[-1]) == n
        fits = fits and bool((np.diff(self.starts) >= 0).all())
        fits = fits and (n == 0 or int(self.types.max()) < len(self.names))
        fits = fits and (self.told is None or self.told.fits(n))
        if not fits:
            raise InvalidInput("fold columns of an import do not fit one another: import again")

    def save(self, path: Path) -> None:
        """Write one `.npz` file (uncompressed, no pickled objects)."""
        self.check()
        users, user_ends = _pack([user.encode() for user in self.users])
        profiles, profile_ends = _pack(self.profiles)
        columns: dict[str, Any] = {
            "starts": self.starts.astype(np.int64),
            "ordinals": self.ordinals.astype(np.int32),
            "timestamps": self.timestamps.astype(np.int64),
            "types": self.types.astype(np.uint8),
            "values": self.values.astype(np.float32),
            "names": np.array(self.names, dtype=np.str_),
            "users": users,
            "user_ends": user_ends,
            "profiles": profiles,
            "profile_ends": profile_ends,
        }
        if self.told is not None:
            columns |= _columns_of(self.told)
        np.savez(path, **columns)

    @classmethod
    def load(cls, path: Path) -> "FoldColumns":
        """Read a file written by `save`.

        Raises InvalidInput when it is missing or damaged, StoreUnavailable when the disk refuses for now.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                starts, ordinals, timestamps, types, values = (data[key] for key in _KEYS)
                users = [user.decode() for user in _unpack(data["users"], data["user_ends"])]
                profiles = _unpack(data["profiles"], data["profile_ends"])
                names = tuple(str(name) for name in data["names"])
                told = _circumstances(data) if "requests" in data else None
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            if isinstance(error, OSError) and error.errno not in _FOR_GOOD:
                raise StoreUnavailable(f"{path}: cannot be read: {error.strerror}") from error
            raise InvalidInput(f"{path}: not readable as the columns of an import: {error}") from error
        columns = cls(users, starts, ordinals, timestamps, types, values, names, profiles, told)
        columns.check()
        return columns


def fold_parts(lake: Path, import_id: str) -> list[Path]:
    """Return the part files of an import in order; raise InvalidInput when its folder is not there."""
    folder = import_folder(lake, import_id) / FOLD_FOLDER
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is missing: the lake of import {import_id} was moved or deleted")
    return sorted(folder.glob("part-*.npz"))


def read_fold(lake: Path, import_id: str) -> Iterator[FoldColumns]:
    """Read an import part by part, so that memory holds one part; raise InvalidInput when one is damaged."""
    for path in fold_parts(lake, import_id):
        yield FoldColumns.load(path)


def _columns_of(told: Circumstances) -> dict[str, NDArray[Any]]:
    """Return circumstances as arrays by name."""
    found: dict[str, NDArray[Any]] = {"requests": told.requests, "slots": told.slots, "watches": told.watches}
    for name in _LABELS:
        labels: Labels = getattr(told, name)
        found |= {name: labels.codes, f"{name}_names": np.array(labels.names, dtype=np.str_)}
    return found


def _circumstances(data: Mapping[str, NDArray[Any]]) -> Circumstances:
    """Read what `_columns_of` wrote; raise KeyError when something is missing."""
    labels = {name: Labels(data[name], tuple(str(each) for each in data[f"{name}_names"])) for name in _LABELS}
    return Circumstances(data["requests"], data["slots"], data["watches"], **labels)


def _pack(texts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Join byte strings into one array and the end of each (k,)."""
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64) if texts else np.empty(0, np.int64)
    return np.frombuffer(b"".join(texts), np.uint8), ends


def _unpack(blob: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[bytes]:
    """Cut what `_pack` joined."""
    data, stops = blob.tobytes(), ends.tolist()
    return [data[a:b] for a, b in zip([0, *stops], stops, strict=False)]
