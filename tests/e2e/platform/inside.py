"""The stores of a data folder, opened in this process beside the servers that use them."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.platform.server import kindred

from kindred.app.sections import SCHEMA, StoresConfig
from kindred.app.stores import Stores, open_stores
from kindred.core.event import Event, decode_event
from kindred.core.position import START, Position
from kindred.features.groups import ITEM, USER, user_key
from kindred.features.items import decode_item
from kindred.features.users import UserRecord, decode_user
from kindred.models.preference import EVENT_WEIGHTS
from kindred.ports.log import EventLog
from kindred.settings.load import load_settings

EVERYTHING = 10_000_000


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Stores]:
    """Open the stores that the settings of a data folder name, and close them at the end."""
    settings = load_settings(SCHEMA, {}, home)
    stores = await open_stores(settings.section(StoresConfig), home)
    try:
        yield stores
    finally:
        await stores.close()


async def logged(log: EventLog, after: Position = START) -> list[tuple[Position, Event]]:
    """Return every event of the log behind `after`, in order; of all partitions where there are several."""
    found: list[tuple[Position, Event]] = []
    for end in await log.ends():
        place = after if end.partition == after.partition else end._replace(offset=-1)
        while place < end and (records := await log.read(place, 5_000)):
            found += [(record.position, decode_event(record.data)) for record in records]
            place = records[-1].position
    return found


async def is_folded(stores: Stores) -> bool:
    """Say whether the state has reached the ends of the log, and the items those of theirs."""
    for end in await stores.log.ends():
        if end.offset >= 0 and await stores.state.watermark(end.partition) < end:
            return False
    if stores.item_log is None:
        return True
    folded = {place.partition: place for place in await stores.item_log.committed("items")}
    return all(folded[end.partition] >= end for end in await stores.item_log.ends())


def assert_equals_a_rebuild(home: Path) -> None:
    """Let `kindred state rebuild` fold the log anew; fail the test where a record differs from the live one."""
    done = kindred(home, "state", "rebuild", "--from", "log", "--json", check=False, timeout=600)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert (report["equal"], done.returncode) == (True, 0), f"{report}\n{done.stderr}"
    assert report["compared"][USER]
    assert report["compared"][ITEM]


async def user_record(stores: Stores, user_id: str) -> UserRecord | None:
    """Return what the state holds of a user."""
    (stored,) = (await stores.state.read([user_key(user_id)])).records
    return None if stored is None else decode_user(stored.value)


async def user_records(stores: Stores) -> dict[str, UserRecord]:
    """Return what the state holds of every user."""
    found = {}
    async for user_id, stored in stores.state.scan(USER):
        record = decode_user(stored.value)
        if record is not None:
            found[user_id] = record
    return found


async def item_counts(stores: Stores) -> Counter[str]:
    """Return how many events of each type the items' records have counted."""
    found: Counter[str] = Counter()
    async for _, stored in stores.state.scan(ITEM):
        record = decode_item(stored.value)
        found.update({event_type: record.count(event_type) for event_type in EVENT_WEIGHTS})
    return +found
