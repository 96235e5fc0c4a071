"""What every store of dead letters must do: subclass `DeadLettersSuite`, say how yours is opened, run it by pytest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.core.position import Position
from kindred.ports.log import DeadLetter, DeadLetters

PLACES = [Position(0, 0, 7), Position(0, 1, 2), Position(0, 1, 30), Position(1, 0, 0)]


def letter(position: Position, reason: str = "unreadable: no event") -> DeadLetter:
    """Return a letter whose bytes name its position."""
    return DeadLetter(position, reason, b"\x00\xff" + str(position).encode())


class DeadLettersSuite:
    """The suite of the DeadLetters port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> DeadLetters:
        """Open the letters kept under `home`; opening them again finds what was there, where it is durable."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its letters are opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[DeadLetters]:
        """Open the letters for a block and close them behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def test_letters_are_kept_once_in_order(self, tmp_path: Path) -> None:
        """The first burial of a position counts; letters are in order of position, bytes unchanged."""
        expected = [letter(place) for place in PLACES]
        async with self.opened(tmp_path) as store:
            assert await store.letters(None, 10) == []
            await store.bury([expected[2], expected[0]])
            await store.bury([letter(PLACES[2], "later"), expected[3], expected[1]])
            await store.bury([])
            assert await store.letters(None, 10) == expected
            await store.check()

    async def test_letters_are_paged(self, tmp_path: Path) -> None:
        """A page starts behind a position, whether or not a letter stands there."""
        expected = [letter(place) for place in PLACES]
        async with self.opened(tmp_path) as store:
            await store.bury(expected)
            assert await store.letters(None, 2) == expected[:2]
            assert await store.letters(PLACES[1], 2) == expected[2:]
            assert await store.letters(Position(0, 1, 3), 10) == expected[2:]
            assert await store.letters(PLACES[-1], 10) == []
            assert await store.letters(None, 0) == []

    async def test_letters_are_discarded(self, tmp_path: Path) -> None:
        """What was discarded is gone, may be buried again, and a second discarding finds nothing."""
        async with self.opened(tmp_path) as store:
            await store.bury([letter(place) for place in PLACES])
            assert await store.discard([PLACES[0], PLACES[2], Position(9, 9, 9)]) == 2
            assert await store.discard([PLACES[0]]) == 0
            assert await store.discard([]) == 0
            assert [each.position for each in await store.letters(None, 10)] == [PLACES[1], PLACES[3]]
            again = letter(PLACES[0], "again")
            await store.bury([again])
            assert (await store.letters(None, 1)) == [again]

    async def test_durable_letters_are_found_again(self, tmp_path: Path) -> None:
        """Letters are there after closing and opening; discarded ones are not."""
        async with self.opened(tmp_path) as store:
            if not store.capabilities.durable:
                return
            await store.bury([letter(place) for place in PLACES])
            await store.discard(PLACES[:1])
            await store.close()
        async with self.opened(tmp_path) as store:
            assert await store.letters(None, 10) == [letter(place) for place in PLACES[1:]]
