"""The event logs keep their port's contract."""

from pathlib import Path

from kindred.adapters.memory import event_log as memory
from kindred.adapters.sqlite import event_log as sqlite
from kindred.ports.log import EventLog
from kindred.testing.event_log_suite import EventLogSuite


class TestMemoryEventLog(EventLogSuite):
    async def open_store(self, home: Path) -> EventLog:
        return await memory.open_event_log("", home)


class TestSqliteEventLog(EventLogSuite):
    async def open_store(self, home: Path) -> EventLog:
        return await sqlite.open_event_log("log", home)
