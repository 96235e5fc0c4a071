"""Where rows say that they happened: the surface, the device and the country, as columns beside interactions."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kindred.core.candidates import Mask
from kindred.core.query import Context
from kindred.features.circumstances import Labels

COLUMNS = {"placement": pl.String, "device": pl.String, "country": pl.String}


class RowContexts(NamedTuple):
    """What n rows tell of their requests: `placements`, `devices`, `countries` of two letters; empty is not known."""

    placements: Labels
    devices: Labels
    countries: Labels

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "RowContexts | None":
        """Number the texts of `COLUMNS`; None where no row tells anything."""
        labels = [_labels(rows[name]) for name in COLUMNS]
        return cls(*labels) if any(len(one.names) > 1 for one in labels) else None

    def take(self, index: NDArray[np.intp] | Mask) -> "RowContexts":
        """Return the rows that an index array or a mask selects, in its order."""
        return RowContexts(*(labels.take(index) for labels in self))

    def at(self, row: int, time: int) -> Context:
        """Return the request that may have led to a row, at `time` (ms); its page is the row's placement."""
        placement, device, country = (labels.names[labels.codes[row]] or None for labels in self)
        known = Context(time=time, device=device, location=country)
        return known if placement is None else Context(time=time, page=placement, device=device, location=country)


def _labels(column: pl.Series) -> Labels:
    """Number the texts of a column, what is not known first."""
    texts = column.fill_null("")
    names = ["", *(name for name in texts.unique().sort().to_list() if name)]
    return Labels(texts.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int32), tuple(names))
