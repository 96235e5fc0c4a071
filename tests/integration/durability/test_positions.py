"""What moves positions about while events come in changes no value, on real servers: a rebuild finds the same."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from tests.e2e.platform.fleet import FLEET, Consumer, Platform, platforms
from tests.e2e.platform.inside import assert_equals_a_rebuild, opened, user_records
from tests.e2e.platform.server import Server, eventually_async, kindred
from tests.integration.durability.senders import DEVICES, Sender, Told, first_time
from tests.integration.durability.test_kill_fleet import all_there_once

from kindred.adapters.kafka.event_log import KafkaEventLog
from kindred.core.position import Position
from kindred.features.groups import FoldConfig
from kindred.features.user_counters import DEVICES as BY_DEVICE
from kindred.features.user_counters import device_bucket
from kindred.features.values.windows import Counted

SENDERS = 3
SECONDS_BEHIND = 5.0


class Loaded:
    """A fleet with a server and two consumers, and senders that are let loose for a while."""

    def __init__(self, made: Platform) -> None:
        self.made, self.told = made, Told()
        self.server: Server = made.server()
        self.consumers: list[Consumer] = [made.consumer(), made.consumer()]
        base = first_time()
        self._senders = [Sender(number, base, self.told) for number in range(SENDERS)]

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Send for the length of a block, from before it until some more events were acknowledged behind it."""
        stop = asyncio.Event()
        async with self.server.async_client() as client:
            sending = [asyncio.create_task(sender.run(client, stop)) for sender in self._senders]
            await self.more(200)
            yield
            await self.more(200)
            stop.set()
            await asyncio.gather(*sending)

    async def more(self, count: int) -> None:
        """Wait for acknowledgements."""
        enough = len(self.told.acknowledged) + count
        await eventually_async(lambda: asyncio.sleep(0, len(self.told.acknowledged) >= enough), 60)

    async def nothing_changed(self) -> None:
        """Compare what was acknowledged, history, records and a rebuild."""
        await all_there_once(self.made, self.told)
        await asyncio.to_thread(assert_equals_a_rebuild, self.made.home)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """One fleet for all tests here: each finds what the others left."""
    with platforms(tmp_path_factory.mktemp("positions")) as make:
        yield Loaded(make(FLEET))


async def watermarks(made: Platform) -> list[Position]:
    """Return where the state stands, by partition."""
    async with opened(made.home) as stores:
        return [await stores.state.watermark(end.partition) for end in await stores.log.ends()]


async def test_a_state_restored_seconds_behind_the_log(loaded: Loaded) -> None:
    """The server's files are put back to what they were; the consumers live on, and fold what is missing again."""
    engine = loaded.made.engines["state"]
    copy = engine.folder.with_name("copy")

    def put_back() -> None:
        for consumer in loaded.consumers:
            consumer.signal(signal.SIGSTOP)
        engine.kill()
        shutil.rmtree(engine.folder)
        shutil.copytree(copy, engine.folder)
        engine.start()

    def set_aside() -> None:
        engine.kill()
        shutil.copytree(engine.folder, copy)
        engine.start()

    async with loaded.load():
        await asyncio.to_thread(set_aside)
        await asyncio.sleep(SECONDS_BEHIND)
        before = await watermarks(loaded.made)
        await asyncio.to_thread(put_back)
        after = await watermarks(loaded.made)
        for consumer in loaded.consumers:
            consumer.signal(signal.SIGCONT)
    assert any(now < then for now, then in zip(after, before, strict=True)), "the store was not behind"
    await loaded.nothing_changed()


async def test_from_four_partitions_to_eight(loaded: Loaded) -> None:
    """Both logs; servers and consumers go on."""
    async with loaded.load(), opened(loaded.made.home) as stores:
        for log in (stores.log, stores.item_log):
            assert isinstance(log, KafkaEventLog)
            assert len(await log.ends()) == 4
            assert await log.repartition(8) == 1
        await loaded.more(200)
    newer = {position.partition for position in loaded.told.acknowledged.values() if position.epoch == 1}
    assert newer & {4, 5, 6, 7}
    await loaded.nothing_changed()


async def by_device(made: Platform) -> dict[str, int]:
    """Return how many events of all users were counted under each device."""
    fold = FoldConfig(devices=DEVICES)
    async with opened(made.home) as stores:
        counted = [Counted(record.counters) for record in (await user_records(stores)).values()]
    return {device: sum(each.at(BY_DEVICE, device_bucket(device, fold)) for each in counted) for device in DEVICES}


@pytest.mark.long
async def test_a_feature_added_under_load(loaded: Loaded) -> None:
    """The state with another device is built beside the live one, which goes on; then the consumers go over to it."""
    made, settings = loaded.made, loaded.made.home / "kindred.toml"
    live = made.engines["state"].url
    new = live.replace("/0", "/1")

    def go_over() -> None:
        settings.write_text(settings.read_text() + f"[consumer.fold]\ndevices = {list(DEVICES)}\n")
        kindred(made.home, "state", "rebuild", "--into", new, "--no-compare")
        for each in (*loaded.consumers, loaded.server):
            each.kill()
        settings.write_text(settings.read_text().replace(live, new))
        for each in (*loaded.consumers, loaded.server):
            each.start()

    async with loaded.load():
        assert (await by_device(made))["fridge"] == 0
        await asyncio.to_thread(go_over)
    await loaded.nothing_changed()
    sent = [event["context"]["device"] for event in loaded.told.sent.values()]
    counted = await by_device(made)
    assert all(0 < counted[device] <= sent.count(device) for device in DEVICES)
