"""The stores of dead letters keep their port's contract."""

from pathlib import Path

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
