"""The stores of profiles keep their port's contract."""

from pathlib import Path

import pytest
from tests.engines.postgres import Postgres

from kindred.adapters.memory import profiles as memory
from kindred.adapters.postgres import profiles as postgresql
from kindred.adapters.sqlite import profiles as sqlite
from kindred.ports.catalog import ProfileStore
from kindred.testing.profiles_suite import ProfilesSuite


class TestMemoryProfiles(ProfilesSuite):
    async def open_store(self, home: Path) -> ProfileStore:
        return await memory.open_profiles("", home)


class TestSqliteProfiles(ProfilesSuite):
    async def open_store(self, home: Path) -> ProfileStore:
        return await sqlite.open_profiles("profiles.sqlite", home)


class TestPostgresProfiles(ProfilesSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, postgres: Postgres) -> None:
        cls.server = postgres

    async def open_store(self, home: Path) -> ProfileStore:
        return await postgresql.open_profiles(self.server.schema_url(home).removeprefix("postgresql:"), home)
