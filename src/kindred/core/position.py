"""Positions in the event log."""

from typing import NamedTuple, Self

from kindred.core.errors import InvalidInput


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

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form; raise InvalidInput when it is another."""
        try:
            epoch, partition, offset = text.split(".")
            return cls(int(epoch), int(partition), int(offset))
        except ValueError as error:
            raise InvalidInput.at("/position", f"is `epoch.partition.offset`, not {text!r}") from error


START = Position(0, 0, -1)
