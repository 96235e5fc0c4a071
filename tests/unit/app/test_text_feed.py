"""The text index follows the catalogue from where it stood, and begins anew where it cannot."""

import asyncio
from pathlib import Path

import pytest

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.tantivy.text import TantivyText, open_text
from kindred.app.text_feed import TextFeed
from kindred.core.errors import StoreUnavailable
from kindred.core.item import Item
from kindred.ports.telemetry import NoMeter

NOW = 1_700_000_000_000


def film(name: str, **fields: object) -> Item:
    return Item(item_id=name, title=name, **fields)


async def found(text: TantivyText, words: str) -> set[int]:
    return {int(item) for item in (await text.search(words, 10))[0]}


@pytest.fixture
async def text(tmp_path: Path):
    index = await open_text("", tmp_path)
    yield index
    await index.close()


@pytest.fixture
async def catalog():
    store = MemoryCatalog()
    await store.upsert([film("Star Wars"), film("Star Trek", creator="Roddenberry"), Item(item_id="star 3")], NOW)
    return store


async def test_what_is_added_edited_and_taken_away(text, catalog):
    feed = TextFeed(catalog, text, NoMeter())
    await feed.step()
    assert await found(text, "star") == {0, 1, 2}
    assert await found(text, "roddenberry") == {1}
    await catalog.upsert([film("Star Wars", active=False), film("Starman", tags=["alien"])], NOW)
    await catalog.delete(["Star Trek"], NOW)
    await feed.step()
    assert await found(text, "star") == {2, 3}
    assert await found(text, "alien") == {3}


async def test_another_process_goes_on_from_where_it_stood(text, catalog, tmp_path, monkeypatch):
    await TextFeed(catalog, text, NoMeter()).step()
    await text.close()
    await catalog.upsert([film("Starman")], NOW)
    asked = []
    whole = MemoryCatalog.changes_since

    async def changes(self, seq, limit):
        asked.append(seq)
        return await whole(self, seq, limit)

    monkeypatch.setattr(MemoryCatalog, "changes_since", changes)
    again = await open_text("", tmp_path)
    await TextFeed(catalog, again, NoMeter()).step()
    assert asked == [3, 4]
    assert await found(again, "star") == {0, 1, 2, 3}
    await again.close()


async def test_a_catalogue_from_before_begins_the_index_anew(text, catalog):
    await catalog.upsert([film("Starman")], NOW)
    await TextFeed(catalog, text, NoMeter()).step()
    restored = MemoryCatalog()
    await restored.upsert([film("Moon"), film("Star Wars")], NOW)
    await TextFeed(restored, text, NoMeter()).step()
    assert await found(text, "star") == {1}
    assert await found(text, "trek") == set()


async def test_a_reader_follows_the_process_that_writes(text, catalog, tmp_path):
    feed = TextFeed(catalog, text, NoMeter())
    await feed.step()
    reader = await open_text("", tmp_path)
    reading = TextFeed(catalog, reader, NoMeter())
    await reading.step()
    assert await found(reader, "star") == {0, 1, 2}
    await catalog.upsert([film("Starman")], NOW)
    await feed.step()
    await reading.step()
    assert await found(reader, "starman") == {3}
    await text.close()
    await catalog.upsert([film("Stardust")], NOW)
    await reading.step(write=False)
    assert await found(reader, "stardust") == set()
    await reading.step()
    assert await found(reader, "stardust") == {4}
    await reader.close()


async def test_what_fails_is_said_and_tried_again(text, catalog, monkeypatch):
    feed = TextFeed(catalog, text, NoMeter())
    whole, failed = TantivyText.commit, asyncio.Event()

    async def full(self, mark):
        failed.set()
        raise StoreUnavailable("no room")

    monkeypatch.setattr(TantivyText, "commit", full)
    running = asyncio.create_task(feed.run())
    await asyncio.wait_for(failed.wait(), 30)
    while feed.trouble is None:
        await asyncio.sleep(0.01)
    assert feed.trouble == "no room"
    monkeypatch.setattr(TantivyText, "commit", whole)
    while await found(text, "star") != {0, 1, 2} or feed.trouble:
        await asyncio.sleep(0.05)
    running.cancel()
