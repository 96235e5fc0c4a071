"""Dead letters in one process's memory."""

from collections.abc import Sequence
from pathlib import Path

from kindred.core.position import Position
from kindred.ports.log import DeadLetter
from kindred.ports.resource import Capabilities


class MemoryDeadLetters:
    """A dictionary of letters by position."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        """Start empty."""
        self._letters: dict[Position, DeadLetter] = {}

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep records that cannot be folded; the first burial of a position counts."""
        for letter in letters:
            self._letters.setdefault(letter.position, letter)

    async def letters(self, after: Position | None, limit: int) -> list[DeadLetter]:
        """Return up to `limit` letters behind `after`, in order of position."""
        found = [self._letters[position] for position in sorted(self._letters) if after is None or position > after]
        return found[: max(limit, 0)]

    async def discard(self, positions: Sequence[Position]) -> int:
        """Delete letters; return how many there were."""
        return sum(self._letters.pop(position, None) is not None for position in positions)

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Do nothing: memory goes with the process."""


async def open_dead_letters(location: str, home: Path) -> MemoryDeadLetters:
    """Return a new store without letters; the place is not used."""
    return MemoryDeadLetters()
