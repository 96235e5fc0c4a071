"""Where in the log each row of a dataset stands, so that an increment can tell what is new."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Mask
from kindred.core.position import Position


@dataclass(frozen=True, slots=True)
class Places:
    """Positions of n rows: `epochs`, `partitions`, `offsets`, all (n,) int64."""

    epochs: NDArray[np.int64]
    partitions: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def behind(self, text: str) -> Mask:
        """Return which rows stand behind the positions of a dataset, `epoch.partition.offset` joined by commas.

        Rows of a partition that is not named are new.
        """
        new: Mask = np.ones(len(self.epochs), np.bool_)
        for reached in map(Position.parse, text.split(",")):
            older = (self.epochs == reached.epoch) & (self.offsets <= reached.offset)
            new &= ~((self.partitions == reached.partition) & (older | (self.epochs < reached.epoch)))
        return new
