"""A full disk is said to be full, claims nothing, loses nothing, and works again once there is room."""

from pathlib import Path

import pytest

from kindred.adapters.local.models import open_models
from kindred.adapters.local.state import open_state
from kindred.adapters.sqlite.event_log import open_event_log
from kindred.core.bundle import Manifest
from kindred.core.errors import StoreFull
from kindred.core.position import START, Position
from kindred.ports.state import StateKey, StateRecord, StateWrite


async def test_the_event_log(small_disk: Path) -> None:
    log = await open_event_log("log", small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (2 << 20))
    claimed: list[Position] = []

    async def fill() -> None:
        while True:
            claimed.extend(await log.append([("key", b"y" * 20_000)] * 3))

    with pytest.raises(StoreFull, match="room"):
        await fill()
    assert claimed
    with pytest.raises(StoreFull):
        await log.append([("key", b"z" * 100_000)])
    assert [record.position for record in await log.read(START, 10_000)] == claimed
    ballast.unlink()
    claimed += await log.append([("key", b"y" * 20_000)] * 3)
    await log.commit("fold", claimed[-1])
    await log.close()
    again = await open_event_log("log", small_disk)
    assert [record.position for record in await again.read(START, 10_000)] == claimed
    await again.close()


async def test_the_state(small_disk: Path) -> None:
    state = await open_state("state", small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (2 << 20))
    offset = 0

    def rows(offset: int) -> list[StateWrite]:
        record = StateRecord(Position(0, 0, offset), b"v" * 1_000)
        return [StateWrite(StateKey("user@1", f"{offset}-{key}"), record) for key in range(50)]

    async def fill() -> None:
        nonlocal offset
        while True:
            await state.write(rows(offset), Position(0, 0, offset))
            offset += 1

    with pytest.raises(StoreFull, match="room"):
        await fill()
    assert offset > 3
    view = await state.read([each.key for each in rows(offset - 1) + rows(offset)])
    assert view.watermark == Position(0, 0, offset - 1)
    assert [record is not None for record in view.records] == [True] * 50 + [False] * 50
    ballast.unlink()
    assert await state.write(rows(offset), Position(0, 0, offset)) == 50
    await state.close()


async def test_the_bundles(small_disk: Path) -> None:
    store = await open_models("bundles", small_disk)
    folder = await store.stage()
    (folder / "a.npy").write_bytes(b"a" * 100)
    await store.publish(folder, Manifest(version="v1", created=1))
    folder = await store.stage()
    (folder / "a.npy").write_bytes(b"a" * 100)
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="space"):
        ballast.write_bytes(b"x" * (8 << 20))
    with pytest.raises(StoreFull, match="room"):
        await store.publish(folder, Manifest(version="v2", created=2))
    assert await store.active() == "v1"
    await store.open("v1")
    ballast.unlink()
    await store.publish(folder, Manifest(version="v2", created=2))
    assert await store.active() == "v2"
