"""Division where a figure may be undefined; undefined is NaN, never 0."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quotient(values: NDArray[Any], sizes: NDArray[Any]) -> NDArray[np.float64]:
    """Divide element by element, both of one shape; the result is NaN where `sizes` is 0."""
    out = np.full(values.shape, np.nan)
    np.divide(values, sizes, out=out, where=sizes > 0)
    return out
