"""The stores of tokens keep their port's contract; SQLite's keeps its file from other users."""

import stat
from pathlib import Path

import pytest
from tests.engines.postgres import Postgres

from kindred.adapters.memory import tokens as memory
from kindred.adapters.postgres import tokens as postgresql
from kindred.adapters.sqlite import tokens as sqlite
from kindred.ports.operations import TokenStore
from kindred.testing.tokens_suite import TokensSuite, token


class TestMemoryTokens(TokensSuite):
    async def open_store(self, home: Path) -> TokenStore:
        return await memory.open_tokens("", home)


class TestSqliteTokens(TokensSuite):
    async def open_store(self, home: Path) -> TokenStore:
        return await sqlite.open_tokens("tokens.sqlite", home)

    async def test_its_files_are_private(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.add(token("a"))
            files = [path for path in tmp_path.glob("tokens.sqlite*") if path.suffix not in {".lock", ".open"}]
            assert len(files) == 3
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


class TestPostgresTokens(TokensSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, postgres: Postgres) -> None:
        cls.server = postgres

    async def open_store(self, home: Path) -> TokenStore:
        return await postgresql.open_tokens(self.server.schema_url(home).removeprefix("postgresql:"), home)
