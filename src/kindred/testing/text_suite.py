"""What every text index must do: subclass `TextSuite`, say how yours is opened, and run it by pytest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from kindred.core.bits import Bits
from kindred.ports.text import TextDocument, TextIndex, TextMark

TITLES = (
    *("The Running Man", "Running Scared", "Amélie", "Star Wars", "Star Trek", "Wars and Stars of the Silent Era"),
    *("Casablanca", "The Man Who Knew Too Much"),
)


def documents() -> list[TextDocument]:
    """Return films, by title; the last has a tag and a description of its own."""
    found = [TextDocument(ordinal=place, title=title, names=("Film",)) for place, title in enumerate(TITLES)]
    other = TextDocument(ordinal=9, title="Silence", names=("casablanca",), description="A man leaves a running train")
    return [*found, other]


class TextSuite:
    """The suite of the TextIndex port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_index(self, home: Path) -> TextIndex:
        """Open the index kept under `home`."""
        pytest.fail(f"{type(self).__name__} must say in open_index how its index is opened")

    @asynccontextmanager
    async def filled(self, home: Path) -> AsyncIterator[TextIndex]:
        """Open an index with `documents`."""
        index = await self.open_index(home)
        try:
            assert await index.claim()
            await index.put(documents())
            await index.commit(TextMark(seq=5, ordinal=9))
            yield index
        finally:
            await index.close()

    async def found(self, index: TextIndex, text: str, k: int = 20, allowed: Bits | None = None) -> list[int]:
        """Return what a search finds, having looked at the scores."""
        items, scores = await index.search(text, k, allowed)
        assert items.dtype == np.int32
        assert scores.dtype == np.float32
        assert len(items) == len(scores) == len(set(items.tolist()))
        assert ((scores > 0) & (scores <= 1)).all()
        assert (np.diff(scores) <= 0).all()
        return [int(item) for item in items]

    async def test_an_empty_index_finds_nothing(self, tmp_path: Path) -> None:
        """Nothing was put: nothing is found, and the mark is the first."""
        index = await self.open_index(tmp_path)
        await index.check()
        assert await index.mark() == TextMark()
        assert await index.claim()
        assert await self.found(index, "star") == []
        assert await index.mark() == TextMark()
        await index.close()

    async def test_all_words_come_before_some(self, tmp_path: Path) -> None:
        """What has every word is first, in any order of them; what has one of them follows."""
        async with self.filled(tmp_path) as index:
            found = await self.found(index, "star wars ")
            assert set(found[:2]) == {3, 5}
            assert set(found[2:]) == {4}
            assert (await self.found(index, "wars star "))[:2] == found[:2]

    async def test_words_match_in_their_forms(self, tmp_path: Path) -> None:
        """Case, accents and endings do not matter."""
        async with self.filled(tmp_path) as index:
            for text in ("amelie ", "AMÉLIE ", "Amélie!"):
                assert await self.found(index, text) == [2]
            assert set(await self.found(index, "runs ")) == {0, 1, 9}
            assert set(await self.found(index, "star ")) == {3, 4, 5}

    async def test_the_last_word_may_be_a_beginning(self, tmp_path: Path) -> None:
        """While it is being typed, and no longer once something stands behind it; a whole word comes first."""
        async with self.filled(tmp_path) as index:
            assert set(await self.found(index, "casab")) == {6, 9}
            assert await self.found(index, "casab ") == []
            assert (await self.found(index, "the running m"))[0] == 0
            assert (await self.found(index, "sile"))[0] == 9

    async def test_misspelt_words_are_found(self, tmp_path: Path) -> None:
        """One mistake from 4 letters on, two from 8, where no document has the word as it is; a short one is none."""
        async with self.filled(tmp_path) as index:
            assert set(await self.found(index, "casablenca ")) == {6, 9}
            assert set(await self.found(index, "cassablenca ")) == {6, 9}
            assert set(await self.found(index, "satr ")) == {3, 4}
            assert await self.found(index, "xan ") == []
            assert 4 not in (await self.found(index, "star wasr "))[:2]

    async def test_the_title_counts_most(self, tmp_path: Path) -> None:
        """A word in the title is worth more than among the names, and there more than in the description."""
        async with self.filled(tmp_path) as index:
            assert await self.found(index, "casablanca ") == [6, 9]
            assert (await self.found(index, "man "))[-1] == 9

    async def test_text_is_words_and_nothing_else(self, tmp_path: Path) -> None:
        """Signs of query languages mean nothing; what has no words finds nothing; any length is answered."""
        async with self.filled(tmp_path) as index:
            for text in ("", "   ", '("', "* : ^ ~ [ TO ]", "\x00", "🙂"):
                found = await self.found(index, text)
                assert found == [] or text == "* : ^ ~ [ TO ]"
            assert set(await self.found(index, 'title:"casablanca" AND NOT (*)')) >= {6, 9}
            assert 3 in await self.found(index, "star " * 5_000)
            assert await self.found(index, "x" * 100_000) == []

    async def test_only_allowed_documents_are_found(self, tmp_path: Path) -> None:
        """As many as there are among the allowed ones, wherever they would stand."""
        async with self.filled(tmp_path) as index:
            allowed = Bits.listed(np.array([4, 5, 9], np.int32), 12)
            assert set(await self.found(index, "star wars ", 20, allowed)) == {4, 5}
            assert await self.found(index, "star wars ", 1, allowed) == [5]
            assert await self.found(index, "star", 5, Bits.listed(np.array([], np.int32), 12)) == []
            assert await self.found(index, "casablanca", 5, Bits.listed(np.array([6], np.int32), 8)) == [6]

    async def test_many_allowed_documents_leave_none_out(self, tmp_path: Path) -> None:
        """A large filter far from what matches best still finds what it allows."""
        index = await self.open_index(tmp_path)
        assert await index.claim()
        count = 12_000
        await index.put([TextDocument(ordinal=each, title="star" + " dust" * (each % 3 == 0)) for each in range(count)])
        await index.commit(TextMark(seq=1))
        worst = np.arange(count) % 3 == 0
        found = await self.found(index, "star", 50, Bits.of(worst))
        assert len(found) == 50
        assert all(worst[each] for each in found)
        await index.close()

    async def test_some_are_found_wherever_they_stand(self, tmp_path: Path) -> None:
        """Those of `also` that match come beside the first k, with the scores that they have among all."""
        async with self.filled(tmp_path) as index:
            items, scores = await index.search("star", 20)
            last = int(items[-1])
            asked = np.array([last, 6], np.int32)
            found, values = await index.search("star", 1, None, asked)
            assert found.tolist() == [int(items[0]), last]
            np.testing.assert_allclose(values, [scores[0], scores[-1]], rtol=1e-5)
            none = Bits.listed(items[:1], 12)
            assert (await index.search("star", 1, none, asked))[0].tolist() == [int(items[0])]

    async def test_k_cuts(self, tmp_path: Path) -> None:
        """At most k, the best of them; none for 0."""
        async with self.filled(tmp_path) as index:
            assert len(await self.found(index, "star", 2)) == 2
            assert await self.found(index, "star", 0) == []

    async def test_a_document_is_replaced_and_removed(self, tmp_path: Path) -> None:
        """The last put of an ordinal counts; what is removed is gone; both once they are committed."""
        async with self.filled(tmp_path) as index:
            lost, found = (TextDocument(ordinal=6, title=title) for title in ("Lost", "Key Largo"))
            await index.put([lost, found], gone=[9, 500, 6])
            assert await self.found(index, "casablanca") == [6, 9]
            await index.commit(TextMark(seq=8, ordinal=6))
            assert await self.found(index, "casablanca") == []
            assert await self.found(index, "lost ") == []
            assert await self.found(index, "largo") == [6]
            assert await index.mark() == TextMark(seq=8, ordinal=6)

    async def test_clearing_begins_anew(self, tmp_path: Path) -> None:
        """Nothing is found, and the mark is the first; what is put then is there."""
        async with self.filled(tmp_path) as index:
            await index.clear()
            assert await self.found(index, "star") == []
            assert await index.mark() == TextMark()
            await index.put(documents()[:5])
            await index.commit(TextMark(seq=2, ordinal=4))
            assert set(await self.found(index, "star")) == {3, 4}
