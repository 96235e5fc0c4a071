"""What every store of placements must do: subclass `RulesSuite`, say how yours is opened, and run it by pytest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.core.errors import Conflict
from kindred.ports.rules import RuleStore, RuleVersion


def version(number: int) -> RuleVersion:
    """Return a version made at the time of its number."""
    return RuleVersion(version=number, created=number, author="an ü author", note=f"note {number}")


class RulesSuite:
    """The suite of the RuleStore port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> RuleStore:
        """Open the store kept under `home`; opening it again finds what was there, where it is durable."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its store is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[RuleStore]:
        """Open the store for a block and close it behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def test_an_empty_store_has_nothing(self, tmp_path: Path) -> None:
        """No version is the newest, listed or read."""
        async with self.opened(tmp_path) as store:
            assert await store.newest() is None
            assert await store.versions(None, 10) == []
            assert await store.body(0) is None
            assert await store.body(1) is None
            await store.check()

    async def test_versions_come_back_as_they_were(self, tmp_path: Path) -> None:
        """Every field survives, and the document byte by byte; an older one stays when a newer one comes."""
        bare, body = RuleVersion(version=2, created=0), bytes(range(256))
        async with self.opened(tmp_path) as store:
            await store.append(version(1), body)
            assert await store.newest() == version(1)
            await store.append(bare, b"")
            assert await store.newest() == bare
            assert [await store.body(number) for number in (1, 2, 3)] == [body, b"", None]

    async def test_versions_are_listed_newest_first_and_by_pages(self, tmp_path: Path) -> None:
        """Up to as many as are asked for, below a number."""
        async with self.opened(tmp_path) as store:
            for number in range(1, 6):
                await store.append(version(number), b"{}")
            assert await store.versions(None, 2) == [version(5), version(4)]
            assert await store.versions(4, 2) == [version(3), version(2)]
            assert await store.versions(2, 10) == [version(1)]
            assert await store.versions(1, 10) == []

    async def test_only_the_next_version_is_taken(self, tmp_path: Path) -> None:
        """Conflict for one that is there, for a gap and for 0; nothing is changed by them."""
        async with self.opened(tmp_path) as store:
            for wrong in (0, 2):
                with pytest.raises(Conflict):
                    await store.append(version(wrong), b"wrong")
            await store.append(version(1), b"right")
            for wrong in (0, 1, 3):
                with pytest.raises(Conflict, match="version 1"):
                    await store.append(version(wrong), b"wrong")
            assert await store.versions(None, 10) == [version(1)]
            assert await store.body(1) == b"right"

    async def test_of_writers_at_once_one_is_first(self, tmp_path: Path) -> None:
        """Exactly one of those that build on the same version is let through."""
        async with self.opened(tmp_path) as store:
            bodies = [b"%d" % writer for writer in range(8)]
            done = await asyncio.gather(*(store.append(version(1), body) for body in bodies), return_exceptions=True)
            assert [error for error in done if error is not None and not isinstance(error, Conflict)] == []
            assert await store.body(1) == bodies[done.index(None)]
            assert done.count(None) == 1

    async def test_it_is_found_again(self, tmp_path: Path) -> None:
        """A durable store opened again has the same versions, and goes on counting."""
        async with self.opened(tmp_path) as store:
            if not store.capabilities.durable:
                pytest.skip("not durable")
            await store.append(version(1), b"one")
        async with self.opened(tmp_path) as store:
            assert await store.newest() == version(1)
            assert await store.body(1) == b"one"
            await store.append(version(2), b"two")

    async def test_two_openings_see_one_another(self, tmp_path: Path) -> None:
        """A shared store opened twice is one store: what one appends is the other's newest at once."""
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as two:
            if not one.capabilities.shared:
                pytest.skip("not shared")
            await one.append(version(1), b"one")
            assert await two.newest() == version(1)
            with pytest.raises(Conflict):
                await two.append(version(1), b"mine")
            await two.append(version(2), b"two")
            assert await one.body(2) == b"two"
