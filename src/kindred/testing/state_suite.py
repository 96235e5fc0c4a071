"""What every state store must do: subclass `StateSuite`, say how yours is opened, and run it by pytest."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.core.errors import InvalidInput, StateWentBack
from kindred.core.position import START, Position
from kindred.ports.state import StateKey, StateRecord, StateStore, StateView, StateWrite

LONG_SHORT_GONE = (b"abcdefgh", b"x", b"abcd")
A, B = StateKey("user@1", "a"), StateKey("user@1", "b")


def at(offset: int) -> Position:
    """Return a position in epoch 0 and partition 0."""
    return Position(0, 0, offset)


def write(key: StateKey, offset: int, value: bytes) -> StateWrite:
    """Return a write of `value` folded to `offset`."""
    return StateWrite(key, StateRecord(at(offset), value))


class StateSuite:
    """The suite of the StateStore port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> StateStore:
        """Open the store kept under `home`; opening it again finds what was there, where it is durable."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its store is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[StateStore]:
        """Open the store for a block and close it behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def test_an_empty_store_has_nothing(self, tmp_path: Path) -> None:
        """No records, and watermarks at offset -1 of the partition asked for."""
        async with self.opened(tmp_path) as store:
            assert await store.read([A, B]) == StateView(START, [None, None])
            assert await store.read([]) == StateView(START, [])
            assert await store.watermark(3) == Position(0, 3, -1)
            assert [row async for row in store.scan("user@1")] == []
            await store.check()

    async def test_records_are_read_in_the_order_asked(self, tmp_path: Path) -> None:
        """One record or None per key, repeated keys too, with the watermark."""
        async with self.opened(tmp_path) as store:
            assert await store.write([write(A, 1, b"one"), write(B, 2, bytes(range(256)))], at(2)) == 2
            one, two = StateRecord(at(1), b"one"), StateRecord(at(2), bytes(range(256)))
            missing = StateKey("user@2", "a")
            assert await store.read([B, missing, A, B]) == StateView(at(2), [two, None, one, two])

    async def test_a_record_only_moves_forward(self, tmp_path: Path) -> None:
        """At or behind the stored position nothing changes, whatever epoch the offset belongs to."""
        async with self.opened(tmp_path) as store:
            await store.write([write(A, 5, b"five")], at(5))
            assert await store.write([write(A, 5, b"same"), write(B, 3, b"three")], at(6)) == 1
            assert await store.write([write(A, 4, b"four")], at(7)) == 0
            assert (await store.read([A])).records == [StateRecord(at(5), b"five")]
            newer = StateRecord(Position(1, 0, 0), b"next epoch")
            assert await store.write([StateWrite(A, newer)], Position(1, 0, 0)) == 1
            assert await store.write([write(A, 9, b"old epoch")], at(9)) == 0
            assert await store.read([A]) == StateView(Position(1, 0, 0), [newer])

    async def test_of_two_writes_to_one_key_the_newest_stays(self, tmp_path: Path) -> None:
        """The rule holds inside one write too, in either order."""
        async with self.opened(tmp_path) as store:
            assert await store.write(
                [write(A, 1, b"1"), write(A, 2, b"2"), write(B, 2, b"2"), write(B, 1, b"1")], at(2)
            )
            assert (await store.read([A, B])).records == [StateRecord(at(2), b"2")] * 2

    async def test_watermarks_only_move_forward_and_are_per_partition(self, tmp_path: Path) -> None:
        """A write without records moves the watermark alone."""
        async with self.opened(tmp_path) as store:
            await store.write([], at(7))
            await store.write([], at(3))
            await store.write([], Position(0, 1, 2))
            assert await store.watermark() == at(7)
            assert await store.watermark(1) == Position(0, 1, 2)
            assert (await store.read([], 1)).watermark == Position(0, 1, 2)

    async def test_a_write_built_on_more_than_the_store_holds_is_refused(self, tmp_path: Path) -> None:
        """Neither records nor the watermark move; built on as much or less, they do."""
        many = [write(StateKey("user@1", str(number)), 9, b"new") for number in range(1_200)]
        async with self.opened(tmp_path) as store:
            assert await store.write([write(A, 0, b"first")], at(0), START) == 1
            await store.write([write(A, 4, b"four")], at(4), at(0))
            for writes in ([write(A, 9, b"new"), write(B, 9, b"new")], many, []):
                with pytest.raises(StateWentBack):
                    await store.write(writes, at(9), at(5))
            assert await store.read([A, B]) == StateView(at(4), [StateRecord(at(4), b"four"), None])
            assert [key async for key, _ in store.scan("user@1")] == ["a"]
            with pytest.raises(StateWentBack):
                await store.write([], Position(0, 1, 3), Position(0, 1, 0))
            assert await store.write(many, at(9), at(4)) == 1_200
            # A zombie's write was built on less: its records are refused one by one.
            assert await store.write([write(B, 10, b"ten"), *many[:1]], at(6), at(2)) == 1
            assert await store.watermark() == at(9)

    async def test_an_empty_value_leaves_a_tombstone(self, tmp_path: Path) -> None:
        """What was removed is not read, and an older write does not bring it back."""
        async with self.opened(tmp_path) as store:
            await store.write([write(A, 1, b"one"), write(B, 1, b"one")], at(1))
            assert await store.write([write(A, 5, b"")], at(5)) == 1
            assert await store.write([write(A, 4, b"four")], at(5)) == 0
            assert (await store.read([A])).records == [None]
            assert [key async for key, _ in store.scan("user@1")] == ["b"]
            assert await store.write([write(A, 6, b"six")], at(6)) == 1
            assert (await store.read([A])).records == [StateRecord(at(6), b"six")]

    async def test_a_scan_goes_through_one_group_by_key(self, tmp_path: Path) -> None:
        """Every record of the group once, in order of UTF-8, and none of a group with a like name."""
        names = [f"ü{number}" for number in range(700)] + ["", "a", "z"]
        async with self.opened(tmp_path) as store:
            await store.write([write(StateKey("item@1", name), 1, name.encode() + b"!") for name in names], at(1))
            await store.write([write(StateKey("item@10", "x"), 1, b"x"), write(StateKey("item@", "x"), 1, b"x")], at(1))
            found = [(key, record.value) async for key, record in store.scan("item@1")]
            expected = sorted(names, key=str.encode)
            assert found == [(name, name.encode() + b"!") for name in expected]

    async def test_heads_are_the_first_bytes_of_values_one_behind_the_other(self, tmp_path: Path) -> None:
        """In the order asked, repeated keys too; zeros for short values, missing and removed records."""
        async with self.opened(tmp_path) as store:
            keys = [StateKey("user@1", key) for key in ("long", "short", "gone")]
            await store.write([write(key, 1, value) for key, value in zip(keys, LONG_SHORT_GONE, strict=True)], at(1))
            assert await store.heads("user@1", ["long", "long"], 3) == b"abcabc"
            await store.write([write(keys[2], 2, b"")], at(2))
            asked = ["short", "gone", "none", "long", "short"]
            assert await store.heads("user@1", asked, 4) == b"x\0\0\0" + bytes(8) + b"abcd" + b"x\0\0\0"
            assert await store.heads("user@2", ["long"], 2) == bytes(2)
            assert await store.heads("user@1", [], 4) == b""
            with pytest.raises(InvalidInput, match="bytes"):
                await store.heads("user@1", ["a", "k" * 505], 4)

    async def test_keys_of_the_greatest_length_are_kept_apart(self, tmp_path: Path) -> None:
        """Group and key together have up to 510 bytes; more is refused and nothing of that write is stored."""
        long = [StateKey("user@1", "k" * 503 + end) for end in "ab"]
        async with self.opened(tmp_path) as store:
            await store.write([write(key, 1, key.key[-1].encode()) for key in long], at(1))
            assert [record and record.value for record in (await store.read(long)).records] == [b"a", b"b"]
            with pytest.raises(InvalidInput, match="bytes"):
                await store.write([write(A, 1, b"a"), write(StateKey("user@1", "k" * 505), 2, b"c")], at(2))
            assert await store.read([A]) == StateView(at(1), [None])

    async def test_any_order_of_writes_ends_at_the_newest(self, tmp_path: Path) -> None:
        """Writes that arrive shuffled and repeated leave each key at its greatest position."""
        chance = random.Random(5)
        keys = [StateKey("g@1", str(number)) for number in range(8)]
        writes = [write(chance.choice(keys), offset, b"%d" % offset) for offset in range(1, 200)]
        newest = {each.key: each.record for each in writes}
        shuffled = chance.sample(writes, len(writes)) + chance.choices(writes, k=50)
        async with self.opened(tmp_path) as store:
            for start in range(0, len(shuffled), 20):
                part = shuffled[start : start + 20]
                await store.write(part, max(each.record.position for each in part))
            assert await store.read(keys) == StateView(at(199), [newest[key] for key in keys])

    async def test_a_durable_store_is_found_again(self, tmp_path: Path) -> None:
        """Records, tombstones and watermarks are there after closing and opening."""
        async with self.opened(tmp_path) as store:
            if not store.capabilities.durable:
                return
            await store.write([write(A, 3, b"three"), write(B, 3, b"")], at(3))
            await store.close()
        async with self.opened(tmp_path) as store:
            assert await store.read([A, B]) == StateView(at(3), [StateRecord(at(3), b"three"), None])
            assert await store.write([write(B, 2, b"two")], at(3)) == 0

    async def test_a_shared_store_is_one_store(self, tmp_path: Path) -> None:
        """Two openings of a shared store see the same records."""
        async with self.opened(tmp_path) as store:
            if not store.capabilities.shared:
                return
            async with self.opened(tmp_path) as other:
                await store.write([write(A, 1, b"one")], at(1))
                assert await other.read([A]) == StateView(at(1), [StateRecord(at(1), b"one")])
