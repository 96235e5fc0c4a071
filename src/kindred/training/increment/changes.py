"""Changed rows of arrays, collected and written as a delta's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Ordinals
from kindred.models.layers import changed_rows, save_patch


@dataclass(frozen=True, slots=True)
class Change:
    """New `values (m, ...)` for `rows (m,)`, ascending, of the array `place/name.npy`; it differs from what stood."""

    place: str
    name: str
    rows: Ordinals
    values: NDArray[Any]

    @classmethod
    def of(
        cls,
        place: str,
        name: str,
        before: NDArray[Any],
        rows: Ordinals,
        values: NDArray[Any],
        fill: float = 0,
        stood: Ordinals | None = None,
    ) -> "Change":
        """Keep of `rows` only those whose values differ in any bit from `before (n, ...)`, or from `fill` behind it.

        `stood (m,)`: where each stands in `before`, None where it is in the row of its number.
        """
        values = np.ascontiguousarray(values, before.dtype)
        differs = changed_rows(before, values, rows if stood is None else stood, fill)
        return cls(place, name, rows[differs].astype(np.int32), values[differs])

    def save(self, folder: Path) -> None:
        """Write it below a delta's folder, unless nothing changed."""
        if len(self.rows):
            save_patch(folder / self.place, self.name, self.rows, self.values)
