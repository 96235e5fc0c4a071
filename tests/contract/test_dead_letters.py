"""The stores of dead letters keep their port's contract."""

from pathlib import Path

import pytest
from tests.engines.kafka import Kafka

from kindred.adapters.kafka import dead_letters as kafka_letters
from kindred.adapters.memory import dead_letters as memory
from kindred.adapters.sqlite import dead_letters as sqlite
from kindred.ports.log import DeadLetters
from kindred.testing.dead_letters_suite import DeadLettersSuite


class TestMemoryDeadLetters(DeadLettersSuite):
    async def open_store(self, home: Path) -> DeadLetters:
        return await memory.open_dead_letters("", home)


class TestSqliteDeadLetters(DeadLettersSuite):
    async def open_store(self, home: Path) -> DeadLetters:
        return await sqlite.open_dead_letters("dead_letters.sqlite", home)


class TestKafkaDeadLetters(DeadLettersSuite):
    @pytest.fixture(autouse=True)
    def _broker(self, kafka: Kafka) -> None:
        self.broker = kafka

    async def open_store(self, home: Path) -> DeadLetters:
        return await kafka_letters.open_dead_letters(self.broker.location(home), home)
