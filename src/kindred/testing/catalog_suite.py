"""What every catalogue must do: subclass `CatalogSuite`, say how yours is opened, and run it by pytest."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kindred.core.item import CatalogItem, Item
from kindred.ports.catalog import CatalogStore

FILM = Item(
    item_id="film 1",
    title="Ünïcode \U0001f600",
    description="A film.",
    categories=["Drama", "War"],
    tags=["slow"],
    thumbnail_url="https://example.org/1.jpg",
    creator="Somebody",
    rating=4.5,
    price=0.0,
    stock=0,
    regions=["DE", "US-CA"],
    active=False,
    available_from=-1,
    available_until=253_402_300_799_000,
    created=0,
    attributes={"year": 1999, "nested": {"list": [1, 2.5, None, True, "x"]}},
)

_IDS = st.sampled_from(["a", "b", "B", "ä", "10", "9", "\U0001f600"])
_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.lists(st.tuples(_IDS, st.integers(0, 2)), max_size=4)),
        st.tuples(st.just("resolve"), st.lists(_IDS, max_size=4)),
        st.tuples(st.just("delete"), st.lists(_IDS, max_size=3)),
    ),
    max_size=12,
)


def items(*item_ids: str) -> list[Item]:
    """Return plain items of these ids."""
    return [Item(item_id=item_id, title=f"Title of {item_id}") for item_id in item_ids]


class CatalogSuite:
    """The suite of the CatalogStore port; it needs pytest, pytest-asyncio in its automatic mode, and hypothesis."""

    async def open_store(self, home: Path) -> CatalogStore:
        """Open the catalogue kept under `home`; opening it again finds what was there, where it is durable."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its catalogue is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[CatalogStore]:
        """Open the catalogue for a block and close it behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def feed(self, store: CatalogStore, seq: int = 0, limit: int = 3) -> list[CatalogItem]:
        """Follow the feed from `seq` to its end, `limit` changes at a time."""
        found: list[CatalogItem] = []
        while part := await store.changes_since(found[-1].seq if found else seq, limit):
            assert len(part) <= limit
            found += part
        return found

    async def test_an_empty_catalogue_has_nothing(self, tmp_path: Path) -> None:
        """Nothing is known, listed or changed, and asking for nothing gives nothing."""
        async with self.opened(tmp_path) as store:
            assert await store.get(["a", "b"]) == [None, None]
            assert await store.by_ordinals([0, -1, 7]) == [None, None, None]
            assert await store.page("", 10) == await store.changes_since(0, 10) == []
            assert await store.delete(["a"], 1) == 0
            assert await store.upsert([], 1) == await store.resolve([], 1) == []
            assert await store.get([]) == []
            await store.check()

    async def test_an_item_comes_back_as_it_was(self, tmp_path: Path) -> None:
        """Every field survives, with the ordinal, the time of the change and `listed`."""
        async with self.opened(tmp_path) as store:
            (ordinal,) = await store.upsert([FILM], 123)
            (found,) = await store.get([FILM.item_id])
            assert found is not None
            assert found == CatalogItem(ordinal=ordinal, seq=found.seq, listed=True, item=FILM, updated=123)
            assert await store.by_ordinals([ordinal]) == [found]

    async def test_ordinals_are_dense_from_zero(self, tmp_path: Path) -> None:
        """New ids get the next ordinals in order; known ones keep theirs."""
        async with self.opened(tmp_path) as store:
            assert await store.upsert(items("c", "a", "b"), 1) == [0, 1, 2]
            assert await store.upsert(items("d", "a", "e"), 2) == [3, 1, 4]
            assert await store.resolve(["e", "new", "c", "new"], 3) == [4, 5, 0, 5]

    async def test_answers_are_in_the_order_asked(self, tmp_path: Path) -> None:
        """Repeated and unknown keys keep their places."""
        async with self.opened(tmp_path) as store:
            await store.upsert(items("a", "b"), 1)
            a, b = await store.get(["a", "b"])
            assert await store.get(["b", "?", "a", "b"]) == [b, None, a, b]
            assert await store.by_ordinals([1, 9, 0, 1]) == [b, None, a, b]

    async def test_an_unchanged_item_makes_no_change(self, tmp_path: Path) -> None:
        """The feed stays still and `updated` too, whatever the order of the attributes' keys."""
        first = Item(item_id="a", attributes={"x": 1, "y": 2})
        same = Item(item_id="a", attributes={"y": 2, "x": 1})
        async with self.opened(tmp_path) as store:
            await store.upsert([first], 1)
            before = await self.feed(store)
            assert await store.upsert([same], 2) == [0]
            assert await self.feed(store) == before
            await store.upsert([msgspec.structs.replace(first, title="new")], 3)
            assert [each.updated for each in await self.feed(store, before[-1].seq)] == [3]

    async def test_of_equal_ids_in_one_call_the_last_wins(self, tmp_path: Path) -> None:
        """One ordinal, one change, the last content."""
        async with self.opened(tmp_path) as store:
            versions = [Item(item_id="a", title=title) for title in ("one", "two")]
            assert await store.upsert(versions, 1) == [0, 0]
            assert [each.item.title for each in await self.feed(store)] == ["two"]

    async def test_a_reserved_item_is_unlisted_until_it_is_described(self, tmp_path: Path) -> None:
        """An id known only from events has an ordinal and a place in the feed, but no place in the list."""
        async with self.opened(tmp_path) as store:
            assert await store.resolve(["a"], 1) == [0]
            (found,) = await store.get(["a"])
            assert found is not None
            assert (found.listed, found.item) == (False, Item(item_id="a"))
            assert await store.page("", 10) == []
            assert await self.feed(store) == [found]
            assert await store.upsert([Item(item_id="a")], 2) == [0]
            assert [each.listed for each in await store.page("", 10)] == [True]

    async def test_resolving_changes_nothing_that_is_known(self, tmp_path: Path) -> None:
        """Listed, reserved and deleted items stay as they are."""
        async with self.opened(tmp_path) as store:
            await store.upsert(items("a", "b"), 1)
            await store.delete(["b"], 2)
            before = await self.feed(store)
            assert await store.resolve(["b", "a"], 3) == [1, 0]
            assert await self.feed(store) == before

    async def test_a_deleted_item_keeps_its_ordinal(self, tmp_path: Path) -> None:
        """It is unlisted, said once in the feed, never counted twice, and may come back."""
        async with self.opened(tmp_path) as store:
            await store.upsert(items("a", "b"), 1)
            last = (await self.feed(store))[-1].seq
            assert await store.delete(["a", "a", "?"], 5) == 1
            assert await store.delete(["a"], 6) == 0
            (change,) = await self.feed(store, last)
            assert (change.ordinal, change.listed, change.updated) == (0, False, 5)
            assert [each.item.item_id for each in await store.page("", 10)] == ["b"]
            assert await store.upsert(items("c", "a"), 7) == [2, 0]
            assert [each.item.item_id for each in await store.page("", 10)] == ["a", "b", "c"]

    async def test_pages_go_by_code_point(self, tmp_path: Path) -> None:
        """Listed items in order of id, without gap or repeat."""
        ids = ["b", "B", "a", "10", "9", "ä", "\U0001f600", "a b", "\uffee"]
        async with self.opened(tmp_path) as store:
            await store.upsert(items(*ids), 1)
            found: list[str] = []
            while part := await store.page(found[-1] if found else "", 2):
                found += [each.item.item_id for each in part]
            assert found == sorted(ids)
            assert await store.page("", 0) == []

    async def test_thousands_of_items_in_one_call(self, tmp_path: Path) -> None:
        """Large batches are stored, read, resolved and followed whole."""
        ids = [str(number) for number in range(3_000)]
        async with self.opened(tmp_path) as store:
            assert await store.upsert(items(*ids), 1) == list(range(3_000))
            assert [each and each.ordinal for each in await store.get(ids)] == list(range(3_000))
            assert await store.resolve(ids[::-1], 2) == list(range(3_000))[::-1]
            assert [each and each.item.item_id for each in await store.by_ordinals(range(3_000))] == ids
            assert [each.ordinal for each in await self.feed(store, limit=700)] == list(range(3_000))
            assert len(await store.page("", 5_000)) == 3_000

    async def test_concurrent_writers_share_no_ordinal(self, tmp_path: Path) -> None:
        """Calls at the same time give each id one ordinal, dense, and each change its own place in the feed."""
        async with self.opened(tmp_path) as store:
            calls = [store.upsert(items(f"{n}", f"{n + 1}"), 1) for n in range(20)]
            calls += [store.resolve([f"{n}", f"r{n}"], 1) for n in range(20)]
            await asyncio.gather(*calls)
            changes = await self.feed(store)
            assert sorted(each.ordinal for each in changes) == list(range(41))
            assert len({each.seq for each in changes}) == 41
            assert len(await store.page("", 100)) == 21

    async def test_it_is_found_again(self, tmp_path: Path) -> None:
        """A durable catalogue opened again has the same items, ordinals and feed."""
        async with self.opened(tmp_path) as store:
            if not store.capabilities.durable:
                pytest.skip("not durable")
            await store.upsert([FILM, *items("b")], 1)
            await store.delete(["b"], 2)
            before = await self.feed(store)
        async with self.opened(tmp_path) as store:
            assert await self.feed(store) == before
            assert await store.upsert(items("c"), 3) == [2]

    async def test_two_openings_see_one_another(self, tmp_path: Path) -> None:
        """A shared catalogue opened twice is one catalogue."""
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as two:
            if not one.capabilities.shared:
                pytest.skip("not shared")
            assert await one.upsert(items("a"), 1) == [0]
            assert await two.upsert(items("b"), 1) == [1]
            assert await one.resolve(["b"], 1) == [1]
            assert await self.feed(one) == await self.feed(two)

    @settings(max_examples=25, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])
    @given(operations=_OPERATIONS)
    async def test_any_history_keeps_ordinals_and_the_feed(
        self, operations: list[tuple[str, list[tuple[str, int]] | list[str]]]
    ) -> None:
        """Whatever happens, ordinals stay, sequence numbers grow, and following the feed gives the whole catalogue."""
        with tempfile.TemporaryDirectory() as folder:
            async with self.opened(Path(folder)) as store:
                ordinals: dict[str, int] = {}
                followed: dict[int, CatalogItem] = {}
                seq = 0
                for now, (kind, arguments) in enumerate(operations):
                    for item_id, ordinal in await _apply(store, kind, arguments, now):
                        assert ordinals.setdefault(item_id, ordinal) == ordinal
                    assert sorted(ordinals.values()) == list(range(len(ordinals)))
                    changes = await self.feed(store, seq)
                    assert [each.seq for each in changes] == sorted({each.seq for each in changes})
                    assert all(each.seq > seq for each in changes)
                    seq = changes[-1].seq if changes else seq
                    followed |= {each.ordinal: each for each in changes}
                    assert await store.by_ordinals(range(len(ordinals))) == [followed[n] for n in range(len(ordinals))]
                listed = sorted(each.item.item_id for each in followed.values() if each.listed)
                assert [each.item.item_id for each in await store.page("", 100)] == listed


async def _apply(
    store: CatalogStore, kind: str, arguments: list[tuple[str, int]] | list[str], now: int
) -> list[tuple[str, int]]:
    """Do one operation of a random history; return the (id, ordinal) pairs it answered with."""
    if kind == "upsert":
        batch = [Item(item_id=each[0], title=f"version {each[1]}") for each in arguments]
        return list(zip([item.item_id for item in batch], await store.upsert(batch, now), strict=True))
    item_ids = [str(each) for each in arguments]
    if kind == "resolve":
        return list(zip(item_ids, await store.resolve(item_ids, now), strict=True))
    await store.delete(item_ids, now)
    return []
