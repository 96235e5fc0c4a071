"""Which fields an index has, and how text becomes words."""

from dataclasses import dataclass, field

from tantivy import Filter, Schema, SchemaBuilder, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from kindred.core.errors import ConfigError

ORDINAL = "ordinal"
MARK = "mark"
BOOSTS = {"title": 4.0, "names": 2.0, "description": 1.0}
"""How much a match in each field counts."""
WRITTEN = {"title": "title_written", "names": "names_written"}
"""Where the words of a field stand as they were written, for beginnings and misspellings."""
STEMMED, PLAIN = "kindred_stemmed", "kindred_plain"
NO_STEMS = "none"
LANGUAGES = (
    *("arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian"),
    *("norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "tamil", "turkish"),
)
_LONGEST = 40
"""Bytes of a word; what is longer is no word of a language."""


def schema() -> Schema:
    """Return the fields; `mark` holds how far the index follows the catalogue, in a document of its own."""
    builder = SchemaBuilder()
    builder.add_unsigned_field(ORDINAL, indexed=True, fast=True)
    builder.add_text_field(MARK, stored=True, tokenizer_name="raw", index_option="basic")
    for name in BOOSTS:
        builder.add_text_field(name, tokenizer_name=STEMMED, index_option="freq")
    for name in WRITTEN.values():
        builder.add_text_field(name, tokenizer_name=PLAIN, index_option="basic")
    return builder.build()


@dataclass(frozen=True, slots=True)
class Analysis:
    """Turns text into words, lower case and without accents, and words into stems of one language (`none`: as is)."""

    language: str = "english"
    plain: TextAnalyzer = field(init=False, repr=False, compare=False)
    stemmed: TextAnalyzer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the analyzers; raise ConfigError for an unknown language."""
        if self.language not in (*LANGUAGES, NO_STEMS):
            raise ConfigError(f"language is one of {', '.join((*LANGUAGES, NO_STEMS))}, not {self.language!r}")
        object.__setattr__(self, "plain", _words().build())
        stems = _words() if self.language == NO_STEMS else _words().filter(Filter.stemmer(self.language))
        object.__setattr__(self, "stemmed", stems.build())

    def stem(self, word: str) -> str:
        """Return a word as the stemmed fields hold it."""
        return next(iter(self.stemmed.analyze(word)), word)


def _words() -> TextAnalyzerBuilder:
    filters = (Filter.remove_long(_LONGEST), Filter.lowercase(), Filter.ascii_fold())
    builder = TextAnalyzerBuilder(Tokenizer.simple())
    for each in filters:
        builder = builder.filter(each)
    return builder
