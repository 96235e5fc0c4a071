"""The text indexes keep their port's contract; the one in files is shared, survives, and mends itself."""

from pathlib import Path

import pytest

from kindred.adapters.memory import text as memory
from kindred.adapters.tantivy import text as tantivy
from kindred.core.errors import ConfigError, StoreUnavailable
from kindred.ports.text import TextDocument, TextIndex, TextMark
from kindred.testing.text_suite import TextSuite


class TestMemoryText(TextSuite):
    async def open_index(self, home: Path) -> TextIndex:
        return await memory.open_text("", home)


class TestTantivyText(TextSuite):
    async def open_index(self, home: Path) -> TextIndex:
        return await tantivy.open_text("", home)


async def written(home: Path, *titles: str, location: str = "") -> tantivy.TantivyText:
    index = await tantivy.open_text(location, home)
    assert await index.claim()
    await index.put([TextDocument(ordinal=place, title=title) for place, title in enumerate(titles)])
    await index.commit(TextMark(seq=len(titles), ordinal=len(titles) - 1))
    return index


async def found(index: TextIndex, text: str) -> list[int]:
    return [int(item) for item in (await index.search(text, 10))[0]]


async def test_one_writes_and_the_others_read(tmp_path: Path) -> None:
    writer = await written(tmp_path, "Star Wars")
    reader = await tantivy.open_text("", tmp_path)
    assert not await reader.claim()
    assert await found(reader, "star") == [0]
    await writer.put([TextDocument(ordinal=4, title="Star Trek")])
    await writer.commit(TextMark(seq=9, ordinal=4))
    await reader.refresh()
    assert await found(reader, "star") == [0, 4]
    with pytest.raises(StoreUnavailable, match="another process"):
        await reader.put([])
    await writer.put([TextDocument(ordinal=5, title="Star, never committed")])
    await writer.close()
    assert await reader.claim()
    assert await reader.mark() == TextMark(seq=9, ordinal=4)
    assert await found(reader, "star") == [0, 4]
    await reader.close()


async def test_another_language_builds_another_index(tmp_path: Path) -> None:
    await (await written(tmp_path, "Die Katzen")).close()
    index = await tantivy.open_text("?language=german", tmp_path)
    assert await index.claim()
    assert await index.mark() == TextMark()
    await index.put([TextDocument(ordinal=0, title="Die Katzen")])
    await index.commit(TextMark(seq=1))
    assert await found(index, "katze ") == [0]
    await index.close()


async def test_what_was_never_built_is_no_empty_answer(tmp_path: Path) -> None:
    index = await tantivy.open_text("", tmp_path)
    with pytest.raises(StoreUnavailable, match="not built yet"):
        await index.search("star", 5)
    await index.close()


@pytest.mark.parametrize("location", ["?language=klingon", "text?speed=high"])
async def test_what_an_address_may_say(tmp_path: Path, location: str) -> None:
    with pytest.raises(ConfigError, match="language"):
        await tantivy.open_text(location, tmp_path)


@pytest.mark.parametrize("searched", [True, False])
@pytest.mark.parametrize("damage", ["meta", "segment", "gone"])
async def test_a_damaged_index_begins_anew(tmp_path: Path, damage: str, searched: bool) -> None:
    await (await written(tmp_path, "Star Wars")).close()
    files = {path.suffix: path for path in (tmp_path / "text").iterdir()}
    match damage:
        case "meta":
            (tmp_path / "text" / "meta.json").write_text('{"segments": [')
        case "segment":
            files[".term"].write_bytes(b"torn")
        case "gone":
            files[".idx"].unlink()
    index = await tantivy.open_text("", tmp_path)
    if searched:
        with pytest.raises(StoreUnavailable, match="text"):
            await index.search("star", 5)
    assert await index.claim()
    assert await index.mark() == TextMark()
    assert await found(index, "star") == []
    await index.close()


async def test_a_reader_that_finds_damage_tells_the_writer(tmp_path: Path) -> None:
    writer = await written(tmp_path, "Star Wars")
    (tmp_path / "text" / "meta.json").write_text("{}")
    reader = await tantivy.open_text("", tmp_path)
    with pytest.raises(StoreUnavailable):
        await reader.search("star", 5)
    assert not await reader.claim()
    assert await writer.claim()
    assert await writer.mark() == TextMark()
    await writer.put([TextDocument(ordinal=2, title="Star Trek")])
    await writer.commit(TextMark(seq=1, ordinal=2))
    assert await found(reader, "star") == [2]
    await reader.close()
    await writer.close()
