"""Settings of search."""

from kindred.core.config import Amount, Config, Count, Share


class SearchConfig(Config, frozen=True, kw_only=True):
    """How results are found and ordered, unless the request says otherwise.

    `depth`: results that each source proposes; words propose at least the 1,000 that pages can reach.
    `personalisation`: how much a user's taste moves results, 0 = not at all, 1 = what is not at all to it stands last.
    `content`: how much likeness of content to the query counts beside its words. `content_floor`: cosine below which
    content proposes nothing. `popularity`: how much popularity counts beside the words.
    """

    depth: Count = 300
    personalisation: Share = 0.75
    content: Amount = 0.6
    content_floor: Share = 0.5
    popularity: Amount = 0.1
