"""A full-text index in one process's memory, which looks at every document: for tests and trials."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals
from kindred.ports.resource import Capabilities
from kindred.ports.text import WORDS, TextDocument, TextMark

_FIELDS = {"title": 4.0, "names": 2.0, "description": 1.0}
_PARTLY = 0.5


class MemoryText:
    """Words of the fields by ordinal; forms of a word are those that differ by an English ending alone."""

    def __init__(self) -> None:
        """Start empty."""
        self._committed: dict[int, dict[str, list[str]]] = {}
        self._draft: dict[int, dict[str, list[str]]] = {}
        self._mark = TextMark()

    @property
    def capabilities(self) -> Capabilities:
        """Return that filters are kept."""
        return Capabilities(filtered_search=True)

    async def search(
        self, text: str, k: int, allowed: Bits | None = None, also: Ordinals | None = None
    ) -> tuple[Ordinals, Floats]:
        """Return up to k documents and those of `also`, ties by ordinal."""
        asked = _words(text)[:WORDS]
        open_end = text[-1:].isalnum()
        known = [self._known(word, open_end and place == len(asked) - 1) for place, word in enumerate(asked)]
        found: dict[int, float] = {}
        for ordinal, fields in self._committed.items():
            if allowed is None or (ordinal < allowed.size and allowed.has(np.array([ordinal], np.int32))[0]):
                value = _value(fields, asked, known, open_end)
                if value > 0:
                    found[ordinal] = value
        ranked = sorted(found, key=lambda ordinal: (-found[ordinal], ordinal))
        wanted = {*ranked[: max(k, 0)], *(() if also is None else also.tolist())}
        best = [ordinal for ordinal in ranked if ordinal in wanted]
        scores = np.array([found[ordinal] for ordinal in best], np.float32)
        return np.array(best, np.int32), scores

    async def claim(self) -> bool:
        """Say yes: nobody else can write."""
        return True

    async def mark(self) -> TextMark:
        """Return what the last commit said."""
        return self._mark

    async def put(self, documents: Sequence[TextDocument], gone: Sequence[int] = ()) -> None:
        """Forget documents, and keep the words of others."""
        for ordinal in gone:
            self._draft.pop(ordinal, None)
        for each in documents:
            values = {"title": each.title, "names": " ".join(each.names), "description": each.description}
            self._draft[each.ordinal] = {name: _words(value) for name, value in values.items()}

    async def commit(self, mark: TextMark) -> None:
        """Let searches see what was put."""
        self._committed, self._mark = dict(self._draft), mark

    async def clear(self) -> None:
        """Forget everything."""
        self._committed, self._draft, self._mark = {}, {}, TextMark()

    async def refresh(self) -> None:
        """Do nothing: there is no other process."""

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Forget everything."""
        await self.clear()

    def _known(self, word: str, open_end: bool) -> bool:
        fields = [words for document in self._committed.values() for words in document.values()]
        return any(_match(word, other, open_end) for words in fields for other in words)


def _value(fields: dict[str, list[str]], asked: Sequence[str], known: Sequence[bool], open_end: bool) -> float:
    """Return the score of a document: in (0.5, 1] where it has all words, in (0, 0.5] where it has some."""
    each = []
    for place, (word, exact) in enumerate(zip(asked, known, strict=True)):
        last = open_end and place == len(asked) - 1
        hits = [
            weight * (_match(word, other, last) if exact else _mistaken(word, other))
            for name, weight in _FIELDS.items()
            for other in fields[name]
        ]
        each.append(max(hits, default=0.0))
    if not any(each):
        return 0.0
    length = 1 + len(fields["title"]) / 100
    share = sum(each) / (max(_FIELDS.values()) * len(each)) / length
    return 0.5 + share / 2 if all(each) else share / 2


def _match(word: str, other: str, open_end: bool) -> float:
    if word == other:
        return 1.0
    if _stem(word) == _stem(other):
        return 0.9
    return _PARTLY if open_end and len(word) > 1 and other.startswith(word) else 0.0


def _mistaken(word: str, other: str) -> float:
    """Return how near a word is with its mistakes, 0 where its length does not allow as many."""
    most = (len(word) >= 4) + (len(word) >= 8)
    mistakes = _distance(word, other) if abs(len(word) - len(other)) <= most else most + 1
    return 0.3 / mistakes if 0 < mistakes <= most else 0.0


def _distance(a: str, b: str) -> int:
    """Return how many letters are to be changed, added, left out or swapped with the next (optimal alignment)."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            least = min(row[-1] + 1, rows[-1][j] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                least = min(least, rows[-2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]


def _stem(word: str) -> str:
    return re.sub(r"(?<=\w\w\w)(?:n?ing|n?ed|ies|es|s|y)$", "", word)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return re.findall(r"[^\W_]+", "".join(each for each in plain if not unicodedata.combining(each)))


async def open_text(location: str, home: Path) -> MemoryText:
    """Return a new empty index; the place is not used."""
    return MemoryText()
