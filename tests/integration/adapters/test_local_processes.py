"""State and leases under several processes and kills."""

from pathlib import Path

from kindred.adapters.local.leases import open_leases
from kindred.adapters.local.state import LocalStateStore, open_state
from kindred.core.position import Position
from kindred.ports.state import StateKey, StateRecord, StateWrite

KEYS = 40


def rows(offset: int, keys: int = KEYS) -> list[StateWrite]:
    record = StateRecord(Position(0, 0, offset), b"%d " % offset * 200)
    return [StateWrite(StateKey("user@1", str(key)), record) for key in range(keys)]


def ask(reader) -> list[int]:
    reader.stdin.write("\n")
    reader.stdin.flush()
    return [int(word) for word in reader.stdout.readline().split()]


async def test_readers_in_other_processes_see_each_write_and_a_growing_map(tmp_path: Path, start) -> None:
    state = LocalStateStore(tmp_path / "state", map_size=64 << 10)
    readers = [start("read-state", tmp_path, 2_000) for _ in range(2)]
    assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * 2
    assert [ask(reader) for reader in readers] == [[-1, 0]] * 2
    for offset, keys in ((1, 10), (2, 2_000), (3, 2_000)):
        await state.write(rows(offset, keys), Position(0, 0, offset))
        assert [ask(reader) for reader in readers] == [[offset, keys, offset]] * 2
    # A zombie with older positions changes nothing that they see.
    assert await state.write(rows(2, 2_000), Position(0, 0, 2)) == 0
    assert [ask(reader) for reader in readers] == [[3, 2_000, 3]] * 2
    assert (tmp_path / "state" / "data.mdb").stat().st_size > 16 * (64 << 10)
    await state.close()


async def test_a_killed_writer_leaves_whole_writes(tmp_path: Path, start) -> None:
    reader = start("read-state", tmp_path, KEYS)
    assert reader.stdout.readline() == "ready\n"
    for run in range(4):
        writer = start("write-state", tmp_path, KEYS)
        for _ in range(10 + 3 * run):
            last = int(writer.stdout.readline())
        writer.kill()
        last = max([last, *(int(line) for line in writer.stdout.read().splitlines())])
        offset, count, *carried = ask(reader)
        assert (count, carried) == (KEYS, [offset])
        assert offset >= last
    state = await open_state("state", tmp_path)
    # Of a write that the kill met at its very end readers see nothing until the next one: that may be the one before.
    assert await state.write(rows(offset + 2), Position(0, 0, offset + 2)) == KEYS
    await state.close()


async def test_killed_readers_leave_room_for_others(tmp_path: Path, start) -> None:
    state = await open_state("state", tmp_path)
    await state.write(rows(1), Position(0, 0, 1))
    for _ in range(3):
        reader = start("read-state", tmp_path, KEYS)
        reader.stdout.readline()
        assert ask(reader) == [1, KEYS, 1]
        reader.kill()
        reader.wait()
    await state.write(rows(2), Position(0, 0, 2))
    reader = start("read-state", tmp_path, KEYS)
    reader.stdout.readline()
    assert ask(reader) == [2, KEYS, 2]
    await state.close()


async def test_a_killed_owner_frees_its_lease(tmp_path: Path, start) -> None:
    owner = start("hold-lease", tmp_path, "first")
    first = int(owner.stdout.readline())
    leases = await open_leases("leases", tmp_path)
    assert await leases.holder("consumer") == "first"
    assert await leases.acquire("consumer", "here") is None
    standby = start("hold-lease", tmp_path, "standby")
    owner.kill()
    second = int(standby.stdout.readline())
    assert second > first
    assert await leases.holder("consumer") == "standby"
    assert not await leases.holds("consumer", first)
    standby.kill()
    standby.wait()
    third = await leases.acquire("consumer", "here")
    assert third is not None
    assert third > second
    await leases.close()
