"""What every store of profiles must do: subclass `ProfilesSuite`, say how yours is opened, and run it by pytest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.ports.catalog import ProfileStore

ADA = Profile(
    user_id="ada \U0001f600",
    country="GB",
    region="GB-LND",
    gender="female",
    birth_year=1815,
    language="en",
    timezone="Europe/London",
    created=0,
    attributes={"plan": "free", "nested": {"list": [1, 2.5, None, True]}},
)


class ProfilesSuite:
    """The suite of the ProfileStore port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> ProfileStore:
        """Open the store kept under `home`; opening it again finds what was there, where it is durable."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its store is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[ProfileStore]:
        """Open the store for a block and close it behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def test_an_empty_store_has_nothing(self, tmp_path: Path) -> None:
        """Nobody is known, and asking for nobody gives nothing."""
        async with self.opened(tmp_path) as store:
            assert await store.get(["a", "b"]) == [None, None]
            assert await store.page("", 10) == await store.get([]) == []
            assert await store.delete(["a"]) == await store.delete([]) == 0
            await store.upsert([])
            await store.check()

    async def test_a_profile_comes_back_as_it_was(self, tmp_path: Path) -> None:
        """Every field survives; answers are in the order asked."""
        async with self.opened(tmp_path) as store:
            other = Profile(user_id="b")
            await store.upsert([ADA, other])
            assert await store.get(["b", "?", ADA.user_id, "b"]) == [other, None, ADA, other]

    async def test_a_profile_is_replaced_whole(self, tmp_path: Path) -> None:
        """An upsert leaves nothing of the older profile, and of equal ids in one call the last wins."""
        async with self.opened(tmp_path) as store:
            await store.upsert([ADA])
            await store.upsert([ADA, Profile(user_id=ADA.user_id, country="FR")])
            assert await store.get([ADA.user_id]) == [Profile(user_id=ADA.user_id, country="FR")]
            assert len(await store.page("", 10)) == 1

    async def test_pages_go_by_code_point(self, tmp_path: Path) -> None:
        """Profiles in order of id, without gap or repeat."""
        ids = ["b", "B", "a", "10", "9", "ä", "\U0001f600", "a b", "\uffee"]
        async with self.opened(tmp_path) as store:
            await store.upsert([Profile(user_id=each) for each in ids])
            found: list[str] = []
            while part := await store.page(found[-1] if found else "", 2):
                found += [each.user_id for each in part]
            assert found == sorted(ids)
            assert await store.page("", 0) == []

    async def test_deleting_counts_what_was_there(self, tmp_path: Path) -> None:
        """Unknown and repeated ids count once or not at all."""
        async with self.opened(tmp_path) as store:
            await store.upsert([Profile(user_id=each) for each in "abc"])
            assert await store.delete(["a", "?", "c", "a"]) == 2
            assert [each.user_id for each in await store.page("", 10)] == ["b"]

    async def test_a_late_writer_changes_nothing(self, tmp_path: Path) -> None:
        """Who stands at or before the last write neither replaces, deletes nor brings back."""
        old, new = Profile(user_id="a", country="DE"), Profile(user_id="a", country="FR")
        async with self.opened(tmp_path) as store:
            await store.upsert([old], Position(0, 0, 1))
            await store.upsert([new, Profile(user_id="b")], Position(0, 0, 5))
            await store.upsert([old], Position(0, 0, 4))
            assert await store.delete(["a"], Position(0, 0, 5)) == 0
            assert await store.get(["a"]) == [new]
            assert await store.delete(["a", "a", "c"], Position(0, 0, 7)) == 1
            await store.upsert([new, Profile(user_id="c")], Position(0, 0, 6))
            assert await store.get(["a", "b", "c"]) == [None, Profile(user_id="b"), None]
            await store.upsert([old])
            await store.upsert([new], Position(0, 0, 7))
            assert await store.get(["a"]) == [old]
            await store.upsert([new], Position(1, 0, 0))
            assert await store.get(["a"]) == [new]
            assert await store.delete(["a"]) == 1

    async def test_thousands_of_profiles_in_one_call(self, tmp_path: Path) -> None:
        """Large batches are stored and read whole."""
        profiles = [Profile(user_id=f"{number:05}", birth_year=1900 + number % 100) for number in range(12_000)]
        async with self.opened(tmp_path) as store:
            await store.upsert(profiles)
            assert await store.get([each.user_id for each in profiles]) == profiles
            assert await store.page("", 20_000) == profiles

    async def test_it_is_found_again(self, tmp_path: Path) -> None:
        """A durable store opened again has the same profiles."""
        async with self.opened(tmp_path) as store:
            if not store.capabilities.durable:
                pytest.skip("not durable")
            await store.upsert([ADA])
        async with self.opened(tmp_path) as store:
            assert await store.get([ADA.user_id]) == [ADA]

    async def test_two_openings_see_one_another(self, tmp_path: Path) -> None:
        """A shared store opened twice is one store."""
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as two:
            if not one.capabilities.shared:
                pytest.skip("not shared")
            await one.upsert([ADA])
            assert await two.get([ADA.user_id]) == [ADA]
            assert await two.delete([ADA.user_id]) == 1
            assert await one.get([ADA.user_id]) == [None]
