"""From the words of a search to the library's query objects; nothing of a search is ever parsed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tantivy import Occur, Query, Schema, Searcher

from kindred.adapters.tantivy.analysis import BOOSTS, ORDINAL, WRITTEN, Analysis

# A beginning of one letter says nothing, and the words that most documents bear are what is being typed most likely.
LEAST_BEGINNING = 2
BEGINNINGS = 20
ONE_MISTAKE, TWO_MISTAKES = 4, 8
"""Letters from which a word may have one and two mistakes."""
BEGINNING, MISTAKEN = 0.5, 0.3
"""How much a match by the beginning and one with mistakes count beside a whole one."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a search over one searcher; `open_end`: the last one may still be being typed."""

    schema: Schema
    analysis: Analysis
    searcher: Searcher
    words: Sequence[str]
    open_end: bool

    def passes(self) -> Iterator[tuple[Query, bool]]:
        """Give ever looser queries, each with whether it is only for where nothing was found so far."""
        known = [self._known(word, last) for word, last in self._each()]
        groups = [one or self._mistaken(word) for (word, _), one in zip(self._each(), known, strict=True)]
        yield _every(groups), False
        if any(known):
            yield _every([self._either(one, word) for (word, _), one in zip(self._each(), known, strict=True)]), True
        found = [group for group in groups if group]
        if len(found) > 1 or len(found) < len(groups):
            yield Query.boolean_query([(Occur.Should, query) for group in found for query in group]), False

    def _each(self) -> Iterator[tuple[str, bool]]:
        last = len(self.words) - 1
        return ((word, place == last and self.open_end) for place, word in enumerate(self.words))

    def _known(self, word: str, last: bool) -> list[Query]:
        """Return what matches a word in any form, and the last one by its beginning; nothing if no document does."""
        stem = self.analysis.stem(word)
        terms = [(name, stem, boost) for name, boost in BOOSTS.items()]
        if last and len(word) >= LEAST_BEGINNING:
            for name, written in WRITTEN.items():
                begun = self.searcher.terms_with_prefix(written, word, limit=BEGINNINGS)
                terms += [(written, term, BEGINNING * BOOSTS[name]) for term, _ in begun if term != word]
        return [self._term(*term) for term in terms if self.searcher.doc_freq(*term[:2])]

    def _mistaken(self, word: str) -> list[Query]:
        """Return what matches a word with as many mistakes as its length allows, fewer counting more."""
        most = (len(word) >= ONE_MISTAKE) + (len(word) >= TWO_MISTAKES)
        return [
            Query.boost_query(
                Query.fuzzy_term_query(self.schema, written, word, distance=mistakes), MISTAKEN * BOOSTS[name]
            )
            for name, written in WRITTEN.items()
            for mistakes in range(1, most + 1)
        ]

    def _either(self, known: list[Query], word: str) -> list[Query]:
        return [*known, *self._mistaken(word)]

    def _term(self, name: str, word: str, boost: float) -> Query:
        return Query.boost_query(Query.term_query(self.schema, name, word), boost)


def among(query: Query, schema: Schema, ordinals: Sequence[int]) -> Query:
    """Return the same query over some documents alone, its scores as they were."""
    # A term at a time: the library's set of terms walks through the whole dictionary of ordinals.
    those = Query.boolean_query([(Occur.Should, Query.term_query(schema, ORDINAL, each)) for each in ordinals])
    return Query.boolean_query([(Occur.Must, query), (Occur.Must, Query.const_score_query(those, 0.0))])


def _every(groups: Sequence[list[Query]]) -> Query:
    """Return what matches any of each group; nothing does where a group is empty."""
    if not all(groups):
        return Query.empty_query()
    return Query.boolean_query([(Occur.Must, _any(group)) for group in groups])


def _any(group: Sequence[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in group])
