"""Where the next page of a search begins."""

import pytest

from kindred.api.routes.search import next_offset
from kindred.api.schemas.search import MOST_OFFSET, SearchRequest
from kindred.core.item import CatalogItem, Item
from kindred.core.slate import Reason, ReasonCode
from kindred.recommend.ask import Served, ShownItem

SHOWN = ShownItem(
    ordinal=0,
    catalog_item=CatalogItem(ordinal=0, seq=1, listed=True, item=Item(item_id="a"), updated=0),
    score=1.0,
    reason=Reason(code=ReasonCode.MATCHES_QUERY, text="Matches"),
    anchor_item_id=None,
    source="text",
    sources=("text",),
    rating=None,
)


def served(count: int, degraded: list[str]) -> Served:
    return Served("rec_1", [SHOWN] * count, [1.0] * count, "standard", degraded, "m", "0.0.0", 1.0, "search")


@pytest.mark.parametrize(
    ("offset", "shown", "degraded", "following"),
    [
        (0, 10, [], 10),
        (20, 10, ["text"], 30),
        (20, 4, [], None),
        (20, 4, ["als", "pressure"], None),
        (20, 4, ["text"], 24),
        (20, 4, ["als", "text_content"], None),
        (20, 4, ["catalogue"], None),
        (20, 0, ["text"], None),
        (MOST_OFFSET - 10, 10, [], MOST_OFFSET),
        (MOST_OFFSET, 10, [], None),
        (MOST_OFFSET, 4, ["text"], None),
    ],
)
def test_a_short_page_is_the_last_unless_the_index_failed(
    offset: int, shown: int, degraded: list[str], following: int | None
) -> None:
    asked = SearchRequest(query="heat", count=10, offset=offset)
    assert next_offset(asked, served(shown, degraded)) == following
