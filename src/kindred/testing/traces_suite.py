"""What every store of traces must do: subclass `TracesSuite`, say how yours is opened, and run it by pytest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.ports.operations import TraceStore


class TracesSuite:
    """The suite of the TraceStore port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> TraceStore:
        """Open the store kept under `home`; opening it again finds what was there, unless it is in memory."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its store is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[TraceStore]:
        """Open the store for a block and close it behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def test_an_empty_store_has_nothing(self, tmp_path: Path) -> None:
        """No record is found or swept, and putting nothing does nothing."""
        async with self.opened(tmp_path) as store:
            await store.put([])
            assert await store.get("rec_a") is None
            assert await store.sweep(2**40) == 0
            await store.check()

    async def test_any_bytes_are_kept(self, tmp_path: Path) -> None:
        """Empty, binary and large records come back as they were."""
        data = [b"", bytes(range(256)), b"\x00" * 70_000]
        async with self.opened(tmp_path) as store:
            await store.put([(f"rec_{n}", n, each) for n, each in enumerate(data)])
            assert [await store.get(f"rec_{n}") for n in range(4)] == [*data, None]

    async def test_a_later_record_replaces_an_earlier_one(self, tmp_path: Path) -> None:
        """With its time: what was put again is swept by its new time."""
        async with self.opened(tmp_path) as store:
            await store.put([("rec_a", 1, b"one"), ("rec_a", 2, b"two")])
            assert await store.get("rec_a") == b"two"
            await store.put([("rec_a", 10, b"three")])
            assert await store.sweep(5) == 0
            assert await store.get("rec_a") == b"three"

    async def test_sweeping_deletes_what_is_older(self, tmp_path: Path) -> None:
        """A record of exactly that time stays; thousands go in one call."""
        async with self.opened(tmp_path) as store:
            await store.put([(f"rec_{n}", n, b"x") for n in range(5_000)])
            assert await store.sweep(4_500) == 4_500
            assert await store.get("rec_4499") is None
            assert await store.get("rec_4500") == b"x"
            assert await store.sweep(4_500) == 0

    async def test_concurrent_puts_keep_all(self, tmp_path: Path) -> None:
        """Calls at the same time lose nothing."""
        async with self.opened(tmp_path) as store:
            await asyncio.gather(*(store.put([(f"rec_{n}", n, b"%d" % n)]) for n in range(50)))
            assert [await store.get(f"rec_{n}") for n in range(50)] == [b"%d" % n for n in range(50)]

    async def test_two_openings_see_one_another(self, tmp_path: Path) -> None:
        """A shared store opened twice is one store: any server answers for any request."""
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as two:
            if not one.capabilities.shared:
                pytest.skip("not shared")
            await one.put([("rec_a", 1, b"one")])
            assert await two.get("rec_a") == b"one"
