"""Terms of an item's text: words of title and description, exact categories and tags."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import msgspec

from kindred.core.config import Config

CATEGORY = "cat:"
TAG = "tag:"
_WORD = re.compile(r"\w{2,}")


class ItemText(msgspec.Struct, frozen=True, kw_only=True):
    """What an item says about itself; `categories` has the primary one first."""

    title: str = ""
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    description: str = ""


class TermConfig(Config, frozen=True, kw_only=True):
    """How much each field counts: multipliers of term frequency.

    `title`: of words in the title. `categories`: of categories. `tags`: of tags.
    `description`: of words in the description.
    """

    title: float = 1.0
    categories: float = 2.0
    tags: float = 2.0
    description: float = 1.0


def fold(text: str) -> str:
    """Return text for comparing: compatibility form, case folded, spaces single."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """Return the words of at least 2 characters, folded, in order."""
    return [word.casefold() for word in written_words(text)]


def written_words(text: str) -> list[str]:
    """Return the words of at least 2 characters as they are written, in order."""
    return _WORD.findall(unicodedata.normalize("NFKC", text))


def weighted_terms(text: ItemText, config: TermConfig) -> dict[str, float]:
    """Return each term's weighted frequency: `field weight * (1 + ln count)`, summed over fields.

    Categories and tags are one exact term each, under the prefixes `cat:` and `tag:`.
    """
    found: dict[str, float] = {}
    for weight, terms in (
        (config.title, words(text.title)),
        (config.categories, named(CATEGORY, text.categories)),
        (config.tags, named(TAG, text.tags)),
        (config.description, words(text.description)),
    ):
        if weight > 0:
            for term, count in Counter(terms).items():
                found[term] = found.get(term, 0.0) + weight * (1.0 + math.log(count))
    return found


def named(prefix: str, values: Iterable[str]) -> list[str]:
    """Return the exact terms of categories or tags, blank ones left out."""
    return [prefix + folded for folded in map(fold, values) if folded]
