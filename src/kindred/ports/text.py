"""Full-text search over what items say about themselves."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals
from kindred.ports.resource import Resource

WORDS = 16
"""Words of a query that count; those behind are not looked at."""


class TextDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What can be searched of an item; `names` are its categories, tags and creator."""

    ordinal: int
    title: str = ""
    names: tuple[str, ...] = ()
    description: str = ""


class TextMark(msgspec.Struct, frozen=True, kw_only=True):
    """How far an index follows the catalogue: the last change in it, and the item that this was of."""

    seq: int = 0
    ordinal: int = 0


class TextIndex(Resource, Protocol):
    """Documents by ordinal, found by their words; one process of a machine writes, any number read.

    What is put or removed is found once it is committed here and, in another process, refreshed there. An index holds
    nothing that the catalogue does not: one that is damaged, or was built with other settings, begins anew.
    """

    async def search(
        self, text: str, k: int, allowed: Bits | None = None, also: Ordinals | None = None
    ) -> tuple[Ordinals, Floats]:
        """Return up to k (ordinals int32, scores float32 in (0, 1]) of documents that match `text`, best first.

        Besides the first k, those of `also` that match are found wherever they would stand, if they are allowed.

        Documents with all words come first, then, where there are too few, those with some. A word matches in another
        form of it, the last one by its beginning too, and one that no document has by a likely misspelling. A match in
        the title counts more than one in the names, that more than one in the description. `text` is words and nothing
        else: it has no syntax. Raises StoreUnavailable when the index cannot be read, or was never claimed.
        """
        ...

    async def claim(self) -> bool:
        """Become the one writer unless this process is; return whether it is now.

        What is damaged or of other settings is emptied on the way. Raises StoreUnavailable or StoreFull.
        """
        ...

    async def mark(self) -> TextMark:
        """Return how far the committed documents follow the catalogue."""
        ...

    async def put(self, documents: Sequence[TextDocument], gone: Sequence[int] = ()) -> None:
        """Take documents out, then add some, each in place of what its ordinal held; needs a claim.

        Raises StoreUnavailable, StoreFull.
        """
        ...

    async def commit(self, mark: TextMark) -> None:
        """Make all since the last commit durable and found, together with how far it follows the catalogue."""
        ...

    async def clear(self) -> None:
        """Take everything out and go back to the first mark; needs a claim. Raises StoreUnavailable, StoreFull."""
        ...

    async def refresh(self) -> None:
        """See what another process has committed."""
        ...
