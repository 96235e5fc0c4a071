"""What every keeper of leases must do: subclass `LeasesSuite`, say how yours is opened, and run it by pytest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.ports.operations import Leases


class LeasesSuite:
    """The suite of the Leases port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> Leases:
        """Open the leases kept under `home`; each opening of shared leases stands for another process."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its leases are opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[Leases]:
        """Open the leases for a block and close them behind it."""
        leases = await self.open_store(home)
        try:
            yield leases
        finally:
            await leases.close()

    async def test_one_owner_at_a_time(self, tmp_path: Path) -> None:
        """A second owner gets None until the first gives the lease back."""
        async with self.opened(tmp_path) as leases:
            assert await leases.holder("consumer") is None
            fence = await leases.acquire("consumer", "one")
            assert fence is not None
            assert await leases.acquire("consumer", "two") is None
            assert await leases.holder("consumer") == "one"
            assert await leases.holds("consumer", fence)
            await leases.release("consumer", fence)
            assert await leases.holder("consumer") is None
            assert not await leases.holds("consumer", fence)
            await leases.check()

    async def test_the_number_grows_with_every_change_of_owner(self, tmp_path: Path) -> None:
        """Also when the same owner comes back; the holder itself gets its number again."""
        async with self.opened(tmp_path) as leases:
            fences = []
            for owner in ("one", "two", "two", "one"):
                fence = await leases.acquire("consumer", owner)
                assert fence is not None
                assert await leases.acquire("consumer", owner) == fence
                fences.append(fence)
                await leases.release("consumer", fence)
            assert fences == sorted(set(fences))

    async def test_a_stale_number_neither_holds_nor_releases(self, tmp_path: Path) -> None:
        """Who lost the lease cannot act under its old number."""
        async with self.opened(tmp_path) as leases:
            old = await leases.acquire("consumer", "one")
            assert old is not None
            await leases.release("consumer", old)
            new = await leases.acquire("consumer", "two")
            assert new is not None
            await leases.release("consumer", old)
            assert not await leases.holds("consumer", old)
            assert await leases.holds("consumer", new)

    async def test_names_are_apart(self, tmp_path: Path) -> None:
        """One lease says nothing of another."""
        async with self.opened(tmp_path) as leases:
            assert await leases.acquire("consumer", "one") is not None
            assert await leases.acquire("trainer", "two") is not None
            assert await leases.holder("trainer") == "two"
            assert not await leases.holds("scheduler", 1)

    async def test_shared_leases_exclude_and_fence_other_openings(self, tmp_path: Path) -> None:
        """Closing gives leases back, and the next owner's number is greater."""
        async with self.opened(tmp_path) as one:
            if not one.capabilities.shared:
                return
            async with self.opened(tmp_path) as two:
                first = await one.acquire("consumer", "one")
                assert first is not None
                assert await two.acquire("consumer", "two") is None
                assert await two.acquire("consumer", "one") is None
                assert await two.holder("consumer") == "one"
                await one.close()
                second = await two.acquire("consumer", "two")
                assert second is not None
                assert second > first
                assert not await one.holds("consumer", first)
