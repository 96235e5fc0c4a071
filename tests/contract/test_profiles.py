"""The stores of profiles keep their port's contract."""

from pathlib import Path

from kindred.adapters.memory import profiles as memory
from kindred.adapters.sqlite import profiles as sqlite
from kindred.ports.catalog import ProfileStore
from kindred.testing.profiles_suite import ProfilesSuite


class TestMemoryProfiles(ProfilesSuite):
    async def open_store(self, home: Path) -> ProfileStore:
        return await memory.open_profiles("", home)


class TestSqliteProfiles(ProfilesSuite):
    async def open_store(self, home: Path) -> ProfileStore:
        return await sqlite.open_profiles("profiles.sqlite", home)
