"""Positions in the event log."""

import re
import struct
from typing import NamedTuple, Self

from kindred.core.errors import InvalidInput

# Whole numbers that fit 64 bits, written in one way only; an offset may be the -1 of an empty partition.
_WRITTEN = re.compile(r"(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})\.(-1|0|[1-9][0-9]{0,17})")

_sortable = struct.Struct(">3Q")


class Position(NamedTuple):
    """Where a record stands in the log; positions of one partition are ordered as tuples.

    `offset` starts at 0; the start of an empty partition is written with offset -1.
    """

    epoch: int
    partition: int
    offset: int

    def __str__(self) -> str:
        """Write `epoch.partition.offset`, the form that answers carry."""
        return f"{self.epoch}.{self.partition}.{self.offset}"

    def sortable(self) -> bytes:
        """Return 24 bytes whose order is that of positions."""
        return _sortable.pack(self.epoch, self.partition, self.offset + 1)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form; raise InvalidInput when it is another."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise InvalidInput.at("/position", f"is `epoch.partition.offset`, not {text[:80]!r}")
        epoch, partition, offset = (int(part) for part in found.groups())
        return cls(epoch, partition, offset)


START = Position(0, 0, -1)
