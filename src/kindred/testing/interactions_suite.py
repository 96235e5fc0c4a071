"""What every history must do: subclass `InteractionsSuite`, say how yours is opened, and run it by pytest."""

import asyncio
import hashlib
import math
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kindred.core.errors import InvalidInput
from kindred.core.position import START, Position
from kindred.ports.interactions import InteractionColumns, InteractionRow, InteractionStore

_FACTS = st.tuples(
    st.sampled_from(["ada", "bob", "ü"]),
    st.integers(0, 3),
    st.sampled_from(["view", "rating"]),
    st.one_of(st.none(), st.integers(0, 4), st.integers(-(10**12), 10**13)),
    st.sampled_from([math.nan, 0.0, 4.5]),
)


def row(user_id: str, item: int, event_type: str, timestamp: int | None, value: float = math.nan) -> InteractionRow:
    """Return a row whose id is made of its contents."""
    facts = repr((user_id, item, event_type, timestamp, value))
    return InteractionRow(hashlib.md5(facts.encode()).digest(), user_id, item, event_type, timestamp, value)


def at(offset: int) -> Position:
    """Return a position in epoch 0 and partition 0."""
    return Position(0, 0, offset)


def columns(rows: Sequence[InteractionRow]) -> InteractionColumns:
    """Return rows as columns."""
    return InteractionColumns(
        row_ids=np.array([each.row_id for each in rows], "S16"),
        users=[each.user_id for each in rows],
        items=np.array([each.item for each in rows], np.int32),
        event_types=[each.event_type for each in rows],
        timestamps=np.array([-1 if each.timestamp is None else each.timestamp for each in rows], np.int64),
        values=np.array([each.value for each in rows], np.float64),
    )


def plain(rows: Iterable[InteractionRow]) -> list[tuple[Any, ...]]:
    """Return rows as tuples that compare equal where both values are NaN."""
    return [(*each[:5], None if math.isnan(each.value) else each.value) for each in rows]


def newest_first(rows: Iterable[InteractionRow]) -> list[tuple[Any, ...]]:
    """Return plain rows by time, newest first, unknown times last, ties by row id."""

    def recency(each: InteractionRow) -> tuple[bool, int, bytes]:
        return each.timestamp is not None, each.timestamp or 0, each.row_id

    return plain(sorted(rows, key=recency, reverse=True))


class InteractionsSuite:
    """The suite of the InteractionStore port; it needs pytest, pytest-asyncio in its automatic mode, and hypothesis.

    A row id stands for one row for ever: the suite never gives one id to two different rows, and does not look at the
    order of rows with equal times.
    """

    async def open_store(self, home: Path) -> InteractionStore:
        """Open the history kept under `home`; opening it again finds what was there, where it is durable."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its history is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[InteractionStore]:
        """Open the history for a block and close it behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def test_an_empty_history_has_nothing(self, tmp_path: Path) -> None:
        """No rows, no counts, and adding nothing adds nothing."""
        async with self.opened(tmp_path) as store:
            assert await store.by_user("ada", 10) == await store.by_item(1, 10) == []
            assert await store.add([], START) == await store.add_columns(columns([])) == 0
            assert await store.forget("ada", START) == 0
            assert await store.counts() == (0, 0, 0)
            await store.check()

    async def test_rows_come_back_newest_first(self, tmp_path: Path) -> None:
        """By user and by item, before 1970 too; rows without time come last."""
        rows = [row("ada", 7, "view", time, 1.5) for time in (5, None, -3_000, 1_600_000_000_000, 0, -1_000)]
        rows += [row("bob", 7, "purchase", 6), row("bob", 8, "purchase", 7)]
        async with self.opened(tmp_path) as store:
            assert await store.add(rows, START) == len(rows)
            for user_id in ("ada", "bob"):
                expected = newest_first(each for each in rows if each.user_id == user_id)
                assert plain(await store.by_user(user_id, 100)) == expected
                assert plain(await store.by_user(user_id, 2)) == expected[:2]
            assert plain(await store.by_item(7, 100)) == newest_first(each for each in rows if each.item == 7)
            assert plain(await store.by_item(7, 3)) == newest_first(each for each in rows if each.item == 7)[:3]
            assert await store.by_user("ada", 0) == await store.by_user("nobody", 5) == []

    async def test_before_leaves_out_rows_at_or_after_it(self, tmp_path: Path) -> None:
        """Earlier rows stay, and so do rows without time."""
        rows = [row("ada", item, "view", time) for item, time in enumerate((10, 20, 30, None))]
        async with self.opened(tmp_path) as store:
            await store.add(rows, START)
            assert [each.timestamp for each in await store.by_user("ada", 10, before=20)] == [10, None]
            assert [each.timestamp for each in await store.by_user("ada", 10, before=31)] == [30, 20, 10, None]

    async def test_a_known_row_is_skipped(self, tmp_path: Path) -> None:
        """Within a call, between calls, and between rows and columns."""
        one, two, three = (row("ada", item, "view", 5) for item in range(3))
        async with self.opened(tmp_path) as store:
            assert await store.add([one, two, one], START) == 2
            assert await store.add([one], START) == 0
            assert await store.add_columns(columns([three, one, three])) == 1
            assert await store.add([three, two], START) == 0
            assert await store.counts() == (3, 1, 3)
            assert sorted(plain(await store.by_user("ada", 10)), key=repr) == sorted(plain([one, two, three]), key=repr)

    async def test_row_ids_are_any_sixteen_bytes(self, tmp_path: Path) -> None:
        """Zero bytes at either end count; another length is refused and nothing is stored."""
        ids = [bytes(16), b"\x01" + bytes(15), bytes(15) + b"\x01", b"\xff" * 16]
        rows = [InteractionRow(each, "ada", 1, "view", 5, math.nan) for each in ids]
        async with self.opened(tmp_path) as store:
            assert await store.add_columns(columns(rows)) == 4
            assert await store.add(rows, START) == 0
            assert {each.row_id for each in await store.by_user("ada", 10)} == set(ids)
            with pytest.raises(InvalidInput, match="row_id"):
                await store.add([rows[0]._replace(user_id="bob"), rows[0]._replace(row_id=b"short")], START)
            assert await store.counts() == (4, 1, 1)

    async def test_columns_of_different_lengths_are_refused(self, tmp_path: Path) -> None:
        """InvalidInput says which lengths, and nothing is stored."""
        whole = columns([row("ada", 1, "view", 5), row("ada", 2, "view", 6)])
        cut = InteractionColumns(whole.row_ids, ["ada"], whole.items, whole.event_types, whole.timestamps, whole.values)
        async with self.opened(tmp_path) as store:
            with pytest.raises(InvalidInput, match="users"):
                await store.add_columns(cut)
            assert await store.counts() == (0, 0, 0)

    async def test_many_rows_at_once(self, tmp_path: Path) -> None:
        """Tens of thousands of rows are stored once, counted, and read newest first."""
        rows = [row(f"user {n % 997}", n % 101, ("view", "click")[n % 2], n * 7_919 % 100_003) for n in range(60_000)]
        async with self.opened(tmp_path) as store:
            assert await store.add_columns(columns(rows[:40_000])) == 40_000
            assert await store.add_columns(columns(rows)) == 20_000
            assert await store.counts() == (60_000, 997, 101)
            assert plain(await store.by_user("user 5", 1_000)) == newest_first(rows[5::997])
            times = sorted((each.timestamp or 0 for each in rows[3::101]), reverse=True)
            assert [each.timestamp for each in await store.by_item(3, 500)] == times[:500]

    async def test_forgetting_a_user_leaves_the_others(self, tmp_path: Path) -> None:
        """The user's rows are gone from both sides and from the counts, and may be written again."""
        rows = [row(user_id, item, "view", item) for user_id in ("ada", "bob") for item in range(3)]
        rows.append(row("ada", 99, "view", None))
        async with self.opened(tmp_path) as store:
            await store.add(rows, START)
            assert await store.forget("ada", at(1)) == 4
            assert await store.forget("ada", at(2)) == 0
            assert await store.by_user("ada", 10) == await store.by_item(99, 10) == []
            assert [each.user_id for each in await store.by_item(0, 10)] == ["bob"]
            assert await store.counts() == (3, 1, 3)
            assert await store.add(rows, at(3)) == 4

    async def test_old_rows_are_trimmed(self, tmp_path: Path) -> None:
        """Rows of before a time go, of every user; those at it, behind it and without time stay."""
        rows = [row(f"user {n:04d}", n % 3, "view", time) for n in range(1_200) for time in (10, 20, 30)]
        rows += [row("ada", 1, "view", None), row("bob", 1, "view", 5)]
        async with self.opened(tmp_path) as store:
            await store.add_columns(columns(rows))
            assert await store.trim(10) == 1
            assert await store.counts() == (3_601, 1_201, 3)
            assert await store.trim(20) == 1_200
            assert await store.trim(20) == 0
            assert [each.timestamp for each in await store.by_user("user 0007", 10)] == [30, 20]
            assert [each.timestamp for each in await store.by_user("ada", 10)] == [None]
            assert await store.trim(31) == 2_400
            assert await store.counts() == (1, 1, 1)
            assert await store.add(rows[:1], START) == 1

    async def test_removing_an_item_leaves_the_rest_of_the_history(self, tmp_path: Path) -> None:
        """All rows of that user and item go, at both ends of the index; another user's rows of it stay."""
        rows = [
            row("ada", 1, "view", 5),
            row("ada", 1, "like", None),
            row("ada", 2, "view", 6),
            row("bob", 1, "view", 7),
        ]
        async with self.opened(tmp_path) as store:
            await store.add(rows, START)
            assert await store.remove("ada", 1, at(1)) == 2
            assert await store.remove("ada", 1, at(2)) == 0
            assert await store.remove("ada", 77, at(2)) == 0
            assert await store.remove("nobody", 1, at(2)) == 0
            assert plain(await store.by_user("ada", 10)) == plain([rows[2]])
            assert plain(await store.by_item(1, 10)) == plain([rows[3]])
            assert await store.counts() == (2, 2, 2)
            await store.add(rows[:1], at(3))
            assert plain(await store.by_user("ada", 10)) == plain([rows[2], rows[0]])
            await store.remove("ada", 1, at(4))
            await store.remove("ada", 2, at(4))
            assert await store.counts() == (1, 1, 1)

    async def test_removing_some_event_types_leaves_the_others(self, tmp_path: Path) -> None:
        """Only rows of that user, that item and those types go; no type at all removes nothing."""
        rows = [row("ada", 1, kind, 5 + n) for n, kind in enumerate(["view", "like", "dislike"])]
        rows += [row("ada", 2, "like", 9), row("bob", 1, "like", 10)]
        async with self.opened(tmp_path) as store:
            await store.add(rows, START)
            assert await store.remove("ada", 1, at(1), []) == 0
            assert await store.remove("ada", 1, at(1), ["unheard of"]) == 0
            assert await store.remove("ada", 1, at(1), ["like", "dislike"]) == 2
            assert plain(await store.by_user("ada", 10)) == plain([rows[3], rows[0]])
            assert plain(await store.by_item(1, 10)) == plain([rows[4], rows[0]])

    async def test_what_was_forgotten_is_not_added_by_who_stands_before_it(self, tmp_path: Path) -> None:
        """A late writer brings nothing back, and takes away nothing that was added since."""
        before, after = [row("ada", n, "view", n) for n in range(2)], row("ada", 9, "view", 9)
        other = row("bob", 0, "view", 0)
        async with self.opened(tmp_path) as store:
            await store.add(before, at(1))
            assert await store.forget("ada", at(5)) == 2
            for late in (START, at(1), at(5)):
                assert await store.add([*before, other], late) == (late == START)
            assert await store.add([after], at(6)) == 1
            assert await store.forget("ada", at(5)) == await store.forget("ada", at(4)) == 0
            assert await store.remove("ada", 9, at(5)) == await store.remove("ada", 9, at(3), ["view"]) == 0
            assert plain(await store.by_user("ada", 10)) == plain([after])
            assert await store.add_columns(columns(before)) == 2
            assert await store.forget("ada", Position(1, 0, 0)) == 3
            assert await store.add([after], Position(0, 0, 1 << 40)) == 0

    async def test_what_was_removed_is_not_added_by_who_stands_before_it(self, tmp_path: Path) -> None:
        """Of that item, or of that item and type alone; what came since stays when it is removed late."""
        view, like, other = row("ada", 1, "view", 1), row("ada", 1, "like", 2), row("ada", 2, "like", 3)
        async with self.opened(tmp_path) as store:
            await store.add([view, like, other], at(1))
            assert await store.remove("ada", 1, at(5), ["like"]) == 1
            assert await store.add([view, like, other], at(4)) == 0
            assert await store.remove("ada", 1, at(7)) == 1
            assert await store.add([view, like, other], at(7)) == 0
            assert await store.add([view, like], at(8)) == 2
            assert await store.remove("ada", 1, at(7)) == await store.remove("ada", 1, at(5), ["like"]) == 0
            assert await store.counts() == (3, 1, 2)
            # Forgotten later than it was removed: both hold.
            await store.forget("ada", at(10))
            assert await store.add([view, like, other], at(10)) == 0
            assert await store.add([view, like, other], at(11)) == 3

    async def test_concurrent_writers_lose_nothing(self, tmp_path: Path) -> None:
        """Overlapping calls at the same time store every row once."""
        rows = [row(f"user {n % 3}", n, "view", n) for n in range(200)]
        async with self.opened(tmp_path) as store:
            parts = [rows[start : start + 20] for start in range(0, 190, 10)]
            new = await asyncio.gather(*(store.add(part, START) for part in parts))
            assert sum(new) == len(rows)
            assert await store.counts() == (200, 3, 200)

    async def test_it_is_found_again(self, tmp_path: Path) -> None:
        """A durable history opened again has the same rows and skips the same ones."""
        rows = [row("ada", 1, "view", 5), row("ada", 2, "rating", None, 4.5)]
        async with self.opened(tmp_path) as store:
            if not store.capabilities.durable:
                pytest.skip("not durable")
            await store.add(rows, START)
        async with self.opened(tmp_path) as store:
            assert plain(await store.by_user("ada", 10)) == newest_first(rows)
            assert await store.add_columns(columns(rows)) == 0

    async def test_two_openings_see_one_another(self, tmp_path: Path) -> None:
        """A shared history opened twice is one history; event types of either are known to both."""
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as two:
            if not one.capabilities.shared:
                pytest.skip("not shared")
            rows = [row("ada", 1, "view", 5), row("ada", 2, "skip", 6)]
            assert await one.add(rows[:1], START) == 1
            assert await two.add(rows, START) == 1
            assert plain(await one.by_user("ada", 10)) == newest_first(rows)

    @settings(max_examples=25, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])
    @given(calls=st.lists(st.tuples(st.booleans(), st.lists(_FACTS, max_size=6)), max_size=6))
    async def test_any_calls_add_up_to_the_set_of_their_rows(
        self, calls: list[tuple[bool, list[tuple[str, int, str, int | None, float]]]]
    ) -> None:
        """By rows or by columns, in any order and however often: each row once, newest first."""
        with tempfile.TemporaryDirectory() as folder:
            async with self.opened(Path(folder)) as store:
                known: dict[bytes, InteractionRow] = {}
                for as_columns, facts in calls:
                    # Columns write an unknown time as -1.
                    rows = [row(*each) for each in facts if each[3] != -1]
                    new = {each.row_id: each for each in rows if each.row_id not in known}
                    added = await (store.add_columns(columns(rows)) if as_columns else store.add(rows, START))
                    assert added == len(new)
                    known |= new
                await _assert_holds(store, list(known.values()))


async def _assert_holds(store: InteractionStore, rows: list[InteractionRow]) -> None:
    """Assert that the history holds exactly these rows, from whichever side it is read."""
    users, found_items = {each.user_id for each in rows}, {each.item for each in rows}
    assert await store.counts() == (len(rows), len(users), len(found_items))
    for user_id in users:
        found = await store.by_user(user_id, 1_000)
        assert sorted(plain(found), key=repr) == sorted(newest_first(r for r in rows if r.user_id == user_id), key=repr)
        _assert_falling([each.timestamp for each in found])
    for item in found_items:
        found = await store.by_item(item, 1_000)
        assert sorted(plain(found), key=repr) == sorted(newest_first(r for r in rows if r.item == item), key=repr)
        _assert_falling([each.timestamp for each in found])


def _assert_falling(times: list[int | None]) -> None:
    """Assert that times never rise and that unknown ones are at the end."""
    known = [time for time in times if time is not None]
    assert times[: len(known)] == sorted(known, reverse=True)
