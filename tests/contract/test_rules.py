"""The stores of placements keep their port's contract."""

from pathlib import Path

import pytest
from tests.engines.postgres import Postgres

from kindred.adapters.memory import rules as memory
from kindred.adapters.postgres import rules as postgresql
from kindred.adapters.sqlite import rules as sqlite
from kindred.ports.rules import RuleStore
from kindred.testing.rules_suite import RulesSuite


class TestMemoryRules(RulesSuite):
    async def open_store(self, home: Path) -> RuleStore:
        return await memory.open_rules("", home)


class TestSqliteRules(RulesSuite):
    async def open_store(self, home: Path) -> RuleStore:
        return await sqlite.open_rules("rules.sqlite", home)


class TestPostgresRules(RulesSuite):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, postgres: Postgres) -> None:
        cls.server = postgres

    async def open_store(self, home: Path) -> RuleStore:
        return await postgresql.open_rules(self.server.schema_url(home).removeprefix("postgresql:"), home)
